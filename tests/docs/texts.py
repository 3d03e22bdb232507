"""The texts that these tests read: pages, tutorials, the files of the root, and every module of the package."""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

sys.path.insert(0, str(DOCS / "_ext"))  # the site's own extensions


def pages() -> list[Path]:
    """Return the Markdown files that users read."""
    found = [path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)]
    return sorted(found) + [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]


def tutorials() -> list[Path]:
    """Return the scripts of the tutorials."""
    return sorted((DOCS / "tutorials").glob("*.py"))


def sources() -> list[Path]:
    """Return the modules of the package, whose docstrings and messages users read."""
    folders = ("plastic_rl", "envs", "agents", "scripts")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if not _linked(path))


def _linked(path: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents)


class Block(NamedTuple):
    """A fenced block of a page: its language, the comment above it, its first line in the file, and its text."""

    language: str
    comment: str
    line: int
    text: str


FENCE = re.compile(r"^(?:<!-- (?P<comment>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(m["language"], m["comment"] or "", text.count("\n", 0, m.start("text")) + 1, m["text"])
        for m in FENCE.finditer(text)
    ]
