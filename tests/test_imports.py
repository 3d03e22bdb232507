"""The dependency arrows hold, in the source and in a fresh process."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RL = ("gymnasium", "stable_baselines3", "sb3_contrib", "rl_zoo3")
FORBIDDEN = {
    "envs": ("torch", "plastic_rl.agents", "plastic_rl.cores", "plastic_rl.ops", "plastic_rl.scripts", *RL[1:]),
    "plastic_rl/ops": ("plastic_rl.cores", "plastic_rl.agents", "plastic_rl.envs", "plastic_rl.scripts", *RL),
    "plastic_rl/cores": ("plastic_rl.agents", "plastic_rl.envs", "plastic_rl.scripts", *RL),
    "agents": ("plastic_rl.scripts", "plastic_rl.ops", "rl_zoo3"),
}
FILES = [(folder, path) for folder in FORBIDDEN for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
    return names


@pytest.mark.parametrize(("folder", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES])
def test_imports_follow_the_arrows(folder, path):
    against = [n for n in imported(path) for f in FORBIDDEN[folder] if n == f or n.startswith(f + ".")]
    assert not against


@pytest.mark.parametrize("folder", ["envs", "agents", "scripts", "plastic_rl"])
def test_nothing_is_imported_by_its_generic_name(folder):
    for path in (ROOT / folder).rglob("*.py"):
        assert not {n.split(".")[0] for n in imported(path)} & {"envs", "agents", "scripts"}, path


def test_making_an_environment_loads_no_torch():
    code = (
        "import sys, gymnasium, plastic_rl; env = gymnasium.make('plastic_rl/Maze-v0'); env.reset(seed=0);"
        "env.step(0); sys.exit(any(m.split('.')[0] in ('torch', 'stable_baselines3', 'pygame') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_checkout_without_symbolic_links_says_what_to_do(tmp_path):
    """As git leaves it where it may make none: a file with the link's target in it."""
    package = tmp_path / "plastic_rl"
    package.mkdir()
    (package / "__init__.py").write_bytes((ROOT / "plastic_rl" / "__init__.py").read_bytes())
    for name in ("agents", "envs", "scripts"):
        (package / name).write_text(f"../{name}")
    command = [sys.executable, "-S", "-c", "import plastic_rl"]  # without the hook of an editable install
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert "ImportError: plastic_rl/envs" in done.stderr
    assert "git config core.symlinks true" in done.stderr


def test_every_package_on_disk_is_listed():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    folders = {p.parent.relative_to(ROOT) for p in (ROOT / "plastic_rl").glob("**/__init__.py")}
    for top in ("envs", "agents", "scripts"):
        folders |= {Path("plastic_rl") / p.parent.relative_to(ROOT) for p in (ROOT / top).glob("**/__init__.py")}
    assert listed == {".".join(folder.parts) for folder in folders}
