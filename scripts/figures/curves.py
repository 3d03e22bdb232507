"""Figures of how runs learn: across episodes, and within one."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plastic_rl.scripts.figures.style import GREY, line_style
from plastic_rl.scripts.runs.monitor import Result, Training, grouped
from plastic_rl.scripts.runs.play import bootstrap_interval

AXES = {
    "episodes": "training episodes (thousands)",
    "steps": "training steps (millions)",
    "seconds": "training time (minutes)",
}
UNITS = {"episodes": 1e3, "steps": 1e6, "seconds": 60.0}
BINS = 100


def learning_curves(results: list[Result], styles: dict[str, int]) -> Figure:
    """Draw the mean return of one task against episodes, steps and time, with intervals over seeds.

    Args:
        results: of runs on one task.
        styles: the number of the line of each label.
    """
    figure = Figure(figsize=(13, 4.6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, name in zip(panels, AXES, strict=True):
        for label, group in grouped(results).items():
            trainings = [result.training for result in group]
            x, curves = binned_curves(trainings, name)
            _draw_band(axes, x / UNITS[name], curves, named(label, group), styles[label])
        axes.set_xlabel(AXES[name])
        axes.set_xlim(left=0)
        _plain(axes)
    panels[0].set_ylabel("mean return of an episode")
    _add_score_axis(panels[-1], results[0])
    figure.suptitle(f"{results[0].task}: learning, mean and 95% bootstrap interval over seeds")
    _legend_below(figure, panels[0])
    return figure


def within_episode(results: list[Result], styles: dict[str, int], width: int = 40) -> Figure:
    """Draw the mean reward per step against the time in the life, over the evaluations of one task.

    Args:
        results: of runs on one task, all evaluated.
        styles: the number of the line of each label.
        width: at most so many points; steps in between are averaged.
    """
    figure = Figure(figsize=(7, 4.8), layout="constrained")
    axes = figure.subplots()
    for label, group in grouped(results).items():
        longest = min(len(result.evaluation["reward_by_time"]) for result in group if result.evaluation)
        parts = np.array_split(np.arange(longest), min(width, longest))
        x = np.array([part.mean() + 1 for part in parts])
        curves = np.array(
            [
                [np.mean(np.array(result.evaluation["reward_by_time"])[part]) for part in parts]
                for result in group
                if result.evaluation
            ]
        )
        _draw_band(axes, x, curves, named(label, group), styles[label])
    axes.set(xlabel="time in the life (steps)", ylabel="mean reward per step")
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_xlim(left=0)
    _plain(axes)
    how = {result.evaluation["actions"] for result in results if result.evaluation}
    axes.set_title(f"{results[0].task}: learning within a life ({' and '.join(sorted(how))} actions)", fontsize=11)
    _legend_below(figure, axes)
    return figure


def binned_curves(trainings: list[Training], by: str) -> tuple[np.ndarray, np.ndarray]:
    """Return bins' ends (bins,) and mean returns (seeds, bins), as far as the shortest training goes.

    A training whose first episode ends after that (its kernels were compiled first, say) has NaN.

    Args:
        trainings: one for each seed.
        by: `"episodes"`, `"steps"` or `"seconds"`.
    """
    x = [np.arange(1, len(t.returns) + 1) if by == "episodes" else getattr(t, by) for t in trainings]
    end = min(values[-1] for values in x)
    # Copies that run in step end their episodes together: a bin wants two such moments, or it may stay empty.
    moments = min(count for values in x if (count := len(np.unique(values[values <= end]))))
    edges = np.linspace(0, end, 1 + max(1, min(BINS, moments // 2)))
    edges[-1] = np.nextafter(end, np.inf)
    return edges[1:], np.stack([t.binned(values, edges) for t, values in zip(trainings, x, strict=True)])


def named(label: str, group: list[Result]) -> str:
    """Return a label with the number of its seeds."""
    return f"{label} ({len(group)} seed{'s' * (len(group) > 1)})"


def _draw_band(axes: Any, x: np.ndarray, curves: np.ndarray, label: str, style: int) -> None:
    look = line_style(style)
    axes.plot(x, np.nanmean(curves, axis=0), label=label, linewidth=2, **look)
    if len(curves) > 1:
        low, high = bootstrap_interval(curves)
        axes.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)


def _add_score_axis(axes: Any, result: Result) -> None:
    zero, one = result.score_of(0.0), result.score_of(1.0)
    if zero is None or one is None:
        return
    slope = one - zero
    scale = axes.secondary_yaxis(
        "right", functions=(lambda value: zero + slope * value, lambda value: (value - zero) / slope)
    )
    scale.set_ylabel("score (0 random policy, 1 oracle)")


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)


def _legend_below(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, handlelength=3)
