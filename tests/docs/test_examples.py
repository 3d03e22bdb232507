"""Every Python block of the pages runs, and every tutorial. The fast tests cut trainings short."""

import runpy

import matplotlib
import pytest

from plastic_rl import PlasticA2C, PlasticBPTT, PlasticPPO
from tests.docs.texts import ROOT, blocks, pages, tutorials

matplotlib.use("agg")


def python_blocks(page):
    """Return the Python blocks of a page that run; a comment above one says why it does not."""
    found = [block for block in blocks(page) if block.language == "python"]
    return [block for block in found if not block.comment.startswith("not executed: ")]


def cases():
    for page in pages():
        found = python_blocks(page)
        slow = any(block.comment.startswith("slow: ") for block in found)
        if found:
            yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.slow] if slow else [])


@pytest.fixture(params=[1_000, pytest.param(None, marks=pytest.mark.slow)], ids=["cut short", "in full"])
def trainings(request, monkeypatch):
    """Let no training take more than some steps, or leave it as the page has it."""

    def cut(learn):
        return lambda self, n_steps, *more, **how: learn(self, min(n_steps, request.param), *more, **how)

    for algorithm in (PlasticA2C, PlasticBPTT, PlasticPPO) if request.param else ():
        monkeypatch.setattr(algorithm, "learn", cut(algorithm.learn))


@pytest.mark.usefixtures("trainings")
@pytest.mark.parametrize("page", list(cases()))
def test_python_blocks_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in python_blocks(page):
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, names)


@pytest.mark.slow
@pytest.mark.parametrize("script", tutorials(), ids=lambda path: path.name)
def test_a_tutorial_runs_as_a_plain_file(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
