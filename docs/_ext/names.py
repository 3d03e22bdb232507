"""Sphinx extension: the directive `names`, a table of what `plastic_rl` itself exports."""

import inspect
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

MODULES = ("agents", "cores", "envs", "envs.wrappers", "ops")


class Names(SphinxDirective):
    """A table of names: each with the first line of its docstring."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        package = import_module("plastic_rl")
        homes = [import_module(f"plastic_rl.{module}") for module in MODULES]
        lines = ["| name | what it is |", "|---|---|"]
        for name in package.__all__:
            home = next((module for module in homes if name in module.__all__), package)
            summary = (inspect.getdoc(getattr(package, name)) or "").partition("\n")[0]
            lines.append(f"| {{py:obj}}`{name} <{home.__name__}.{name}>` | {summary.replace('|', chr(92) + '|')} |")
        node = nodes.section()
        node.document = self.state.document
        self.state.nested_parse(StringList(lines, source="names"), self.content_offset, node)
        return node.children


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("names", Names)
    return {"parallel_read_safe": True}
