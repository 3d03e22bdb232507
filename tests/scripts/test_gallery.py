"""The gallery's page and pictures, from a run of one task and the oracle of another."""

import imageio.v3 as iio
import pytest

from plastic_rl.scripts import gallery, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    small = ["--env-kwargs", "size:5", "episode_steps:20", "-params", "n_envs:4", "n_steps:20", "batch_size:40"]
    train.main([*small, "-f", str(folder), "-tb", "", "-n", "80", "--verbose", "0", "--core-kwargs", "hidden_size:8"])
    return str(folder / "plastic_ppo" / "plastic_rl-Maze-v0_1")


def test_shows_the_agent_where_there_is_a_run_and_else_the_oracle(run, tmp_path):
    gallery.main([run, "-o", str(tmp_path), "--tasks", "plastic_rl/Maze-v0", "plastic_rl/PatternRecall-v0"])
    page = (tmp_path / "gallery.md").read_text()
    maze, recall = page.split("## ")[1:]
    assert "score" in maze
    assert "'size': 5" in maze
    assert "oracle" in recall
    assert len(iio.imread(tmp_path / "gallery" / "Maze-v0.gif")) == 21
    assert len(iio.imread(tmp_path / "gallery" / "PatternRecall-v0.gif")) == 7


def test_long_lives_are_shown_from_both_ends():
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
def test_says_what_is_wrong(run, arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        gallery.main([run, run, *arguments])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
