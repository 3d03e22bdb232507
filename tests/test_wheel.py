"""The wheel that users get: built from the sdist, installed into a fresh environment, imported from another folder."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT_EVERYTHING = """
import importlib, pkgutil, plastic_rl
names = [m.name for m in pkgutil.walk_packages(plastic_rl.__path__, "plastic_rl.")]
for name in names:
    if "triton" not in name:
        importlib.import_module(name)
print(plastic_rl.__file__, *names, sep="\\n")
"""


def run(*command, cwd, **environment):
    environment = {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **environment}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


def test_holds_every_module_and_data_file_and_nothing_generic(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"plastic_rl"}
    for top in ("envs", "agents", "scripts"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".yml", ".yaml"):
                assert f"plastic_rl/{path.relative_to(ROOT)}" in names
    for path in (ROOT / "plastic_rl").rglob("*.py"):
        assert str(path.relative_to(ROOT)) in names
    assert "plastic_rl/py.typed" in names


def test_imports_from_a_fresh_environment(wheel, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", wheel, cwd=tmp_path)
    # The dependencies are this environment's: on PYTHONPATH its editable install of plastic_rl is not followed.
    output = run(python, "-c", IMPORT_EVERYTHING, cwd=tmp_path, PYTHONPATH=sysconfig.get_path("purelib"))
    assert output.startswith(str(tmp_path))
    assert "plastic_rl.envs.registration" in output
