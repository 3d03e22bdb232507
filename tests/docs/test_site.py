"""The site builds without a warning, and its reference has every name of the public surface."""

import os
import subprocess
import sys
from importlib import import_module

import pytest
from sphinx.util.inventory import InventoryFile

from tests.api import surface
from tests.docs.texts import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the built site; the tutorials are shown without output."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(folder / "doctrees"), str(DOCS)]
    subprocess.run([*command, str(folder / "html")], env={**os.environ, "DOCS_RUN": "0"}, cwd=ROOT, check=True)
    return folder / "html"


def _is_second_name(module, name):
    return getattr(getattr(import_module(module), name), "__name__", name) != name


@pytest.mark.slow
def test_the_reference_has_every_public_name(site):
    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, target: target)
    names = {name for kind, found in inventory.items() if kind.startswith("py:") for name in found}
    lines = [line.partition("(")[0].split() for line in surface()]
    # What stands in `plastic_rl` itself is indexed where it comes from, and a second name of a class under the first.
    public = {
        f"{module}.{name}"
        for module, name, *_ in lines
        if module.startswith("plastic_rl.") and not _is_second_name(module, name.partition(".")[0])
    }
    assert not sorted(name for name in public if name not in names)


@pytest.mark.slow
def test_the_reference_has_every_environment_core_and_option(site):
    text = {page: (site / page).read_text() for page in ("api/commands.html", "cores.html", "tasks.html")}
    for line in surface():
        kind, name, *rest = line.partition("(")[0].split()
        if kind == "environment":
            assert name.rpartition("/")[2] in text["tasks.html"], name
        elif kind == "core":
            assert name in text["cores.html"], name
        elif kind == "command":
            assert f"plastic-rl {name}" in text["api/commands.html"], name
            assert all(f">{word}<" in text["api/commands.html"] for word in rest), line
