"""The panels of a picture of an episode: each draws its axes once and returns what shows a step on them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from matplotlib.ticker import MaxNLocator

from plastic_rl.scripts.figures.recording import Moment, choice_names, chosen
from plastic_rl.scripts.figures.style import BLUE, DIVERGING, GRAY, ORANGE, PALE, VERMILION

MOST_BARS = 12  # more choices than that are drawn as cells
TIME = "time in the episode (steps)"

Show = Callable[[int], None]


def scene(axes: Any, moments: list[Moment], with_total: bool = False) -> Show:
    """Draw the environment's frames and, in a maze, the way since the agent was put where it started."""
    size = 8 if with_total else 10
    axes.set_axis_off()
    frame = moments[0].picture if isinstance(moments[0].picture, np.ndarray) else np.full((1, 1, 3), 255, np.uint8)
    image = axes.imshow(frame, interpolation="antialiased")
    (line,) = axes.plot([], [], color=ORANGE, linewidth=3, solid_capstyle="round", solid_joinstyle="round")
    axes.set_title("\n", fontsize=size)  # keeps its place

    def show(step: int) -> None:
        way = moments[step].way
        if isinstance(moments[step].picture, np.ndarray):
            image.set_data(moments[step].picture)
        text = f"step {step} of {len(moments) - 1}"
        text += f", reward so far {moments[step].total:.4g}" if with_total else ""
        if way is not None:
            line.set_data(way.points[:, 0], way.points[:, 1])
            last = f"last way: {way.last[0]} steps, shortest {way.last[1]}" if way.last else "not found yet"
            text += f"\nreward found {way.found} times; {last}"
        axes.set_title(text, fontsize=size)

    return show


def reward(axes: Any, moments: list[Moment]) -> Show:
    """Draw the reward so far."""
    return _growing(axes, np.array([moment.total for moment in moments]), "reward so far")


def modulation(axes: Any, moments: list[Moment]) -> Show:
    """Draw the neuromodulatory signal M(t)."""
    show = _growing(axes, np.array([moment.modulation for moment in moments]), "M(t)")
    axes.set_ylim(-1.05, 1.05)
    axes.axhline(0, color=PALE, linewidth=1, zorder=0)
    return show


def trace_norm(axes: Any, moments: list[Moment]) -> Show:
    """Draw how much is in the trace: its Frobenius norm."""
    name = next(iter(moments[0].traces))
    return _growing(axes, np.array([np.linalg.norm(moment.traces[name]) for moment in moments]), f"size of the {name}")


def _growing(axes: Any, values: np.ndarray, name: str) -> Show:
    (line,) = axes.plot([], [], color=BLUE, linewidth=2)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    room = 0.05 * (high - low) or 1.0
    axes.set(xlim=(0, len(values) - 1), ylim=(low - room, high + room), xlabel=TIME, ylabel=name)
    axes.spines[["top", "right"]].set_visible(False)

    def show(step: int) -> None:
        line.set_data(np.arange(step + 1), values[: step + 1])

    return show


def trace(part: Any, axes: Any, moments: list[Moment], name: str) -> Show:
    """Draw a trace as a matrix of colors."""
    # A few connections are much stronger than the rest: 1 in 500 has the darkest color and is beyond the scale.
    some = np.abs(np.stack([moment.traces[name] for moment in moments[:: max(1, len(moments) // 20)]]))
    most = float(np.quantile(some, 0.998)) or 1.0
    image = axes.imshow(
        moments[0].traces[name], cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest", aspect="auto"
    )
    axes.set(xlabel="postsynaptic neuron", ylabel="presynaptic neuron")
    axes.set_title(f"\n{name} of each connection", fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    part.colorbar(image, ax=axes, extend="both", pad=0.02)

    def show(step: int) -> None:
        image.set_data(moments[step].traces[name])

    return show


def activity(part: Any, axes: Any, moments: list[Moment]) -> Show:
    """Draw the activity of all neurons since the episode began."""
    values = np.stack([np.asarray(moment.activity) for moment in moments], axis=1)
    most = max(1.0, float(np.quantile(np.abs(values), 0.99)))  # 1 for a tanh, more for a core without one
    image = axes.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest", aspect="auto")
    axes.set(xlabel=TIME, ylabel="neuron")
    part.colorbar(image, ax=axes, label="activity", ticks=[-most, 0, most], format="%.3g", pad=0.02)

    def show(step: int) -> None:
        image.set_data(np.where(np.arange(values.shape[1]) <= step, values, np.nan))

    return show


def choice(part: Any, axes: Any, moments: list[Moment], space: spaces.Space, actions: tuple[str, ...] = ()) -> Show:
    """Draw the probabilities of the actions, or what else there is to choose by, and mark what was chosen."""
    kind, names = choice_names(space, actions)
    every = np.stack([np.asarray(moment.choices) for moment in moments])
    low, high = (min(-1.0, every.min()), max(1.0, every.max())) if isinstance(space, spaces.Box) else (0.0, 1.0)
    axes.set_title(kind.replace(" of", "\nof", 1), fontsize=11)
    if len(names) > MOST_BARS:
        return _choice_cells(part, axes, every, low, high)
    bars = axes.barh(names, every[0], color=PALE, edgecolor=GRAY)
    axes.set(xlim=(low, high), ylim=(len(names) - 0.5, -0.5), xlabel="chosen: orange", ylabel="action")
    axes.spines[["top", "right"]].set_visible(False)

    def show(step: int) -> None:
        taken = chosen(space, moments[step].action)
        for i, (bar, value) in enumerate(zip(bars, every[step], strict=True)):
            bar.set_width(value if moments[step].action is not None else 0)  # at the end nothing is chosen
            bar.set_facecolor(VERMILION if i in taken else PALE)

    return show


def _choice_cells(part: Any, axes: Any, every: np.ndarray, low: float, high: float) -> Show:
    columns = int(np.ceil(np.sqrt(every.shape[1])))
    padding = -every.shape[1] % columns
    cells = np.pad(every, ((0, 0), (0, padding)), constant_values=np.nan).reshape(len(every), -1, columns)
    image = axes.imshow(cells[0], cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    part.colorbar(image, ax=axes, location="bottom", pad=0.02)

    def show(step: int) -> None:
        image.set_data(cells[step])

    return show
