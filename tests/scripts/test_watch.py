"""An episode beside its memory: what is recorded, drawn and written."""

from io import StringIO

import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console

from plastic_rl.scripts import watch
from plastic_rl.scripts.figures import episode
from plastic_rl.scripts.figures.episode import EpisodeFigure
from plastic_rl.scripts.figures.recording import Moment, choice_names, chosen, record
from plastic_rl.scripts.figures.terminal import Scene, shrink
from plastic_rl.scripts.runs import folder
from plastic_rl.scripts.runs.folder import open_run
from tests.scripts.small_runs import GRU, PARAMS, refusal, trained


def moments_of(run_folder, mode="rgb_array", deterministic=False):
    run = open_run(str(run_folder))
    model = run.load("cpu")
    return list(record(run, model, 3, deterministic, mode)), model


def test_an_episode_is_recorded_to_its_end(plastic_run):
    moments, _ = moments_of(plastic_run)
    assert len(moments) == 20 + 1
    assert [moment.action is None for moment in moments] == [False] * 20 + [True]
    assert not moments[0].traces["trace"].any()  # nothing was active before the first step
    assert moments[-2].traces["trace"].any()
    assert all(moment.choices.sum() == pytest.approx(1, abs=1e-5) for moment in moments)
    assert not np.array_equal(moments[-1].picture, moments[0].picture)


def test_the_same_seed_is_the_same_episode(plastic_run):
    (one, _), (other, _) = moments_of(plastic_run), moments_of(plastic_run)
    assert [m.total for m in one] == [m.total for m in other]
    assert np.array_equal(one[-1].traces["trace"], other[-1].traces["trace"])


def test_the_most_probable_actions_are_those_played(plastic_run):
    moments, _ = moments_of(plastic_run, deterministic=True)
    assert all(moment.action == moment.choices.argmax() for moment in moments[:-1])


def test_the_end_shows_the_last_observation_and_not_the_next_episode(recall_run):
    moments, _ = moments_of(recall_run, "ansi")
    assert "step 6/6" in moments[-1].picture.replace("step: ", "step ")


def test_modulation_and_both_traces_of_a_retroactive_core(recall_run):
    moments, _ = moments_of(recall_run)
    assert list(moments[0].traces) == ["trace", "alpha * trace", "eligibility"]
    assert all(-1 <= moment.modulation <= 1 for moment in moments)


@pytest.mark.parametrize("suffix", [".gif", ".mp4", ".png"])
def test_writes_pictures(plastic_run, suffix, tmp_path, capsys):
    output = tmp_path / "new" / f"episode{suffix}"
    watch.main([str(plastic_run), "-o", str(output), "--every", "8", "--dpi", "40"])
    frames = iio.imread(output, index=None if suffix == ".png" else ...)
    assert frames.shape[-3:-1] == (256, 480)
    assert f"{1 if suffix == '.png' else 4} pictures" in capsys.readouterr().out
    if suffix == ".gif":
        assert len(frames) == 4


@pytest.mark.parametrize(
    ("env", "arguments"),
    [
        ("CartPole-v1", GRU),
        ("Pendulum-v1", GRU),
        ("CartPole-v1", ["--algo", "ppo", "-params", "n_envs:2", "n_steps:32", "batch_size:32", "n_epochs:1"]),
    ],
)
def test_any_algorithm_core_and_environment(env, arguments, tmp_path):
    run = trained(tmp_path, "--env", env, *arguments, small=["-params", "n_envs:2", "n_steps:32", "n_epochs:1"])
    watch.main([str(run), "-o", str(tmp_path / "episode.png"), "--steps", "4"])
    assert iio.imread(tmp_path / "episode.png").shape == (512, 960, 3)


@pytest.mark.parametrize("env", ["NoRenderMode-v0", "NoRenderModes-v0", "BrokenPictures-v0"])
def test_an_environment_without_pictures_shows_the_rest(env, tmp_path, capsys):
    faulty = ["--env", env, "--gym-packages", "tests.scripts.faulty_envs"]
    run = trained(tmp_path, *faulty, *GRU, small=PARAMS)
    watch.main([str(run), "-o", str(tmp_path / "episode.png")])
    assert f"no pictures of {env}: " in capsys.readouterr().out
    watch.main([str(run), "--ansi", "--steps", "1"])
    assert "reward so far" in capsys.readouterr().out


