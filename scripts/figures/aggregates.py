"""All figures that some runs allow, those among them that compare scores over tasks: rliable's aggregates.

Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from plastic_rl.scripts.figures.curves import learning_curves, within_episode
from plastic_rl.scripts.figures.style import Styles, line_styles
from plastic_rl.scripts.runs.monitor import Result, grouped

RESAMPLES = 2000
POINTS = 25  # of a sample-efficiency curve
METRICS = {"median": "median", "interquartile mean": "iqm", "mean": "mean", "optimality gap": "optimality_gap"}

Table = dict[str, list[list[Result]]]


def every_figure(results: list[Result], smooth: int = 1) -> Iterator[tuple[str, Figure]]:
    """Yield a file's name without its ending, and a figure; say on the way what was left out and why."""
    results = _without_short_runs(results)
    styles = line_styles(sorted({result.label for result in results}))
    for task in sorted({result.run.task for result in results}):
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", task).strip("_")
        of_task = [result for result in results if result.run.task == task]
        yield f"learning_{name}", learning_curves(of_task, styles, smooth)
        if evaluated := [result for result in of_task if result.evaluation is not None]:
            yield f"within_episode_{name}", within_episode(evaluated, styles)
        for result in of_task:
            if result.evaluation is None:
                print(f"no learning within an episode of {result.run.folder}: `evaluate` it first")
    yield from _over_tasks([result for result in results if result.final is not None], styles)


def _over_tasks(scored: list[Result], styles: Styles) -> Iterator[tuple[str, Figure]]:
    source = "episodes on fresh seeds"
    if any(result.evaluation is None for result in scored):
        scored, source = [replace(result, evaluation=None) for result in scored], "last 100 training episodes"
    table = score_table(scored)
    if missing := sorted({result.label for result in scored} - set(table)):
        print(f"not in the aggregates: {', '.join(missing)}, not trained on every task")
    if not table or max(len(by_task) * len(by_task[0]) for by_task in table.values()) < 2:
        return print("no aggregates: they want at least two runs of a core")
    try:
        import rliable.library
        import rliable.plot_utils  # noqa: F401
    except (ImportError, TypeError) as error:  # TypeError: from a library below it that does not fit another one
        return print(f"no aggregates: they want rliable (pip install 'rliable>=1.2' 'pandas<3'): {error}")
    yield "aggregates", aggregates(table, styles, source)
    yield "sample_efficiency", sample_efficiency(table, styles)


def _without_short_runs(results: list[Result]) -> list[Result]:
    """Return the runs at least half as long as the longest of their kind: curves end where their shortest run does."""
    kept = []
    for result in results:
        kind = [other for other in results if (other.label, other.run.task) == (result.label, result.run.task)]
        steps, most = result.training.steps[-1], max(other.training.steps[-1] for other in kind)
        if steps >= most / 2:
            kept.append(result)
        else:
            print(f"left out {result.run.folder}: {steps:,.0f} steps, others of {result.label} have {most:,.0f}")
    return kept


def score_table(results: list[Result]) -> Table:
    """Return, by label that was trained on every task, a list of tasks, in order, of as many runs as all tasks have."""
    tasks = sorted({result.run.task for result in results})
    table = {}
    for label, group in grouped(results).items():
        by_task = [[result for result in group if result.run.task == task] for task in tasks]
        if n_runs := min(map(len, by_task)):
            table[label] = [runs[:n_runs] for runs in by_task]
    return table


def aggregates(table: Table, styles: Styles, source: str) -> Figure:
    """Draw rliable's aggregate metrics over all tasks with stratified bootstrap intervals; scores are of `source`."""
    from rliable import metrics, plot_utils

    scores = _scores(table, lambda result: [result.final])
    points, intervals = _estimates(
        scores, RESAMPLES, lambda x: [getattr(metrics, f"aggregate_{name}")(x[..., 0]) for name in METRICS.values()]
    )
    figure, _ = plot_utils.plot_interval_estimates(
        points, intervals, list(METRICS), list(table), _colors(styles), row_height=0.6, xlabel_y_coordinate=-0.25,
        xlabel="score (0 random policy, 1 oracle); of the gap less is better",
    )  # fmt: skip
    n_runs, n_tasks, _ = next(iter(scores.values())).shape
    what = f"{n_tasks} task{'s' * (n_tasks > 1)}, {n_runs} run{'s' * (n_runs > 1)} each ({source})"
    figure.suptitle(f"Scores over {what}, with 95% stratified bootstrap intervals", y=1.25)
    return figure


def sample_efficiency(table: Table, styles: Styles) -> Figure:
    """Draw the interquartile mean of the score over all tasks and runs in the course of training."""
    from rliable import metrics, plot_utils

    def curve(result: Result) -> list[Any]:
        steps = result.training.steps
        returns = result.training.binned(steps, np.linspace(0, steps[-1], POINTS + 1))
        return [result.score_of(float(value)) for value in returns]

    points, intervals = _estimates(
        _scores(table, curve), RESAMPLES // 4, lambda x: [metrics.aggregate_iqm(x[..., i]) for i in range(POINTS)]
    )
    figure = Figure(figsize=(7, 4.8), layout="constrained")
    axes: Any = figure.subplots()
    plot_utils.plot_sample_efficiency_curve(
        100 * np.arange(1, POINTS + 1) / POINTS, points, intervals, list(table), _colors(styles), ax=axes, marker=None,
        xlabel="training steps (% of each run's)", ylabel="interquartile mean of the score", labelsize="medium",
        ticklabelsize="medium",
    )  # fmt: skip
    axes.set_title("Sample efficiency over all tasks, with 95% stratified bootstrap intervals", fontsize=11)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def _colors(styles: Styles) -> dict[str, str]:
    return {label: style["color"] for label, style in styles.items()}


def _scores(table: Table, of: Callable[[Result], list[Any]]) -> dict[str, np.ndarray]:
    """Return some scores of each run by label, (runs, tasks, scores)."""
    found = {label: [[of(result) for result in runs] for runs in by_task] for label, by_task in table.items()}
    return {label: np.array(values, float).swapaxes(0, 1) for label, values in found.items()}


def _estimates(scores: dict[str, np.ndarray], resamples: int, of: Callable[[np.ndarray], list[float]]) -> Any:
    """Return rliable's estimates of some figures of the scores, and their intervals, each by label."""
    from rliable import library

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # rliable seeds its bootstrap in a way that is to go
        how = {"reps": resamples, "random_state": np.random.RandomState(0)}
        return library.get_interval_estimates(scores, lambda values: np.array(of(values)), **how)
