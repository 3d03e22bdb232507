"""Sphinx extension: the directive `commands`, the options of every command, read from its parser."""

import argparse
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command that has one, by its name."""
    from plastic_rl.scripts.cli import COMMANDS
    from plastic_rl.scripts.zoo import options

    found = {name: getattr(import_module(module), "PARSER", None) for name, module in COMMANDS.items()}
    found["train"] = options.make_parser()
    return {name: parser for name, parser in found.items() if parser is not None}


class Commands(SphinxDirective):
    """A section for each command: what it is for, its arguments and options."""

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        lines: list[str] = []
        for name, parser in parsers().items():
            about = parser.description or import_module(f"plastic_rl.scripts.{name}").__doc__ or ""
            lines += [f"## plastic-rl {name}", "", *about.strip().splitlines(), ""]
            lines += ["| argument or option | meaning |", "|---|---|"]
            for action in parser._actions:
                if action.dest == "help" or action.help == argparse.SUPPRESS:
                    continue
                words = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.dest}`"
                if action.option_strings and action.nargs != 0 and (value := action.metavar or action.choices):
                    words += f" {value}" if isinstance(value, str) else f" {' or '.join(map(str, value))}"
                text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
                lines.append(f"| {words} | {' '.join(text.split())} |".replace("||", r"\|\|"))
            lines.append("")
        node = nodes.section()
        node.document = self.state.document
        self.state.nested_parse(StringList(lines, source="commands"), self.content_offset, node, match_titles=True)
        return node.children


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
