"""A training that stopped goes on as if it had not."""

import hashlib
import io
import os

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, make_vec_env
from plastic_rl.agents.checkpoint import CheckpointCallback, DamagedCheckpointError, OtherFormatError, checkpoints, read

STEPS = 320


class Stop(BaseCallback):
    """Ends the training in the middle of a rollout, without a word to anybody."""

    def _on_step(self):
        return self.num_timesteps < STEPS // 2 + 24


def learn(algorithm, folder, env_id="plastic_rl/Maze-v0", stop=False, resume=False, n_steps=16, device="cpu", **kwargs):
    arguments = {"episode_steps": 20} if "Maze" in env_id else {}
    env = make_vec_env(env_id, 4, seed=3, monitor_dir=None if resume else str(folder), env_kwargs=arguments)
    env = VecNormalize(env)
    policy = "MultiInputPolicy" if hasattr(env.observation_space, "spaces") else "MlpPolicy"
    few = {"n_epochs": 2} if algorithm is PlasticPPO else {}
    kwargs = {"policy_kwargs": {"core_kwargs": {"hidden_size": 6, "rule": "oja"}}, **few, **kwargs}
    model = algorithm(policy, env, n_steps=n_steps, seed=1, device=device, **kwargs)
    callbacks = [CheckpointCallback(folder / "checkpoints", seconds=0, resume=resume), *([Stop()] if stop else [])]
    return model.learn(STEPS, callback=callbacks)


def same(first, second):
    for (name, one), two in zip(first.policy.state_dict().items(), second.policy.state_dict().values(), strict=True):
        assert torch.equal(one, two), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what a training that nobody stopped has learned."""
    return learn(PlasticPPO, tmp_path_factory.mktemp("whole"))


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


def test_the_last_two_are_kept_and_a_damaged_one_is_passed_over(whole, tmp_path, capsys):
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


def test_damaged_ones_do_not_count_as_the_last_two(whole, tmp_path, capsys):
    learn(PlasticPPO, tmp_path / "run", stop=True)
    for path in checkpoints(tmp_path / "run" / "checkpoints"):
        path.write_bytes(b"")
    same(whole, learn(PlasticPPO, tmp_path / "run", resume=True))
    assert "no whole checkpoint" in capsys.readouterr().err
    newest = checkpoints(tmp_path / "run" / "checkpoints")
    assert [read(path)["counters"]["num_timesteps"] for path in newest] == [STEPS - 128, STEPS - 64]


def test_without_a_checkpoint_it_starts_from_the_beginning(whole, tmp_path, capsys):
    same(whole, learn(PlasticPPO, tmp_path / "none", resume=True))
    assert "no whole checkpoint" in capsys.readouterr().err


def put(content, path):
    """Write a file with the right checksum, whatever its content."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
    return path


class Bomb:
    """What a malicious file would hold."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = put({"format": 1, "policy": Bomb()}, tmp_path / "1.pt")
    with pytest.raises(DamagedCheckpointError, match="something other than tensors, numbers and strings"):
        read(file)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("version", [0, 1, None])
def test_a_checkpoint_of_another_format_is_refused_and_left_alone(version, tmp_path):
    learn(PlasticPPO, tmp_path, stop=True)
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    content = put({**read(newest), "format": version, "plastic_rl": "7.0"}, newest).read_bytes()
    with pytest.raises(OtherFormatError) as refused:
        learn(PlasticPPO, tmp_path, resume=True)
    said = f"is of format {version}, written by plastic_rl 7.0; this version reads format 2"
    assert str(refused.value) == f"checkpoint {newest.name} {said}"
    assert newest.read_bytes() == content


@pytest.mark.parametrize("content", [[1], {}, "text", {"formats": 1}])
def test_a_whole_file_that_is_no_checkpoint(content, tmp_path):
    with pytest.raises(DamagedCheckpointError, match="holds something other than"):
        read(put(content, tmp_path / "1.pt"))


def test_a_full_disk_is_said_once_and_does_not_stop_the_training(tmp_path, capsys):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for step in range(0, STEPS, 64):  # where each checkpoint is written first, the kernel has no space left
        (folder / f"{step:015d}.{os.getpid()}.part").symlink_to("/dev/full")
    whole = learn(PlasticPPO, tmp_path)
    assert whole.num_timesteps == STEPS
    assert capsys.readouterr().err.count("No space left on device; training goes on") == 1
    assert list(folder.iterdir()) == []


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path):
    learn(PlasticPPO, tmp_path, stop=True)
    with pytest.raises(ValueError, match="is of PlasticPPO, not of PlasticA2C"):
        learn(PlasticA2C, tmp_path, resume=True)
