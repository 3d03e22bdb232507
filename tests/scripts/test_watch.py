"""A life beside its memory: what is recorded, drawn and written."""

from io import StringIO
from itertools import pairwise

import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console

from plastic_rl.scripts import train, watch
from plastic_rl.scripts.figures.episode import EpisodeFigure
from plastic_rl.scripts.figures.recording import Moment, choice_names, record
from plastic_rl.scripts.figures.terminal import Scene, bar_of, shrink
from plastic_rl.scripts.runs.folder import open_run


def trained(folder, env, *more):
    arguments = ["--env", env, "-f", str(folder), "-tb", "", "-n", "80", "--verbose", "0", "--seed", "1"]
    train.main([*arguments, "-params", "n_envs:4", "n_steps:20", "batch_size:40", *more])
    return next((folder / "plastic_ppo").iterdir())


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    small = ["--env-kwargs", "size:5", "episode_steps:20", "--core-kwargs", "hidden_size:8"]
    return trained(tmp_path_factory.mktemp("maze"), "plastic_rl/Maze-v0", *small)


@pytest.fixture(scope="module")
def recall(tmp_path_factory):
    core = ["--core", "retroactive", "--core-kwargs", "hidden_size:8"]
    return trained(tmp_path_factory.mktemp("recall"), "plastic_rl/PatternRecall-v0", *core)


def moments_of(folder, mode="rgb_array", deterministic=False):
    run = open_run(str(folder))
    model = run.load("cpu")
    return list(record(run, model, 3, deterministic, mode)), model


def test_a_life_is_recorded_to_its_end(maze):
    moments, _ = moments_of(maze)
    assert len(moments) == 20 + 1
    assert [moment.action is None for moment in moments] == [False] * 20 + [True]
    assert not moments[0].traces["trace"].any()  # nothing was active before the first step
    assert moments[-2].traces["trace"].any()
    assert all(moment.choices.sum() == pytest.approx(1, abs=1e-5) for moment in moments)
    assert not np.array_equal(moments[-1].picture, moments[0].picture)


def test_the_same_seed_is_the_same_life(maze):
    (one, _), (other, _) = moments_of(maze), moments_of(maze)
    assert [m.total for m in one] == [m.total for m in other]
    assert np.array_equal(one[-1].traces["trace"], other[-1].traces["trace"])


def test_the_most_probable_actions_are_those_played(maze):
    moments, _ = moments_of(maze, deterministic=True)
    assert all(moment.action == moment.choices.argmax() for moment in moments[:-1])


def test_the_end_shows_the_last_observation_and_not_the_next_life(recall):
    moments, _ = moments_of(recall, "ansi")
    assert "step 6/6" in moments[-1].picture.replace("step: ", "step ")


def test_modulation_and_both_traces_of_a_retroactive_core(recall):
    moments, _ = moments_of(recall)
    assert set(moments[0].traces) == {"trace", "eligibility"}
    assert all(-1 <= moment.modulation <= 1 for moment in moments)


def test_ways_through_the_maze_start_anew_at_each_reward(maze):
    moments, _ = moments_of(maze)
    ways = [moment.way for moment in moments]
    assert ways[-1].found == sum(after.total > before.total for before, after in pairwise(moments))
    for before, after in pairwise(ways):
        if after.found > before.found:
            assert after.last == (len(before.points), before.least)
            assert after.last[0] >= after.last[1]
            assert len(after.points) == 1
        else:
            assert len(after.points) == len(before.points) + 1


@pytest.mark.parametrize("suffix", [".gif", ".mp4", ".png"])
def test_writes_pictures(maze, suffix, tmp_path, capsys):
    output = tmp_path / "new" / f"life{suffix}"
    watch.main([str(maze), "-o", str(output), "--every", "8", "--dpi", "40"])
    frames = iio.imread(output, index=None if suffix == ".png" else ...)
    assert frames.shape[-3:-1] == (256, 480)
    assert f"{1 if suffix == '.png' else 4} pictures" in capsys.readouterr().out
    if suffix == ".gif":
        assert len(frames) == 4


@pytest.mark.parametrize(
    ("env", "arguments"),
    [
        ("CartPole-v1", ["--core", "lstm", "--core-kwargs", "hidden_size:8"]),
        ("Pendulum-v1", ["--core-kwargs", "hidden_size:8"]),
        ("CartPole-v1", ["--algo", "ppo"]),
    ],
)
def test_any_algorithm_core_and_environment(env, arguments, tmp_path):
    logs = ["-f", str(tmp_path), "-tb", "", "-n", "64", "--verbose", "0", "-params", "n_envs:2", "n_steps:32"]
    train.main(["--env", env, *arguments, *logs])
    folder = next(path.parent for path in tmp_path.glob("*/*/*.zip"))
    watch.main([str(folder), "-o", str(tmp_path / "life.png"), "--steps", "4"])
    assert iio.imread(tmp_path / "life.png").shape == (512, 960, 3)


def test_many_choices_are_drawn_as_cells():
    picture, activity = np.zeros((10, 10, 3), np.uint8), np.zeros(3)
    moments = [Moment(picture, 0.0, {}, activity, None, np.full(30, p), np.zeros(30), None) for p in (0.1, 0.9)]
    figure = EpisodeFigure(moments, spaces.MultiBinary(30), "title")
    assert not np.array_equal(figure.frame(0), figure.frame(1))


def test_names_of_several_actions():
    kind, names = choice_names(spaces.MultiDiscrete([2, 3]))
    assert names == ["0: 0", "0: 1", "1: 0", "1: 1", "1: 2"]
    assert "probability" in kind


def test_in_the_terminal(maze, recall, capsys):
    watch.main([str(maze), "--ansi"])
    assert capsys.readouterr().out.count("reward so far") == 21
    watch.main([str(recall), "--ansi", "--steps", "2"])
    output = capsys.readouterr().out
    assert output.count("eligibility") == 3
    assert "M(t)" in output


def test_a_terminal_of_80_columns_is_wide_enough(maze):
    moments, model = moments_of(maze, "ansi")
    console = Console(width=80, record=True, file=StringIO())
    console.print(Scene(model.action_space, "title").draw(0, moments[5]))
    assert console.export_text().count("│") >= 2 * len(moments[5].picture.splitlines())


def test_shrinking_keeps_what_is_strong():
    matrix = np.zeros((50, 50))
    matrix[17, 31] = -3
    small = shrink(matrix, 10)
    assert small.shape == (10, 10)
    assert small.min() == -3


def test_bars():
    assert [len(bar_of(value)) for value in (0, 0.5, 1)] == [0, 8, 16]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["-o", "life.avi"], "--output"), (["--fps", "0"], "--fps"), (["--every", "-1"], "--every"), ([], "no folder")],
)
def test_says_what_is_wrong(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        watch.main(["no_such_run", *arguments])
    error = capsys.readouterr().err.strip()
    assert left.value.code == 2
    assert message in error
    assert "\n" not in error
