"""What `plot` reads from run folders, and what it draws of them."""

import json
import re

import imageio.v3 as iio
import numpy as np
import pytest

from plastic_rl.scripts import plot
from plastic_rl.scripts.figures import plots
from plastic_rl.scripts.figures.plots import binned_curves, every_figure, score_table, smoothed, unit_of
from plastic_rl.scripts.figures.style import BLUE, VERMILION, line_styles
from plastic_rl.scripts.runs.file import write_run_file
from plastic_rl.scripts.runs.folder import open_run
from plastic_rl.scripts.runs.monitor import Training, learning_curve, read_results
from tests.scripts.small_runs import refusal

try:
    import rliable.library
    import rliable.plot_utils  # noqa: F401

    HAS_RLIABLE = True
except (ImportError, TypeError):
    HAS_RLIABLE = False


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """Intervals of the aggregates from few draws: no test reads their ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "RESAMPLES", 40)
        yield


def write_run(
    folder, env="plastic_rl/Maze-v0", core="plastic", gain=3.0, n=200, score=None, env_kwargs=None, **core_kwargs
):
    """Write what a training run leaves behind: n episodes of 250 steps whose returns rise from 0 to `gain` * 100."""
    settings = folder / env.replace("/", "-")
    settings.mkdir(parents=True)
    policy_kwargs = {"core": core, "core_kwargs": core_kwargs} if core else {}
    facts = {"algo": "plastic_ppo", "env": env, "env_kwargs": env_kwargs or {}, "gym_packages": [], "config": {}}
    write_run_file(settings, {**facts, "policy": "MlpPolicy", "policy_kwargs": policy_kwargs})
    rows = [f"{gain * 100 * i / n},250,{i / 2}" for i in range(1, n + 1)]
    (folder / "0.monitor.csv").write_text("\n".join(['#{"t_start": 10.0}', "r,l,t", *rows, ""]))
    if score is not None:
        curve = {"reward_by_time": [0.1 * i for i in range(250)], "episodes": 8, "ablate": None}
        figures = [{"actions": "deterministic", "score": 9.0, **curve}, {"actions": "sampled", "score": score, **curve}]
        ablated = {"actions": "sampled", "score": 0.0, **curve, "ablate": "trace"}
        (folder / "evaluation.json").write_text(json.dumps([ablated, *figures]))
    return folder


def results_of(*folders):
    return read_results([open_run(str(folder), trained=False) for folder in folders])


def names_of(results):
    return [name for name, _ in every_figure(results)]


def test_reads_monitor_files_in_the_order_of_time(tmp_path):
    for name, start, rows in (("0", 100.0, "1,10,1.0\n2,10,9.0\n"), ("1", 103.0, "3,20,1.0\n")):
        (tmp_path / f"{name}.monitor.csv").write_text(f'#{{"t_start": {start}}}\nr,l,t\n{rows}')
    training = learning_curve(tmp_path)
    assert training.returns.tolist() == [1, 3, 2]
    assert training.steps.tolist() == [10, 30, 40]
    assert training.seconds.tolist() == [1, 4, 9]


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    (tmp_path / "0.monitor.csv").write_text('#{"t_start": 0}\nr,l,t\n1,10,1\n2,10')
    assert learning_curve(tmp_path).returns.tolist() == [1]


def test_bins_hold_the_means_of_their_episodes():
    training = Training(np.arange(8.0), np.arange(1, 9) * 10, np.arange(8.0))
    edges = np.array([0, 40, 80])
    assert training.binned(training.steps, edges).tolist() == [1.5, 5.5]
    ends, curves = binned_curves([training, Training(*(part[:4] for part in training))], "steps")
    assert ends[-1] == pytest.approx(40)
    assert curves.tolist() == [[0.5, 2.5], [0.5, 2.5]]


def test_a_training_that_began_to_count_late_does_not_hide_the_others():
    times = np.arange(1, 9)
    early, late = (Training(np.arange(8.0), 10 * times, begin + times) for begin in (0.0, 60.0))
    ends, curves = binned_curves([early, late], "seconds")
    assert len(ends) == 4
    assert curves[0].tolist() == [0.5, 2.5, 4.5, 6.5]
    assert np.isnan(curves[1]).all()


def test_bins_without_an_episode_are_interpolated():
    training = Training(np.array([1.0, 3.0]), np.array([10, 30]), np.zeros(2))
    assert training.binned(training.steps, np.array([0, 10, 20, 30])).tolist() == [1, 2, 3]


def test_runs_of_one_core_are_seeds_and_arguments_that_differ_are_named(tmp_path):
    folders = [
        write_run(tmp_path / "1", hidden_size=64, rule="oja"),
        write_run(tmp_path / "2", hidden_size=64, rule="decay"),
        write_run(tmp_path / "3", core="gru", hidden_size=48),
        write_run(tmp_path / "4", core="gru", env="plastic_rl/CueReward-v0", hidden_size=20),
        write_run(tmp_path / "5", core=None),
    ]
    results = results_of(*folders)
    assert [r.label for r in results] == ["plastic, rule=oja", "plastic, rule=decay", "gru", "gru", "plastic_ppo"]


def test_other_arguments_are_another_task(tmp_path):
    results = results_of(write_run(tmp_path / "1"), write_run(tmp_path / "2", env_kwargs={"size": 5}))
    assert [result.run.task for result in results] == ["Maze-v0", "Maze-v0 (size=5)"]


def test_the_score_is_of_sampled_episodes_with_all_their_memory(tmp_path):
    trained, evaluated = results_of(write_run(tmp_path / "1"), write_run(tmp_path / "2", score=0.5))
    assert evaluated.final == 0.5
    assert trained.final == trained.run.score(np.arange(101, 201).mean() * 1.5)


def test_one_task_and_one_seed_is_enough_for_curves(tmp_path, capsys):
    assert names_of(results_of(write_run(tmp_path / "1"))) == ["learning_Maze-v0"]
    output = capsys.readouterr().out
    assert "evaluate" in output


def test_an_environment_without_scores_has_learning_curves(tmp_path):
    runs = [write_run(tmp_path / str(seed), env="CartPole-v1") for seed in range(2)]
    assert names_of(results_of(*runs)) == ["learning_CartPole-v1"]


def test_a_short_run_is_left_out_and_named(tmp_path, capsys):
    results = results_of(write_run(tmp_path / "long"), write_run(tmp_path / "short", n=20))
    figures = dict(every_figure(results))
    assert str(tmp_path / "short") in capsys.readouterr().out
    assert "plastic (1 seed)" in figures["learning_Maze-v0"].axes[0].get_legend_handles_labels()[1]


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    tasks = ["plastic_rl/Maze-v0", "plastic_rl/CueReward-v0"]
    return [
        write_run(folder / f"{core}{task[-9:-3]}{seed}", task, core, score=score + 0.1 * seed)
        for core, score in (("plastic", 0.7), ("gru", 0.4))
        for task in tasks
        for seed in range(2)
    ]


@pytest.fixture(scope="module")
def drawn(suite):
    return dict(every_figure(results_of(*suite)))


def test_every_axis_is_labelled_and_every_legend_names_its_seeds(drawn):
    for name, figure in drawn.items():
        if name.startswith(("learning", "within")):
            for axes in figure.axes:
                assert axes.get_xlabel()
            assert figure.axes[0].get_ylabel()
            assert [text.get_text() for text in figure.legends[0].get_texts()] == ["gru (2 seeds)", "plastic (2 seeds)"]


def test_writes_png_and_svg(suite, tmp_path, capsys):
    output = tmp_path / "new" / "plots"
    plot.main([*(str(run) for run in suite if "Maze" in run.name), "-o", str(output)])
    written = re.findall(r"wrote (.*)", capsys.readouterr().out)
    names = {"learning_Maze-v0", "within_episode_Maze-v0"}
    assert names <= {file.stem for file in output.glob("*.svg")}
    assert len(written) == len(list(output.iterdir()))
    picture = iio.imread(output / "learning_Maze-v0.png")
    assert picture.std() > 5


@pytest.mark.skipif(not HAS_RLIABLE, reason="rliable does not import with these libraries")
def test_aggregates_of_rliable(drawn):
    panels = drawn["aggregates"].axes
    means = [mark.get_segments()[0][0, 0] for mark in panels[2].collections]
    assert means == pytest.approx([0.45, 0.75])  # gru, plastic
    assert [axes.get_title() for axes in panels][1] == "interquartile mean"


def test_aggregates_take_as_many_runs_of_each_task(suite, tmp_path):
    more = write_run(tmp_path / "more", score=0.1)
    lone = write_run(tmp_path / "lone", core="lstm", score=0.1)
    table = score_table(results_of(*suite, more, lone))
    assert set(table) == {"gru", "plastic"}
    assert [len(runs) for runs in table["plastic"]] == [2, 2]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("0.monitor.csv", None, "no learning curve"),
        ("0.monitor.csv", "not a monitor file\n", "no Monitor file"),
        ("0.monitor.csv", '#{"t_start": 0}\nr,l,t\n', "no finished episode"),
        ("evaluation.json", "[{", "cut off"),
        ("evaluation.json", '[{"mean": 1}]', "another version"),
    ],
)
def test_says_what_is_wrong(file, text, message, tmp_path, capsys):
    run = write_run(tmp_path / "run")
    (run / file).unlink(missing_ok=True)
    if text is not None:
        (run / file).write_text(text)
    assert message in refusal(capsys, plot.main, [run, "-o", tmp_path])


def test_what_is_no_run_is_named_and_left_out(tmp_path, capsys):
    run = write_run(tmp_path / "runs" / "good")
    (tmp_path / "runs" / "empty").mkdir()
    (write_run(tmp_path / "runs" / "new") / "0.monitor.csv").unlink()
    output = tmp_path / "plots"
    plot.main([str(run), *(str(tmp_path / "runs" / name) for name in ("empty", "new", "gone")), "-o", str(output)])
    said = capsys.readouterr().out
    assert all(f"{name}'" in said for name in ("empty", "new", "gone"))
    assert (output / "learning_Maze-v0.svg").exists()
    nothing = [tmp_path / "runs" / "empty", tmp_path / "runs" / "gone", "-o", output]
    with pytest.raises(SystemExit):
        plot.main(list(map(str, nothing)))


def test_a_core_has_one_color_in_every_figure():
    few = line_styles(["gru", "plastic"])
    many = line_styles(["lstm", "GRU", "plastic, rule=oja", "plastic, rule=decay"])
    assert few["gru"]["color"] == many["GRU"]["color"] == BLUE
    assert {many[f"plastic, rule={rule}"]["color"] for rule in ("oja", "decay")} == {VERMILION}
    assert many["plastic, rule=oja"]["linestyle"] != many["plastic, rule=decay"]["linestyle"]
    assert len({style["color"] for style in line_styles(["mine", "yours", "gru"]).values()}) == 3


def test_smoothing_means_over_the_points_before():
    assert smoothed(np.array([[0.0, 2.0, 4.0, 6.0]]), 2).tolist() == [[0, 1, 3, 5]]


def test_units_fit_the_run():
    times = {1.0: "seconds", 60.0: "minutes"}
    assert [unit_of(value, times)[1] for value in (5, 119, 121)] == ["seconds", "seconds", "minutes"]


def test_each_seed_has_a_thin_line(tmp_path):
    runs = [write_run(tmp_path / str(seed), gain=seed) for seed in (1, 3)]
    figure = dict(every_figure(results_of(*runs)))["learning_Maze-v0"]
    assert len(figure.axes[0].lines) == 1 + 2
    assert "95% bootstrap interval" in figure.get_suptitle()
