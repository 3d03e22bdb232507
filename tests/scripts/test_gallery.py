"""The gallery's page and pictures, from a run of one task and the oracle of another."""

import importlib.util
from pathlib import Path

import imageio.v3 as iio
import pytest

from tests.scripts.small_runs import refusal

PATH = Path(__file__).parents[2] / "docs" / "gallery.py"
SPEC = importlib.util.spec_from_file_location("gallery", PATH)
gallery = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gallery)


def test_shows_the_agent_where_there_is_a_run_and_else_the_oracle(plastic_run, tmp_path):
    tasks = ["--tasks", "plastic_rl/Maze-v0", "plastic_rl/PatternRecall-v0"]
    gallery.main([str(plastic_run), "-o", str(tmp_path), *tasks])
    page = (tmp_path / "gallery.md").read_text()
    maze, recall = page.split("## ")[1:]
    assert "score" in maze
    assert "'size': 5" in maze
    assert "oracle" in recall
    assert len(iio.imread(tmp_path / "gallery" / "Maze-v0.gif")) == 21
    assert len(iio.imread(tmp_path / "gallery" / "PatternRecall-v0.gif")) == 7


def test_long_episodes_are_shown_from_both_ends():
    assert gallery.chosen_steps(5) == [0, 1, 2, 3, 4]
    steps = gallery.chosen_steps(1000)
    assert len(steps) == gallery.MOST
    assert (steps[0], steps[-1]) == (0, 999)


def test_a_data_set_that_is_missing_leaves_its_task_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PLASTIC_RL_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    gallery.main(["-o", str(tmp_path), "--tasks", "plastic_rl/OneShotOmniglot-v0"])
    assert "left out plastic_rl/OneShotOmniglot-v0" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [(["--tasks", "plastic_rl/Mase-v0"], "did you mean"), ([], "two")])
def test_says_what_is_wrong(plastic_run, arguments, message, capsys):
    assert message in refusal(capsys, gallery.main, [plastic_run, plastic_run, *arguments])
