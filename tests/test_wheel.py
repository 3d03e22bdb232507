"""The wheel that users get: built from the sdist, installed away from the source, imported from another folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"

IMPORT_EVERYTHING = """
import importlib, pkgutil, plastic_rl
names = [m.name for m in pkgutil.walk_packages(plastic_rl.__path__, "plastic_rl.")]
for name in names:
    if name.rpartition(".")[0] != "plastic_rl.ops.cuda" or name.endswith("backend"):  # the others import triton
        importlib.import_module(name)
print(plastic_rl.__file__, *names, sep="\\n")
"""

MAKE_ENVIRONMENTS = """
import gymnasium, plastic_rl
from plastic_rl.envs.registration import ENVIRONMENTS
for name in ENVIRONMENTS:
    if "Omniglot" not in name:
        env = gymnasium.make_vec(f"plastic_rl/{name}", 2)
        env.reset(seed=0)
        env.step(env.action_space.sample())
print(plastic_rl.__file__)
"""


def run(*command, cwd, path=""):
    environment = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    sdist = run(sys.executable, "-P", "-c", BUILD, "build_sdist", folder, cwd=ROOT).split()[-1]
    with tarfile.open(folder / sdist) as file:
        file.extractall(folder, filter="data")
    source = folder / sdist.removesuffix(".tar.gz")
    return folder / run(sys.executable, "-P", "-c", BUILD, "build_wheel", folder, cwd=source).split()[-1]


def test_holds_every_module_and_data_file_and_nothing_generic_or_compiled(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"plastic_rl"}
    assert not [name for name in names if "__pycache__" in name]  # where machine code lies, too
    for top in ("envs", "agents", "scripts"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".yml", ".yaml"):
                assert f"plastic_rl/{path.relative_to(ROOT)}" in names
    for path in (ROOT / "plastic_rl").rglob("*.py"):
        assert str(path.relative_to(ROOT)) in names
    assert "plastic_rl/py.typed" in names


def test_imports_where_it_is_installed(wheel, tmp_path):
    """Into a folder of its own; the dependencies are this environment's, whose plastic_rl comes after it."""
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", site, wheel,
        cwd=tmp_path)  # fmt: skip
    output = run(sys.executable, "-c", IMPORT_EVERYTHING, cwd=tmp_path, path=site)
    assert output.startswith(str(site))
    assert "plastic_rl.envs.registration" in output


def test_environments_run_from_the_wheel_as_it_is(wheel, tmp_path):
    assert run(sys.executable, "-c", MAKE_ENVIRONMENTS, cwd=tmp_path, path=wheel).startswith(str(wheel))
