"""Sphinx extension: turns the docstrings, which are Markdown in Google style, into reStructuredText."""

import re
from typing import Any

from docutils import nodes

SECTIONS = ("Args:", "Attributes:", "Raises:", "Returns:", "Yields:", "Example:", "Examples:")


def convert(lines: list[str]) -> list[str]:
    """Return reStructuredText of a docstring, with Markdown's headings, tables, lists and indented blocks."""
    result: list[str] = []
    for paragraph in _paragraphs(lines):
        text = paragraph[0].strip()
        before = next((line for line in reversed(result) if line.strip()), "")
        if text.startswith("## "):
            result += [f".. rubric:: {text.lstrip('# ')}"]
            paragraph = paragraph[1:]
            if not paragraph:
                result.append("")
                continue
            result.append("")
            text = paragraph[0].strip()
        if text.startswith("|"):
            result += _table(paragraph)
        elif _starts_block(paragraph, before):
            result += [" " * (_indent(paragraph[0]) - 4) + "::", "", *paragraph]
        else:
            result += _lists(paragraph)
        result.append("")
    return result


def _paragraphs(lines: list[str]) -> list[list[str]]:
    """Split at blank lines; an indented block stays one paragraph across its own blank lines."""
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            paragraphs[-1].append(line.rstrip())
        elif paragraphs[-1]:
            paragraphs.append([])
    return [paragraph for paragraph in paragraphs if paragraph]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _starts_block(paragraph: list[str], before: str) -> bool:
    """Say whether a paragraph is code: indented by four more than the text before it, and no section."""
    if before.strip() in SECTIONS or before.strip().startswith(("-", "*", "..", ">>>")) or before.strip() == "::":
        return False
    indent = _indent(paragraph[0])
    in_block = before.strip() and _indent(before) == indent and indent >= 4
    deeper = indent >= 4 and _indent(before) <= indent - 4
    return deeper and not in_block and all(_indent(line) >= indent for line in paragraph)


def _lists(paragraph: list[str]) -> list[str]:
    """Put a blank line before a list that follows its introduction at once."""
    result: list[str] = []
    for line in paragraph:
        starts = re.match(r"\s*[-*] ", line)
        if starts and result and not re.match(r"\s*[-*] ", result[-1]) and _indent(line) <= _indent(result[-1]):
            result.append("")
        result.append(line)
    return result


def _table(rows: list[str]) -> list[str]:
    indent = " " * _indent(rows[0])
    cells = [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]] for row in rows]
    lines = [f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for row in [cells[0], *cells[2:]]:
        lines += [f"{indent}   {'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)]
    return lines


def _process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if name.startswith("plastic_rl"):
        lines[:] = [re.sub(r"(?<![\w*`])\*(?=\w+ \w+\))", r"\\*", line) for line in convert(lines)]


def _with_dashes(app: Any, doctree: nodes.document) -> None:
    """Make the two hyphens between a parameter and its description, which Sphinx writes itself, a dash."""
    for text in [text for text in doctree.findall(nodes.Text) if text.astext() == " -- "]:
        text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def setup(app: Any) -> dict[str, Any]:
    """Register the conversion, ahead of napoleon's."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("doctree-read", _with_dashes)
    return {"parallel_read_safe": True}
