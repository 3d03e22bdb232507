"""The figures of some runs: how they learn, across episodes and within one, and rliable's aggregates over tasks.

Source of the aggregates: Agarwal et al. (2021), "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plastic_rl.scripts.figures.style import GRAY, Styles, line_styles
from plastic_rl.scripts.runs.monitor import Result, Training, grouped
from plastic_rl.scripts.runs.play import bootstrap_interval

AXES = {"episodes": "training episodes", "steps": "training steps", "seconds": "training time"}
COUNTS = {1.0: "", 1e3: "thousands", 1e6: "millions"}
TIMES = {1.0: "seconds", 60.0: "minutes", 3600.0: "hours"}
BINS = 100
WHAT = "line: mean of the seeds; band: its 95% bootstrap interval; thin lines: the seeds"
RESAMPLES = 2000
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


def learning_curves(results: list[Result], styles: Styles, smooth: int = 1) -> Figure:
    """Draw the mean return of one task against episodes, steps and time, means of `smooth` bins, with intervals."""
    figure = Figure(figsize=(13, 4.8), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    groups = grouped(results)
    for axes, name in zip(panels, AXES, strict=True):
        drawn = {label: binned_curves([result.training for result in group], name) for label, group in groups.items()}
        size, unit = unit_of(max(x[-1] for x, _ in drawn.values()), TIMES if name == "seconds" else COUNTS)
        for label, (x, curves) in drawn.items():
            _draw(axes, x / size, smoothed(curves, smooth), label, styles[label])
        axes.set_xlabel(AXES[name] + (f" ({unit})" if unit else ""))
    panels[0].set_ylabel("mean return of an episode")
    if (zero := results[0].run.score(0.0)) is not None and (one := results[0].run.score(1.0)) is not None:
        functions = (lambda value: zero + (one - zero) * value), (lambda value: (value - zero) / (one - zero))
        panels[-1].secondary_yaxis("right", functions=functions).set_ylabel("score (0 random policy, 1 oracle)")
    means = f"; means of {smooth} bins" if smooth > 1 else ""
    figure.suptitle(f"{results[0].run.task}: learning\n{WHAT}{means}", fontsize=11)
    return _finished(figure, panels)


def within_episode(results: list[Result], styles: Styles) -> Figure:
    """Draw the mean reward per step against the time in the episode, over the evaluations of one task."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes: Any = figure.subplots()
    for label, group in grouped(results).items():
        rewards = [np.array(result.evaluation["reward_by_time"]) for result in group if result.evaluation]
        longest = min(map(len, rewards))
        parts = np.array_split(np.arange(longest), min(40, longest))
        x = np.array([part.mean() + 1 for part in parts])
        curves = np.array([[own[part].mean() for part in parts] for own in rewards])
        _draw(axes, x, curves, label, styles[label])
    axes.set(xlabel="time in the episode (steps)", ylabel="mean reward per step")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    how = sorted({result.evaluation["actions"] for result in results if result.evaluation})
    title = f"{results[0].run.task}: learning within an episode ({' and '.join(how)} actions)"
    axes.set_title(f"{title}\n{WHAT}", fontsize=10)
    return _finished(figure, [axes])


def binned_curves(trainings: list[Training], by: str) -> tuple[np.ndarray, np.ndarray]:
    """Return bins' ends (bins,), by one of `AXES`, and mean returns (seeds, bins), as far as the shortest training.

    A training whose first episode ends after that (its kernels were compiled first, say) has NaN.
    """
    x = [np.arange(1, len(t.returns) + 1) if by == "episodes" else getattr(t, by) for t in trainings]
    end = min(values[-1] for values in x)
    # Copies that run in step end their episodes together: a bin wants two such moments, or it may stay empty.
    moments = min(count for values in x if (count := len(np.unique(values[values <= end]))))
    edges = np.linspace(0, end, 1 + max(1, min(BINS, moments // 2)))
    edges[-1] = np.nextafter(end, np.inf)
    return edges[1:], np.stack([t.binned(values, edges) for t, values in zip(trainings, x, strict=True)])


def smoothed(curves: np.ndarray, width: int) -> np.ndarray:
    """Return curves (seeds, bins) whose points are means of themselves and the `width - 1` points before them."""
    return pd.DataFrame(curves.T).rolling(width, min_periods=1).mean().to_numpy().T


def unit_of(largest: float, units: dict[float, str]) -> tuple[float, str]:
    """Return the largest unit of which there are at least two, and its name."""
    size = max((size for size in units if largest >= 2 * size), default=min(units))
    return size, units[size]


def _draw(axes: Any, x: np.ndarray, curves: np.ndarray, label: str, style: dict[str, Any]) -> None:
    seeds = f"{label} ({len(curves)} seed{'s' * (len(curves) > 1)})"
    axes.plot(x, np.nanmean(curves, axis=0), label=seeds, linewidth=2, **style)
    if len(curves) > 1:
        axes.fill_between(x, *bootstrap_interval(curves), color=style["color"], alpha=0.2, linewidth=0)
        axes.plot(x, curves.T, linewidth=0.5, alpha=0.5, **style)


def _finished(figure: Figure, panels: Any) -> Figure:
    for axes in panels:
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRAY, alpha=0.25, linewidth=0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, handlelength=3)
    return figure


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
    from rliable import library, metrics, plot_utils

    finals = {label: [[result.final for result in runs] for runs in by_task] for label, by_task in table.items()}
    scores = {label: np.array(values, float).T for label, values in finals.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # rliable seeds its bootstrap in a way that is to go
        points, intervals = library.get_interval_estimates(
            scores, lambda x: np.array([getattr(metrics, f"aggregate_{name}")(x) for name in METRICS.values()]),
            reps=RESAMPLES, random_state=np.random.RandomState(0),
        )  # fmt: skip
    figure, _ = plot_utils.plot_interval_estimates(
        points, intervals, list(METRICS), list(table), {label: style["color"] for label, style in styles.items()},
        row_height=0.6, xlabel_y_coordinate=-0.25, xlabel="score (0 random, 1 oracle); of the gap less is better",
    )  # fmt: skip
    n_runs, n_tasks = next(iter(scores.values())).shape
    what = f"{n_tasks} task{'s' * (n_tasks > 1)}, {n_runs} run{'s' * (n_runs > 1)} each ({source})"
    figure.suptitle(f"Scores over {what}, with 95% stratified bootstrap intervals", y=1.25)
    return figure