def test_a_long_episode_has_at_most_a_hundred_pictures(plastic_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(episode, "MOST", 8)
    watch.main([str(plastic_run), "-o", str(tmp_path / "episode.gif"), "--dpi", "20"])
    assert "8 pictures" in capsys.readouterr().out


def test_a_kept_agent_is_watched_by_its_name_and_nothing_is_written_to_it(plastic_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder, "pretrained", lambda: plastic_run.parent)
    monkeypatch.chdir(tmp_path)
    before = sorted(plastic_run.rglob("*"))
    watch.main([f"pretrained/{plastic_run.name}", "--steps", "2", "--dpi", "20"])
    assert (tmp_path / "episode.gif").exists()
    model, env = folder.load_run(f"pretrained/{plastic_run.name}")
    action, _ = model.predict(env.reset(), None, np.ones(1, bool))
    assert env.action_space.contains(action[0])
    assert sorted(plastic_run.rglob("*")) == before
    assert "did you mean" in refusal(capsys, watch.main, ["pretrained/plastic_rl-Mase-v0_1"])


def test_the_plastic_weight_is_alpha_times_the_trace(plastic_run):
    moments, model = moments_of(plastic_run)
    alpha = model.policy.core.alpha.detach().numpy()
    assert np.allclose(moments[-2].traces["alpha * trace"], alpha * moments[-2].traces["trace"])


def test_actions_have_the_names_that_the_task_gives_them(plastic_run, capsys):
    watch.main([str(plastic_run), "--ansi", "--steps", "1"])
    assert " left " in capsys.readouterr().out


def test_many_choices_are_drawn_as_cells():
    picture, activity = np.zeros((10, 10, 3), np.uint8), np.zeros(3)
    moments = [Moment(picture, 0.0, np.zeros(30), {}, activity, choices=np.full(30, p)) for p in (0.1, 0.9)]
    figure = EpisodeFigure(moments, spaces.MultiBinary(30), "title", names=[str(i) for i in range(30)])
    assert not np.array_equal(figure.frame(0), figure.frame(1))


def test_a_picture_does_not_depend_on_those_drawn_before(recall_run):
    moments, model = moments_of(recall_run)
    figure, other = (EpisodeFigure(moments, model.action_space, "title", 40, list("012345")) for _ in range(2))
    first, _ = figure.frame(0), figure.frame(len(moments) - 1)
    assert np.array_equal(first, other.frame(0))
    assert np.array_equal(figure.frame(2), other.frame(2))


def test_a_film_has_the_colors_of_its_pictures(plastic_run, tmp_path):
    moments, model = moments_of(plastic_run)
    figure = EpisodeFigure(moments, model.action_space, "title", 40, list("0123"))
    figure.film(tmp_path / "episode.gif", every=8)
    (frame, *_) = iio.imread(tmp_path / "episode.gif", index=...)
    assert np.abs(frame.astype(int) - figure.frame(0)).max() < 40  # one palette of 256 colors for all


@pytest.mark.parametrize(
    ("space", "action", "taken"),
    [
        (spaces.Discrete(3, start=-1), np.int64(0), {1}),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 2]), {1, 4}),
        (spaces.MultiBinary(3), np.array([1, 0, 1]), {0, 2}),
        (spaces.Box(-1, 1, (2,)), np.ones(2), set()),
    ],
)
def test_what_was_chosen_is_marked(space, action, taken):
    assert chosen(space, action) == taken
    assert chosen(space, None) == set()


def test_in_the_terminal(plastic_run, recall_run, capsys):
    watch.main([str(plastic_run), "--ansi"])
    assert capsys.readouterr().out.count("reward so far") == 21
    watch.main([str(recall_run), "--ansi", "--steps", "2"])
    output = capsys.readouterr().out
    assert output.count("eligibility") == 3
    assert "M(t)" in output


def test_a_terminal_of_80_columns_is_wide_enough(plastic_run):
    moments, model = moments_of(plastic_run, "ansi")
    console = Console(width=80, record=True, file=StringIO())
    names = choice_names(open_run(str(plastic_run)), model.action_space)
    console.print(Scene(model.action_space, "title", names).draw(0, moments[5]))
    assert console.export_text().count("│") >= 2 * len(moments[5].picture.splitlines())


def test_shrinking_keeps_what_is_strong():
    matrix = np.zeros((50, 50))
    matrix[17, 31] = -3
    small = shrink(matrix, 10)
    assert small.shape == (10, 10)
    assert small.min() == -3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["-o", "episode.avi"], "--output"), (["--fps", "0"], "--fps"), (["--every", "-1"], "--every"), ([], "no folder")],
)
def test_says_what_is_wrong(arguments, message, capsys):
    assert message in refusal(capsys, watch.main, ["no_such_run", *arguments])
