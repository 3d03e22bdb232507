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


def test_listing_environments_and_making_one_loads_no_torch():
    code = (
        "import sys, gymnasium, plastic_rl; env = gymnasium.make('plastic_rl/Maze-v0'); env.reset(seed=0);"
        "env.step(0); from plastic_rl.scripts import cli; cli.main(['list', 'environments']);"
        "sys.exit(any(m.split('.')[0] in ('torch', 'stable_baselines3', 'pygame') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


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


COMMANDS = {path.stem: path for path in (ROOT / "scripts").glob("*.py") if path.stem not in ("__init__", "cli")}


def test_the_top_of_scripts_holds_only_commands():
    from plastic_rl.scripts import cli

    assert set(COMMANDS) == set(cli.COMMANDS) - {"zoo"}
    assert len(list((ROOT / "scripts").glob("*.py"))) <= 12
    for path in COMMANDS.values():
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree)
        (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
        assert [ast.unparse(decorator) for decorator in main.decorator_list] == ["command"], path


@pytest.mark.parametrize("path", [*(ROOT / "scripts").glob("*.py"), *(ROOT / "scripts").glob("*/*.py")], ids=str)
def test_nothing_imports_a_command(path):
    found = {name for name in imported(path) for command in COMMANDS if name == f"plastic_rl.scripts.{command}"}
    assert not found


def test_opening_a_run_folder_is_light():
    code = (
        "import sys; from plastic_rl.scripts.runs import file, folder, monitor, play, process;"
        "print({'optuna', 'rl_zoo3', 'plastic_rl.scripts.zoo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_command_sets_up_its_process_and_an_import_of_scripts_does_not():
    code = (
        "import os, plastic_rl; between = dict(os.environ);"
        "from plastic_rl.scripts import cli, train, watch, plot; print(between == dict(os.environ))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_what_only_maintainers_run_is_in_no_package():
    for path in (ROOT / "docs" / "gallery.py", ROOT / "tests" / "soak" / "soak.py"):
        assert path.exists()
    names = {path.stem for top in ("envs", "agents", "scripts", "plastic_rl") for path in (ROOT / top).rglob("*.py")}
    assert not names & {"gallery", "soak", "soak_tasks"}
