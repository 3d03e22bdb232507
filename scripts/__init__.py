"""The commands: `plastic-rl COMMAND`, or `python -m plastic_rl.scripts.COMMAND`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import NoReturn

from plastic_rl.arguments import UnknownNameError


class UsageError(ValueError):
    """What a user asked for cannot be done; the message is one line that says why."""


def refuse(message: str) -> NoReturn:
    """Raise a `UsageError`, which a command prints before it leaves with exit code 2."""
    raise UsageError(message)


def command(main: Callable[[Sequence[str]], None]) -> Callable[..., None]:
    """Make a function the main function of a command: it prepares the process, and errors of usage are one line."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> None:
        _prepare_process()
        try:
            main(sys.argv[1:] if argv is None else [*argv])
        except (UsageError, UnknownNameError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            raise SystemExit(2) from None

    return run


def command_parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return a command's parser, without options so far; its help begins with the docstring of the module."""
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"plastic-rl {name}", description=about, formatter_class=raw)


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
