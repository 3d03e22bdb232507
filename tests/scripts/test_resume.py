"""A training that is killed at any moment and resumed ends with the same parameters, bit for bit."""

import contextlib
import hashlib
import io
import os
import random
import subprocess
import sys
import zipfile

import pytest
import torch

from plastic_rl.agents.checkpoint import checkpoints, read
from plastic_rl.scripts import train
from tests.scripts.small_runs import refusal

SETTINGS = [
    "n_steps:20",
    "n_envs:4",
    "batch_size:40",
    "policy_kwargs:dict(core_kwargs=dict(hidden_size=16, rule='oja'))",
]
RUN = ["--algo", "plastic_ppo", "--env", "plastic_rl/Maze-v0", "--env-kwargs", "episode_steps:20"]
ROLLOUT = 80  # steps, after which there is a checkpoint
LENGTH = ["--seed", "5", "--verbose", "0", "--checkpoint-seconds", "0", "-params", *SETTINGS]


def start(*arguments):
    command = [sys.executable, "-m", "plastic_rl.scripts.train", *arguments]
    nowhere, environment = subprocess.DEVNULL, {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=environment)


def command(folder, rollouts):
    """Return what begins a training, and its run folder."""
    words = [*RUN, *LENGTH, "-n", str(rollouts * ROLLOUT), "-f", str(folder), "-tb", str(folder / "tb")]
    return words, folder / "plastic_ppo" / "plastic_rl-Maze-v0_1"


def parts(run):
    with contextlib.suppress(FileNotFoundError):
        return {name for name in os.listdir(run / "checkpoints") if name.endswith(".part")}
    return set()


def kill(process):
    """Kill -9; return whether it was still running."""
    process.kill()
    return process.wait() != 0


def kill_in_a_write(process, run, which):
    """Kill a training when some checkpoint is just being written; return whether half of it is left."""
    seen, old = set(), parts(run)
    while process.poll() is None and len(seen) < which:
        seen |= parts(run) - old
    return kill(process) and bool(parts(run))


def kill_somewhere(process, seconds, rng):
    """Kill a training at a random moment, between its start and its end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0, seconds))
    return kill(process)


def killed_in_a_write(folder, rollouts, rng):
    """Begin a training and kill it in the middle of a write. Return it, and the kills that it took."""
    words, run = command(folder, rollouts)
    process, kills = start(*words), 1
    while not kill_in_a_write(process, run, rng.randint(1, rollouts // 5)):
        assert kills < 20
        process = start("--resume", str(run))
        kills += 1
    return run, kills


def parameters(run):
    (file,) = run.glob("*.zip")
    return torch.load(io.BytesIO(zipfile.ZipFile(file).read("policy.pth")), weights_only=True)


@pytest.fixture
def whole(tmp_path):
    """A function that trains without a kill, in this process, and returns the parameters."""

    def train_whole(rollouts):
        words, run = command(tmp_path / "whole", rollouts)
        train.main(words)
        return parameters(run)

    return train_whole


@pytest.mark.slow
def test_killed_in_the_middle_of_a_write_and_resumed(whole, tmp_path):
    run, _ = killed_in_a_write(tmp_path, 30, random.Random(1))
    train.main(["--resume", str(run)])
    torch.testing.assert_close(parameters(run), whole(30), rtol=0, atol=0)


@pytest.mark.slow
def test_killed_in_a_write_and_then_somewhere_fifty_times(whole, tmp_path):
    expected, rng, total, times = whole(100), random.Random(50), 0, 50
    for i in range(times):
        run, kills = killed_in_a_write(tmp_path / str(i), 100, rng)
        kills += kill_somewhere(start("--resume", str(run)), 8.0, rng)
        assert start("--resume", str(run)).wait() == 0
        torch.testing.assert_close(parameters(run), expected, rtol=0, atol=0)
        total += kills
        print(f"{i + 1} trainings, each killed in the middle of a write, {total} kills in all: the same parameters")


def test_what_cannot_be_resumed_is_one_line(tmp_path, capsys):
    assert "is no run folder that can go on" in refusal(capsys, train.main, ["--resume", tmp_path])
    assert "goes on with the run's own settings" in refusal(capsys, train.main, ["--resume", tmp_path, "-n", "100"])


def test_a_run_of_another_version_is_not_resumed(tmp_path, capsys):
    small = ["-n", "160", "--verbose", "0", "-params", *SETTINGS, "-f", str(tmp_path), "-tb", ""]
    train.main([*RUN, *small])
    run = tmp_path / "plastic_ppo" / "plastic_rl-Maze-v0_1"
    newest = checkpoints(run / "checkpoints")[-1]
    file = io.BytesIO()
    torch.save({**read(newest), "format": 9}, file)
    newest.write_bytes(file.getvalue() + hashlib.sha256(file.getvalue()).digest())
    assert f"checkpoint {newest.name} is of format 9" in refusal(capsys, train.main, ["--resume", run])
    (settings,) = run.glob("*/run.json")
    settings.write_text('{"format": 9, "plastic_rl": "7.0"}')
    expected = "run.json is of another version: format 9, written by plastic_rl 7.0"
    assert expected in refusal(capsys, train.main, ["--resume", run])
