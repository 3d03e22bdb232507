"""Trainings that take a second, and what a command says when it refuses."""

import pytest

from plastic_rl.scripts import train

MAZE = ["--env-kwargs", "size:5", "episode_steps:20"]
PARAMS = ["-params", "n_envs:4", "n_steps:20", "batch_size:40", "n_epochs:1"]
GRU = ["--core", "gru", "--core-kwargs", "hidden_size:8"]  # the core that compiles nothing


def trained(folder, *flags, small=(*MAZE, *PARAMS)):
    """Train 160 steps into a folder, by default in a small maze, and return the run folder."""
    train.main([*small, "-f", str(folder), "-tb", "", "-n", "160", "--verbose", "0", "--seed", "1", *flags])
    return max(folder.glob("*/*_*"), key=lambda path: path.stat().st_mtime)


def refusal(capsys, main, arguments):
    """Return the one line with which a command leaves that must not do what it is told."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    error = said.err.strip()
    assert left.value.code == 2
    assert said.out == ""
    assert error.startswith("error: ")
    assert "\n" not in error
    return error
