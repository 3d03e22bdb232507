"""A training that is killed at any moment and resumed ends with the same parameters, bit for bit."""

import io
import os
import random
import subprocess
import sys
import time
import zipfile

import pytest
import torch

SETTINGS = [
    "n_steps:20",
    "n_envs:4",
    "batch_size:40",
    "policy_kwargs:dict(core_kwargs=dict(hidden_size=16, rule='oja'))",
]
RUN = ["--algo", "plastic_ppo", "--env", "plastic_rl/Maze-v0", "--env-kwargs", "episode_steps:20"]
LENGTH = ["--seed", "5", "-n", "24000", "--verbose", "0", "--checkpoint-seconds", "0", "-params", *SETTINGS]


def train(*arguments, seconds=None):
    """Start `train`, kill it after some seconds; return how long it ran and its exit code."""
    command = [sys.executable, "-m", "plastic_rl.scripts.train", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    begin = time.monotonic()
    try:
        said = process.communicate(timeout=seconds)
        assert process.returncode == 0, said
    except subprocess.TimeoutExpired:
        process.kill()  # SIGKILL
        process.communicate()
    return time.monotonic() - begin, process.returncode


def parameters(folder):
    (file,) = folder.glob("plastic_ppo/*_1/*.zip")
    return torch.load(io.BytesIO(zipfile.ZipFile(file).read("policy.pth")), weights_only=True)


def kill_and_resume(folder, seconds, rng):
    """Kill a training once or more at random moments, until it ends; return how often."""
    kills = 0
    first = [*RUN, *LENGTH, "-f", str(folder), "-tb", str(folder / "tb")]
    while True:
        run = folder / "plastic_ppo" / "plastic_rl-Maze-v0_1"
        # What a kill before the run folder is there leaves is nothing: then it is begun again.
        begun = list(run.glob("*/command.json"))
        _, code = train(*(["--resume", str(run)] if begun else first), seconds=rng.uniform(0.5, 1.0) * seconds)
        if code == 0:
            return kills
        kills += 1


@pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_and_resumed(times, tmp_path):
    seconds, _ = train(*RUN, *LENGTH, "-f", str(tmp_path / "whole"), "-tb", str(tmp_path / "tb"))
    expected = parameters(tmp_path / "whole")
    rng = random.Random(times)
    kills = 0
    for i in range(times):
        now = 0
        while now == 0:  # until it was killed at least once
            now = kill_and_resume(tmp_path / f"{i}-{kills}", seconds, rng)
            kills += 1
        kills += now - 1
        folder = max(tmp_path.glob(f"{i}-*"), key=lambda path: path.stat().st_mtime)
        for name, value in parameters(folder).items():
            assert torch.equal(value, expected[name]), f"{name} differs after run {i}"
    print(f"{times} trainings were killed {kills} times; all ended with the same parameters")


def test_what_cannot_be_resumed_is_one_line(tmp_path):
    for arguments, message in [
        (["--resume", str(tmp_path)], "is no run folder that can go on"),
        (["--resume", str(tmp_path), "-n", "100"], "--resume goes on with the run's own settings"),
    ]:
        command = [sys.executable, "-m", "plastic_rl.scripts.train", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
