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
# A checkpoint after each of 100 rollouts.
LENGTH = ["--seed", "5", "-n", "8000", "--verbose", "0", "--checkpoint-seconds", "0", "-params", *SETTINGS]


def start(*arguments):
    command = [sys.executable, "-m", "plastic_rl.scripts.train", *arguments]
    nowhere, environment = subprocess.DEVNULL, {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=nowhere, stderr=nowhere, env=environment)


def begin(folder):
    process = start(*RUN, *LENGTH, "-f", str(folder), "-tb", str(folder / "tb"))
    return process, folder / "plastic_ppo" / "plastic_rl-Maze-v0_1"


def parts(run):
    with contextlib.suppress(FileNotFoundError):
        return {name for name in os.listdir(run / "checkpoints") if name.endswith(".part")}
    return set()


def kill(process):
    """Kill -9; return whether it was still running."""
    process.kill()
    return process.wait() != 0


def kill_in_a_write(process, run, rng):
    """Kill a training when some checkpoint is just being written; return whether half of it is left."""
    seen, which, old = set(), rng.randint(1, 20), parts(run)
    while process.poll() is None and len(seen) < which:
        seen |= parts(run) - old
    return kill(process) and bool(parts(run))


def kill_somewhere(process, seconds, rng):
    """Kill a training at a random moment, between its start and its end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0, seconds))
    return kill(process)


def killed_and_resumed(folder, rng):
    """Begin a training; kill it in the middle of a write, then somewhere; let it end. Return it, and the kills."""
    process, run = begin(folder)
    kills = 1
    while not kill_in_a_write(process, run, rng):
        assert kills < 20
        process = start("--resume", str(run))
        kills += 1
    kills += kill_somewhere(start("--resume", str(run)), 8.0, rng)
    assert start("--resume", str(run)).wait() == 0
    return run, kills


def parameters(run):
    (file,) = run.glob("*.zip")
    return torch.load(io.BytesIO(zipfile.ZipFile(file).read("policy.pth")), weights_only=True)


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_and_resumed(times, tmp_path):
    process, whole = begin(tmp_path / "whole")
    assert process.wait() == 0
    expected = parameters(whole)
    rng = random.Random(times)
    total = 0
    for i in range(times):
        run, kills = killed_and_resumed(tmp_path / str(i), rng)
        for name, value in parameters(run).items():
            assert torch.equal(value, expected[name]), f"{name} differs after training {i}"
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
