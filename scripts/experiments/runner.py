"""What a sweep does on the machine that a run was given to."""

import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from plastic_rl.scripts.experiments.grid import SweepRun
from plastic_rl.scripts.runs.process import train, write_whole

FINISHED = "finished.json"
ATTEMPTS = "attempts.txt"


def work(run: SweepRun, runs: Path, here: str) -> None:
    """Train, from the last checkpoint where the run was begun before; do nothing where it was finished.

    Args:
        run: what to train.
        runs: the folder of all runs, which all machines see.
        here: the working folder of the sweep, for modules of one's own.

    Raises:
        KilledError: its process was killed.
        RuntimeError: the training failed.
    """
    folder = runs / run.name
    if finished(folder) is not None:
        return
    if os.path.isdir(here):
        os.chdir(here)
    argv = _command(run, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ATTEMPTS).open("a") as file:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), socket.gethostname(), os.getpid(), file=file)
    train(argv, folder / "log.txt", run.threads)
    (found,) = folder.glob("*/*/*/run.json")
    facts = {"folder": str(found.parents[1].relative_to(folder)), "attempts": attempts(folder)}
    write_whole(folder / FINISHED, json.dumps(facts))


def _command(run: SweepRun, folder: Path) -> list[str]:
    """Return the flags of `train` that begin the run or go on with it."""
    for command in folder.glob("*/*/*/command.json"):
        return ["--resume", str(command.parents[1])]
    for left in folder.glob("*/"):  # it was killed before there was anything to go on from
        shutil.rmtree(left)
    return ["--verbose", "0", *run.argv, "-f", str(folder), "-tb", str(folder / "tb")]


def finished(folder: Path) -> dict[str, Any] | None:
    """Return what a run's folder says of its end; None before it."""
    try:
        return json.loads((folder / FINISHED).read_text())
    except FileNotFoundError:
        return None


def attempts(folder: Path) -> int:
    """Return how often a run was started."""
    try:
        return (folder / ATTEMPTS).read_text().count("\n")
    except FileNotFoundError:
        return 0
