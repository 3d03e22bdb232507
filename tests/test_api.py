"""What users can name does not change without a word in CHANGELOG.md."""

import re
from pathlib import Path

import plastic_rl
from tests.api import FILE, surface, untold

ROOT = Path(__file__).parents[1]
VERSION, *RELEASED = FILE.read_text().splitlines()


def sections():
    """Return the changelog's sections by heading, the newest first."""
    parts = re.split(r"^## \[?([^\]\n]+)\]?.*\n", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_change_since_the_last_release_is_told():
    found = untold(RELEASED, surface(), sections()["Unreleased"])
    assert not found, "name these in backticks under Unreleased in CHANGELOG.md:\n" + "\n".join(found)


def test_the_last_release_is_the_same_everywhere():
    unreleased, released, *_ = sections()
    assert unreleased == "Unreleased"
    assert released == plastic_rl.__version__
    assert f"\nversion: {released}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"plastic_rl {released}" == VERSION


def test_a_change_is_told_by_its_name_in_backticks():
    old = ["plastic_rl.cores make_core(core)", "environment plastic_rl/Maze-v0(size=9)", "command evaluate --seed"]
    assert untold(old, old, "") == []
    new = ["plastic_rl.cores make_core(core, seed=None)", "environment plastic_rl/Maze-v0(size=11)"]
    changed = sorted({*old, *new})
    assert untold(old, new, "make_core, Maze-v0 and --seed are other ones") == changed
    assert untold(old, new, "`make_core2(...)`, `Maze-v01`, `--seeds`") == changed
    assert untold(old, new, "`make_core(core, seed)`, `plastic_rl/Maze-v0`; `evaluate` has no `--seed`") == []


def test_a_member_is_told_with_its_class():
    new = ["plastic_rl.envs Task(num_envs)", "plastic_rl.envs Task.state()"]
    assert untold([], new, "`Task` is new") == []
    assert untold([], new, "`Task.state()` is new") == new[:1]
