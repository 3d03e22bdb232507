"""Sphinx extension: pages whose text is a Markdown file of the repository's root, with its links made to fit."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = {
    "project/results": "RESULTS.md",
    "project/contributing": "CONTRIBUTING.md",
    "project/architecture": "ARCHITECTURE.md",
    "project/changelog": "CHANGELOG.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def fitted(text: str) -> str:
    """Return the text of a root file as a page in `docs/project`; a link to what is no page becomes plain text."""
    names = {file: f"{page.removeprefix('project/')}.md" for page, file in PAGES.items()}

    def replace(match: re.Match[str]) -> str:
        image, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        page = names.get(target) or (f"../{target.removeprefix('docs/')}" if target.startswith("docs/") else None)
        if image:
            return f"![{label}](../../{target})"
        return f"[{label}]({page}{anchor})" if page else label

    return LINK.sub(replace, text)


def _read(app: Any, docname: str, source: list[str]) -> None:
    if docname in PAGES:
        path = ROOT / PAGES[docname]
        app.env.note_dependency(str(path))
        source[0] = fitted(path.read_text())


def setup(app: Any) -> dict[str, Any]:
    """Register the reading of these pages."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
