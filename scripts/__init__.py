"""The commands: `plastic-rl COMMAND`, or `python -m plastic_rl COMMAND`."""

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from plastic_rl.arguments import UnknownNameError


class UsageError(ValueError):
    """What a user asked for cannot be done; the message is one line that says why."""


def refuse(message: str) -> NoReturn:
    """Raise a `UsageError`, which a command prints before it leaves with exit code 2."""
    raise UsageError(message)


def command(main: Callable[[list[str]], None]) -> Callable[..., None]:
    """Make a function the main function of a command: it prepares the process, and errors of usage are one line."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        _prepare_process()
        try:
            main(sys.argv[1:] if argv is None else [*argv])
            sys.stdout.flush()
        except (UsageError, UnknownNameError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            raise SystemExit(2) from None
        except BrokenPipeError:  # who reads, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at the end
            raise SystemExit(1) from None

    return run


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line; with `run` it takes a run folder, or with `"+"` several, and `--trust`."""

    def __init__(self, name: str, about: str | None = None, run: str | None = None, **how: Any) -> None:
        how = {"formatter_class": argparse.RawDescriptionHelpFormatter, **how}
        super().__init__(prog=f"plastic-rl {name}", description=about, **how)
        if run:
            several: dict[str, Any] = {"nargs": run} if run == "+" else {}
            self.add_argument("run", help="run folder, as `train` printed it, or pretrained/NAME", **several)
            self.add_argument("--trust", action="store_true", help="read pickled files, which can execute code")

    def error(self, message: str) -> NoReturn:
        """Refuse in one line."""
        refuse(message)


def whole_number(text: str) -> int:
    """Return the value of an option that counts something."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (1 <= number < math.inf and number == int(number)):
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, such as 1e6, not {text!r}")
    return int(number)


def _prepare_process() -> None:
    """Set what libraries read when they are first imported, and make every stream accept every character."""
    os.environ["MPLBACKEND"] = "Agg"  # commands draw into files; a notebook's backend may be missing here
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        Path.home()
    except RuntimeError:  # a container's user without an entry in /etc/passwd
        os.environ["HOME"] = tempfile.gettempdir()
