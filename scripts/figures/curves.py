"""Figures of how runs learn: across episodes, and within one."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plastic_rl.scripts.figures.style import GRAY, Styles
from plastic_rl.scripts.runs.monitor import Result, Training, grouped
from plastic_rl.scripts.runs.play import bootstrap_interval

AXES = {"episodes": "training episodes", "steps": "training steps", "seconds": "training time"}
COUNTS = {1.0: "", 1e3: "thousands", 1e6: "millions"}
TIMES = {1.0: "seconds", 60.0: "minutes", 3600.0: "hours"}
BINS = 100
POINTS = 40  # of a curve within an episode, at most
WHAT = "line: mean of the seeds; band: its 95% bootstrap interval; thin lines: the seeds"


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
    _add_score_axis(panels[-1], results[0])
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
        parts = np.array_split(np.arange(longest), min(POINTS, longest))
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


def _add_score_axis(axes: Any, result: Result) -> None:
    zero, one = result.score_of(0.0), result.score_of(1.0)
    if zero is None or one is None:
        return
    slope = one - zero
    functions = (lambda value: zero + slope * value), (lambda value: (value - zero) / slope)
    axes.secondary_yaxis("right", functions=functions).set_ylabel("score (0 random policy, 1 oracle)")


def _finished(figure: Figure, panels: Any) -> Figure:
    for axes in panels:
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRAY, alpha=0.25, linewidth=0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, handlelength=3)
    return figure
