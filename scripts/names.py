"""Checks of the names on a command line, before anything starts."""

import difflib
import sys
from collections.abc import Iterable
from typing import NoReturn


def refuse(message: str) -> NoReturn:
    """Print one line on stderr and leave with exit code 2."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Leave with one line that suggests the nearest name, unless the name is known."""
    names = sorted(known)
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(names)}"
        refuse(f"{what} {name!r} is not known; {hint}")
