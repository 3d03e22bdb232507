"""What `train --resume RUN` starts from: the command line that began the run."""

import json
import os
from pathlib import Path

from plastic_rl.files import write_whole
from plastic_rl.scripts import refuse
from plastic_rl.scripts.runs.file import RunFileError, check_format

RESUMED_WITH = ("progress", "verbose", "num_threads")  # options that may stand beside --resume
TORCHRUN = "torchrun_id"


def write_command(folder: Path, argv: list[str]) -> None:
    """Write the command line of a run, its seed among it, so that it can be run again; and `torchrun`'s name for it."""
    write_whole(folder / "command.json", json.dumps(argv))
    if (name := os.environ.get("TORCHELASTIC_RUN_ID")) is not None:
        (folder / TORCHRUN).write_text(name)


def unfinished_run(argv: list[str], log_folder: str) -> str | None:
    """Return the run folder that this `torchrun` began with the same command line and has not finished.

    There is one where a process of it died and `torchrun` starts all of them again, and where a job with an
    `--rdzv-id` of its own was stopped and is started again.

    Args:
        argv: the command line.
        log_folder: where its runs are.
    """
    if (name := os.environ.get("TORCHELASTIC_RUN_ID")) is None:
        return None
    found = [file for file in Path(log_folder).glob(f"*/*/*/{TORCHRUN}") if file.read_text() == name]
    for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True):
        run = str(file.parents[1])
        if read_command(run)[: len(argv)] == argv:
            return run
    return None


def finish(folder: Path) -> None:
    """Say that a run needs not go on."""
    (folder / TORCHRUN).unlink(missing_ok=True)


def read_command(run: str) -> list[str]:
    """Return the command line that began a run.

    It is run again as it is, and hyperparameters on it are Python expressions: resume runs of your own.

    Raises:
        UsageError: there is none, or the run is of another version.
    """
    found = sorted(Path(run).glob("*/command.json"))
    if not found:
        refuse(f"--resume {run!r} is no run folder that can go on: it holds no */command.json")
    try:
        check_format(found[0].parent)
        argv = json.loads(found[0].read_text())
    except RunFileError as error:
        refuse(f"--resume {run!r}: {error}")
    except ValueError as error:
        refuse(f"--resume {run!r}: {found[0].name} is damaged: {error}")
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        refuse(f"--resume {run!r}: {found[0].name} must hold a list of words")
    return argv
