"""A training that is killed at random moments and resumed ends with the same parameters, bit for bit.

Every training runs in a process of its own, writes a checkpoint after each rollout and is killed with SIGKILL twice.
"""

import multiprocessing
import random

import pytest
import torch
from layer_stacks import STACKS, learn, parameters_of

STEPS = 768  # 12 rollouts
CORE = {"core": "plastic", "core_kwargs": {"hidden_size": 6, "backend": "reference"}}  # it compiles nothing
PROCESSES = multiprocessing.get_context("forkserver")
COUNTS = {"native": 50, "VectorTrials": 20, "NormalizeReward": 20, "VecFrameStack": 20, "VecNormalize": 20}


def train(name, folder):
    """Begin a training, or go on from its last checkpoint; leave its parameters in a file."""
    torch.set_num_threads(1)
    resume = (folder / "checkpoints").exists()
    model = learn(STACKS[name](), folder / "checkpoints", resume, steps=STEPS, policy_kwargs=CORE)
    torch.save(parameters_of(model), folder / "parameters.pt")


def start(name, folder):
    folder.mkdir(exist_ok=True)
    process = PROCESSES.Process(target=train, args=(name, folder))
    process.start()
    return process


def killed(process, checkpoints, steps, delay):
    """Kill -9 so many seconds after a checkpoint of so many steps; return whether the training was still running."""
    while process.is_alive() and not any(int(file.stem) >= steps for file in checkpoints.glob("*.pt")):
        process.join(0.002)
    process.join(delay)
    process.kill()
    process.join()
    return process.exitcode != 0


def ended(process):
    process.join()
    assert process.exitcode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "times"), COUNTS.items())
def test_killed_and_resumed(name, times, tmp_path):
    ended(start(name, tmp_path / "whole"))
    expected = torch.load(tmp_path / "whole" / "parameters.pt")
    rng = random.Random(times)
    kills = in_writes = 0
    for i in range(times):
        folder = tmp_path / str(i)
        for steps in sorted(rng.sample(range(0, STEPS - 64, 64), 2)):
            kills += killed(start(name, folder), folder / "checkpoints", steps, rng.uniform(0, 0.05))
            in_writes += any((folder / "checkpoints").glob("*.part"))
        ended(start(name, folder))
        assert torch.equal(torch.load(folder / "parameters.pt"), expected), f"training {i} differs"
        print(f"{i + 1} trainings, {kills} kills, {in_writes} of them in a write: the same parameters")
    assert kills >= times
