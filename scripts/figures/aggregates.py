"""Figures that compare scores over several tasks: a radar, and rliable's aggregates."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from plastic_rl.scripts.figures.curves import binned_curves
from plastic_rl.scripts.figures.style import GREY, MARKERS, line_style
from plastic_rl.scripts.runs.monitor import Result, grouped

RESAMPLES = 2000
POINTS = 25  # of a sample-efficiency curve


def radar(results: list[Result], styles: dict[str, int], source: str) -> Figure:
    """Draw the mean score of each label on each task, one spoke a task.

    Args:
        results: of runs on three tasks at least.
        styles: the number of the line of each label.
        source: what the scores are of.
    """
    tasks = sorted({result.task for result in results})
    angles = np.linspace(0, 2 * np.pi, len(tasks), endpoint=False)
    figure = Figure(figsize=(7.5, 7), layout=ConstrainedLayoutEngine(w_pad=0.15))
    axes: Any = figure.subplots(subplot_kw={"projection": "polar"})
    for label, group in grouped(results).items():
        scores = np.array([_mean_final(group, task) for task in tasks])
        there = ~np.isnan(scores)  # a label that was not trained on a task has no point there
        look = line_style(styles[label])
        closed = np.append(np.flatnonzero(there), np.flatnonzero(there)[:1])
        mark = MARKERS[styles[label] % len(MARKERS)]
        axes.plot(angles[closed], scores.clip(0)[closed], label=label, linewidth=2, marker=mark, **look)
        if there.all():
            axes.fill(angles, scores.clip(0), color=look["color"], alpha=0.08)
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    axes.set_xticks(angles, [task.replace(" (", "\n(") for task in tasks], fontsize=11)
    for angle, name in zip(angles, axes.get_xticklabels(), strict=True):
        aside = np.sin(angle)  # a name to the left or right of the circle begins or ends there
        name.set_horizontalalignment("center" if abs(aside) < 0.1 else "left" if aside > 0 else "right")
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0.25, 0.5, 0.75, 1], ["0.25", "0.5", "0.75", "1"], color=GREY)
    axes.set_rlabel_position(180 / len(tasks))
    axes.set_title(f"Mean score by task: 0 a random policy or worse, 1 the oracle\n({source})", fontsize=12, pad=36)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, handlelength=3)
    return figure


def _mean_final(group: list[Result], task: str) -> float:
    scores = [result.final for result in group if result.task == task and result.final is not None]
    return float(np.mean(scores)) if scores else np.nan


def score_table(results: list[Result]) -> dict[str, list[list[Result]]]:
    """Return, for each label that was trained on every task, as many runs of each task as all tasks have.

    Returns:
        By label, a list of tasks (in alphabetical order) of lists of runs.
    """
    tasks = sorted({result.task for result in results})
    table = {}
    for label, group in grouped(results).items():
        by_task = [[result for result in group if result.task == task] for task in tasks]
        n_runs = min(map(len, by_task))
        if n_runs:
            table[label] = [runs[:n_runs] for runs in by_task]
    return table


def aggregates(table: dict[str, list[list[Result]]], styles: dict[str, int], source: str) -> Figure:
    """Draw rliable's aggregate metrics over all tasks with stratified bootstrap intervals.

    Args:
        table: what `score_table` returned.
        styles: the number of the line of each label.
        source: what the scores are of.

    Source: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    from rliable import metrics

    names = ("median", "interquartile mean", "mean", "optimality gap (less is better)")
    scores = {label: _finals(by_task) for label, by_task in table.items()}
    points, intervals = _estimates(
        scores,
        RESAMPLES,
        lambda values: np.array(
            [
                metrics.aggregate_median(values),
                metrics.aggregate_iqm(values),
                metrics.aggregate_mean(values),
                metrics.aggregate_optimality_gap(values),
            ]
        ),
    )
    labels = list(table)
    figure = Figure(figsize=(12, 1.8 + 0.45 * len(labels)), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True)
    for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
        for row, label in enumerate(labels):
            low, high = intervals[label][:, column]
            colour = line_style(styles[label])["color"]
            axes.barh(row, high - low, left=low, height=0.6, color=colour, alpha=0.4)
            axes.plot([points[label][column]] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=3)
        axes.use_sticky_edges = False
        axes.margins(x=0.1)
        axes.set_title(name, fontsize=11)
        axes.set(xlabel="score", yticks=range(len(labels)), yticklabels=labels, ylim=(len(labels) - 0.4, -0.6))
        axes.grid(axis="x", color=GREY, alpha=0.25)
        axes.spines[["top", "right", "left"]].set_visible(False)
    n_runs, n_tasks = next(iter(scores.values())).shape
    what = f"{n_tasks} task{'s' * (n_tasks > 1)}, {n_runs} run{'s' * (n_runs > 1)} each ({source})"
    figure.suptitle(f"Scores over {what}, with 95% stratified bootstrap intervals", fontsize=12)
    return figure


def sample_efficiency(table: dict[str, list[list[Result]]], styles: dict[str, int]) -> Figure:
    """Draw the interquartile mean of the score over all tasks and runs in the course of training.

    Args:
        table: what `score_table` returned.
        styles: the number of the line of each label.
    """
    from rliable import metrics

    curves = {label: _score_curves(by_task) for label, by_task in table.items()}
    points, intervals = _estimates(
        curves,
        RESAMPLES // 4,
        lambda values: np.array([metrics.aggregate_iqm(values[..., point]) for point in range(values.shape[-1])]),
    )
    figure = Figure(figsize=(7, 4.8), layout="constrained")
    axes: Any = figure.subplots()
    for label in curves:
        share = 100 * (1 + np.arange(len(points[label]))) / len(points[label])
        look = line_style(styles[label])
        axes.plot(share, points[label], label=label, linewidth=2, **look)
        axes.fill_between(share, *intervals[label], color=look["color"], alpha=0.2, linewidth=0)
    axes.set(xlabel="training steps (% of each run's)", ylabel="interquartile mean of the score", xlim=(0, 100))
    axes.set_title("Sample efficiency over all tasks, with 95% stratified bootstrap intervals", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GREY, alpha=0.25)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, handlelength=3)
    return figure


def _estimates(scores: dict[str, np.ndarray], resamples: int, of: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Return rliable's estimates of some figures of the scores, and their intervals, each by label."""
    from rliable import library

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # rliable seeds its bootstrap in a way that is to go
        return library.get_interval_estimates(scores, of, reps=resamples, random_state=np.random.RandomState(0))


def _finals(by_task: list[list[Result]]) -> np.ndarray:
    """Return final scores, (runs, tasks)."""
    return np.array([[result.final for result in runs] for runs in by_task], float).T


def _score_curves(by_task: list[list[Result]]) -> np.ndarray:
    """Return scores in the course of training, (runs, tasks, points)."""
    shares = np.linspace(0, 1, POINTS + 1)[1:]
    tasks = []
    for runs in by_task:
        rows = []
        for result in runs:
            ends, curve = binned_curves([result.training], "steps")
            returns = np.interp(shares * ends[-1], ends, curve[0])
            rows.append([result.score_of(float(value)) for value in returns])
        tasks.append(rows)
    return np.array(tasks, float).swapaxes(0, 1)
