"""What `train --resume RUN` starts from: the command line that began the run."""

import json
from pathlib import Path

from plastic_rl.scripts.names import refuse

ALLOWED = ("-P", "--progress", "--verbose", "--num-threads")


def write_command(folder: Path, argv: list[str]) -> None:
    """Write the command line of a run, its seed among it, so that it can be run again."""
    part = folder / "command.part"
    part.write_text(json.dumps(argv))
    part.replace(folder / "command.json")


def read_command(run: str) -> list[str]:
    """Return the command line that began a run.

    It is run again as it is, and hyperparameters on it are Python expressions: resume runs of your own.

    Leaves with one line and exit code 2 where there is none, or the run is of another version.
    """
    from plastic_rl.scripts.run_file import RunFileError, check_format

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


def check_allowed(words: list[str]) -> None:
    """Leave with one line where `--resume` comes with what would change the run."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if wrong := [option for option in options if option not in ALLOWED]:
        refuse(
            f"--resume goes on with the run's own settings; beside it stand only {', '.join(ALLOWED)}, not {wrong[0]}"
        )
