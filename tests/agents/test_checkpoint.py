"""A training that stopped goes on as if it had not."""

import hashlib
import io
import os

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, make_vec_env
from plastic_rl.agents.checkpoint import DamagedCheckpointError, checkpoints, read
from plastic_rl.agents.checkpoint_callback import CheckpointCallback

STEPS = 640


class Stop(BaseCallback):
    """Ends the training in the middle of a rollout, without a word to anybody."""

    def _on_step(self):
        return self.num_timesteps < STEPS // 2 + 24


def learn(algorithm, folder, env_id="plastic_rl/Maze-v0", stop=False, resume=False, n_steps=16, **kwargs):
    arguments = {"episode_steps": 20} if "Maze" in env_id else {}
    env = make_vec_env(env_id, 4, seed=3, monitor_dir=None if resume else str(folder), env_kwargs=arguments)
    env = VecNormalize(env)
    policy = "MultiInputPolicy" if hasattr(env.observation_space, "spaces") else "MlpPolicy"
    kwargs = {"policy_kwargs": {"core_kwargs": {"hidden_size": 6, "rule": "oja"}}, **kwargs}
    model = algorithm(policy, env, n_steps=n_steps, seed=1, device="cpu", **kwargs)
    callbacks = [CheckpointCallback(folder / "checkpoints", seconds=0, resume=resume), *([Stop()] if stop else [])]
    return model.learn(STEPS, callback=callbacks)


def same(first, second):
    for (name, one), two in zip(first.policy.state_dict().items(), second.policy.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


CASES = [
    (PlasticPPO, {"ent_coef": 0.02, "ent_coef_final": 0.0, "learning_rate": lambda left: 0.01 * left}),
    (PlasticA2C, {}),
    (PlasticBPTT, {}),
    (PlasticBPTT, {"acting": "oracle"}),
    (PlasticPPO, {"env_id": "plastic_rl/OneShot-v0"}),
    (PlasticPPO, {"policy_kwargs": {"core": "lstm"}}),
]


@pytest.mark.parametrize(("algorithm", "kwargs"), CASES)
def test_parameters_are_the_same_bit_for_bit(algorithm, kwargs, tmp_path):
    whole = learn(algorithm, tmp_path / "whole", **kwargs)
    learn(algorithm, tmp_path / "stopped", stop=True, **kwargs)
    torch.manual_seed(99)
    resumed = learn(algorithm, tmp_path / "stopped", resume=True, **kwargs)
    same(whole, resumed)
    rows = [(tmp_path / name / "0.monitor.csv").read_text().splitlines()[1:] for name in ("whole", "stopped")]
    returns = [[row.rpartition(",")[0] for row in file] for file in rows]  # without the times
    assert returns[0] == returns[1]
    assert resumed.num_timesteps == STEPS


def test_the_last_two_are_kept_and_a_damaged_one_is_passed_over(tmp_path, capsys):
    whole = learn(PlasticPPO, tmp_path / "whole")
    learn(PlasticPPO, tmp_path / "run", stop=True)
    older, newest = checkpoints(tmp_path / "run" / "checkpoints")
    content = newest.read_bytes()
    for damaged in (content[:-100], b"", content[:2000] + b"x" + content[2001:]):
        newest.write_bytes(damaged)
        with pytest.raises(DamagedCheckpointError, match="is damaged"):
            read(newest)
    same(whole, learn(PlasticPPO, tmp_path / "run", resume=True))
    said = capsys.readouterr()
    assert "is damaged" in said.err
    assert f"going on from {older}" in said.out


def test_without_a_checkpoint_it_starts_from_the_beginning(tmp_path, capsys):
    whole = learn(PlasticPPO, tmp_path / "whole")
    same(whole, learn(PlasticPPO, tmp_path / "none", resume=True))
    assert "no whole checkpoint" in capsys.readouterr().err


class Bomb:
    """What a malicious file would hold."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"format": 1, "policy": Bomb()}, buffer)
    file = tmp_path / "1.pt"
    file.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
    with pytest.raises(DamagedCheckpointError, match="something other than tensors, numbers and strings"):
        read(file)
    assert not (tmp_path / "executed").exists()


def test_a_full_disk_is_said_and_does_not_stop_the_training(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    whole = learn(PlasticPPO, tmp_path)
    assert whole.num_timesteps == STEPS
    assert "No space left on device; training goes on" in capsys.readouterr().err
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path):
    learn(PlasticPPO, tmp_path, stop=True)
    with pytest.raises(ValueError, match="is of PlasticPPO, not of PlasticA2C"):
        learn(PlasticA2C, tmp_path, resume=True)
