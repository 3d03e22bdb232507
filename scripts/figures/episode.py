"""The picture of one moment of an episode beside the memory at that moment, and films of such pictures.

Each panel is drawn once and returns a function that shows a step on it. A picture draws only what they change.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from plastic_rl.scripts import refuse
from plastic_rl.scripts.figures.recording import Moment, as_cells, choice_names, chosen
from plastic_rl.scripts.figures.style import BLUE, DIVERGING, GRAY, ORANGE, PALE, VERMILION

SIZE = (12.0, 6.4)  # inches; at 80 dots per inch whole blocks of 16 pixels, as videos want them
SMALL_SIZE = (4.0, 2.1)
MOST = 100  # pictures of a film, unless it is said otherwise
MOST_BARS = 12  # more choices than that are drawn as cells
TIME = "time in the episode (steps)"

Show = Callable[[int], list[Any]]  # shows a step, and returns what it changed


class EpisodeFigure:
    """Draws the moments of one episode, one after the other.

    The environment's frame and the reward so far stand on the left, the memory in the middle (traces, and the activity
    of all neurons since the beginning), the choice and the size of the trace, or M(t), on the right; what a policy
    lacks is left out. Scales are those of the whole episode, so that its pictures can be compared. Without a
    title it is small, 4 by 2.1 inches in place of 12 by 6.4, and has the frame and the first trace, without a scale.
    """

    def __init__(
        self, moments: list[Moment], space: spaces.Space, title: str | None, dpi: int = 80, actions: tuple = ()
    ) -> None:
        self.n_moments = len(moments)
        self._figure = Figure(figsize=SMALL_SIZE if title is None else SIZE, dpi=dpi, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        if title is None:
            self._shows = [*_small(self._figure, moments)]
        else:
            self._figure.suptitle(title, fontsize=13)
            self._shows = [*_large(self._figure, moments, space, actions)]
        self._rest: Any = None

    def frame(self, step: int) -> np.ndarray:
        """Draw the moment at a step and return the picture, (height, width, 3) uint8."""
        changed = [artist for show in self._shows for artist in show(step)]
        panels = {artist.axes: None for artist in changed if artist.axes.axison}  # in their order
        changed += [spine for axes in panels for spine in axes.spines.values() if spine.get_visible()]
        if self._rest is None:
            self._rest = self._draw_without(changed)
        self._canvas.restore_region(self._rest)
        for artist in changed:
            artist.axes.draw_artist(artist)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def _draw_without(self, changed: list[Any]) -> Any:
        """Draw all that is the same in every picture."""
        self._canvas.draw()
        self._figure.set_layout_engine("none")  # all stays where it stood with everything in it
        for artist in changed:
            artist.set_visible(False)
        self._canvas.draw()
        for artist in changed:
            artist.set_visible(True)
        return self._canvas.copy_from_bbox(self._figure.bbox)

    def film(self, path: Path, every: int | None = None, fps: float = 12) -> int:
        """Write a GIF that repeats, an MP4, or a PNG of the last moment; return the number of pictures.

        Each `every`-th step is shown, and the last; by default as many as make 100 pictures of a long episode.
        """
        import imageio.v3 as iio
        from tqdm import tqdm

        last = self.n_moments - 1
        every = every or -(-last // (MOST - 1)) or 1
        steps = [last] if path.suffix == ".png" else sorted({*range(0, last + 1, every), last})
        frames = [self.frame(step) for step in tqdm(steps, "drawing", unit="picture", disable=None, leave=False)]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            iio.imwrite(path, frames[-1])
        elif path.suffix == ".gif":
            _write_gif(path, frames, fps)
        else:
            try:
                iio.imwrite(path, np.stack(frames), fps=fps, macro_block_size=2)
            except ImportError:
                refuse("MP4 needs imageio-ffmpeg: pip install imageio-ffmpeg, or write a .gif")
        return len(frames)


def _write_gif(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write frames with one palette for all, so that colors do not flicker, and few pixels change between frames."""
    some = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 4)]))
    palette = some.quantize(256, Image.Quantize.MAXCOVERAGE)
    first, *others = (Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames)
    durations = [1000 / fps] * len(others) + [2000]  # milliseconds; the end stays for a while
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0)


def _small(figure: Any, moments: list[Moment]) -> Iterator[Show]:
    left, right = figure.subplots(1, 2)
    yield _scene(left, moments, small=True)
    if moments[0].traces:
        yield _trace(None, right, moments, next(iter(moments[0].traces)))


def _large(figure: Any, moments: list[Moment], space: spaces.Space, actions: tuple[str, ...]) -> Iterator[Show]:
    names, memory = list(moments[0].traces), moments[0].activity is not None
    last = ["choice"] * (moments[0].choices is not None) + ["size"] * bool(names)
    upper, lower = names or ["activity"] * memory, ["activity"] * max(len(names), memory)
    rows = [["scene", *upper, *last[:1]], ["reward", *lower, *last[-1:]]]
    middle = (1.0 + 0.4 * (len(names) > 1)) / max(1, len(names))
    widths = [1.05, *[middle] * len(lower), *[0.64] * bool(last)]
    panels = figure.subplot_mosaic(rows, width_ratios=widths, height_ratios=[2.2, 1])
    yield _scene(panels["scene"], moments)
    yield _growing(panels["reward"], [moment.total for moment in moments], "reward so far")
    for name in names:
        yield _trace(figure, panels[name], moments, name)
    if memory:
        yield _activity(figure, panels["activity"], moments)
    if "choice" in last:
        yield _choice(figure, panels["choice"], moments, space, actions)
    if names:
        yield _size(panels["size"], moments)


def _scene(axes: Any, moments: list[Moment], small: bool = False) -> Show:
    """Draw the environment's frames and, in a maze, the way since the agent was put where it started."""
    axes.set_axis_off()
    frame = moments[0].picture if isinstance(moments[0].picture, np.ndarray) else np.full((1, 1, 3), 255, np.uint8)
    image = axes.imshow(frame, interpolation="antialiased")
    (line,) = axes.plot([], [], color=ORANGE, linewidth=3, solid_capstyle="round", solid_joinstyle="round")
    axes.set_title("" if small else "\n", fontsize=9, y=1)  # keeps its place

    def show(step: int) -> list[Any]:
        way = moments[step].way
        if isinstance(moments[step].picture, np.ndarray):
            image.set_data(moments[step].picture)
        text = f"reward {moments[step].total:.4g}" if small else f"step {step} of {len(moments) - 1}"
        if way is not None:
            line.set_data(*way.points.T)
            last = f"last way: {way.last[0]} steps, shortest {way.last[1]}" if way.last else "not found yet"
            text += "" if small else f"\nreward found {way.found} times; {last}"
        axes.title.set_text(text)
        return [image, line, axes.title]

    return show


def _size(axes: Any, moments: list[Moment]) -> Show:
    """Draw the neuromodulatory signal M(t) or, without one, how much is in the trace: its Frobenius norm."""
    if moments[0].modulation is None:
        name = next(iter(moments[0].traces))
        return _growing(axes, [np.linalg.norm(moment.traces[name]) for moment in moments], f"size of the {name}")
    show = _growing(axes, [moment.modulation for moment in moments], "M(t)")
    axes.set_ylim(-1.05, 1.05)
    axes.axhline(0, color=PALE, linewidth=1, zorder=0)
    return show


def _growing(axes: Any, values: list[Any], name: str) -> Show:
    (line,) = axes.plot([], [], color=BLUE, linewidth=2)
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.05 * (high - low) or 1.0
    axes.set(xlim=(0, len(values) - 1), ylim=(low - room, high + room), xlabel=TIME, ylabel=name)
    axes.spines[["top", "right"]].set_visible(False)
    return _changing(line, lambda step: line.set_data(np.arange(step + 1), values[: step + 1]))


def _changing(artist: Any, change: Callable[[int], None]) -> Show:
    def show(step: int) -> list[Any]:
        change(step)
        return [artist]

    return show


def _matrix(axes: Any, values: np.ndarray, most: float) -> Any:
    return axes.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest", aspect="auto")


def _trace(figure: Any, axes: Any, moments: list[Moment], name: str) -> Show:
    """Draw a trace as a matrix of colors; its scale only where there is a figure to draw it in."""
    # A few connections are much stronger than the rest: 1 in 500 has the darkest color and is beyond the scale.
    some = np.abs(np.stack([moment.traces[name] for moment in moments[:: max(1, len(moments) // 20)]]))
    image = _matrix(axes, moments[0].traces[name], float(np.quantile(some, 0.998)) or 1.0)
    if figure is None:
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=9)
        return _changing(image, lambda step: image.set_data(moments[step].traces[name]))
    axes.set(xlabel="postsynaptic neuron", ylabel="presynaptic neuron")
    axes.set_title(f"\n{name} of each connection", fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.colorbar(image, ax=axes, extend="both", pad=0.02)
    return _changing(image, lambda step: image.set_data(moments[step].traces[name]))


def _activity(figure: Any, axes: Any, moments: list[Moment]) -> Show:
    """Draw the activity of all neurons since the episode began."""
    values = np.stack([np.asarray(moment.activity) for moment in moments], axis=1)
    most = max(1.0, float(np.quantile(np.abs(values), 0.99)))  # 1 for a tanh, more for a core without one
    image = _matrix(axes, values, most)
    axes.set(xlabel=TIME, ylabel="neuron")
    figure.colorbar(image, ax=axes, label="activity", ticks=[-most, 0, most], format="%.3g", pad=0.02)
    steps = np.arange(values.shape[1])
    return _changing(image, lambda step: image.set_data(np.where(steps <= step, values, np.nan)))


def _choice(figure: Any, axes: Any, moments: list[Moment], space: spaces.Space, actions: tuple[str, ...]) -> Show:
    """Draw the probabilities of the actions, or what else there is to choose by, and mark what was chosen."""
    kind, names = choice_names(space, actions)
    every = np.stack([np.asarray(moment.choices) for moment in moments])
    low, high = (min(-1.0, every.min()), max(1.0, every.max())) if isinstance(space, spaces.Box) else (0.0, 1.0)
    axes.set_title(kind.replace(" of", "\nof", 1), fontsize=11)
    if len(names) > MOST_BARS:
        cells = as_cells(every, fill=np.nan)
        image = axes.imshow(cells[0], cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        figure.colorbar(image, ax=axes, location="bottom", pad=0.02)
        return _changing(image, lambda step: image.set_data(cells[step]))
    bars = axes.barh(names, every[0], color=PALE, edgecolor=GRAY)
    axes.set(xlim=(low, high), ylim=(len(names) - 0.5, -0.5), xlabel="chosen: orange", ylabel="action")
    axes.spines[["top", "right"]].set_visible(False)

    def show(step: int) -> list[Any]:
        taken = chosen(space, moments[step].action)
        for i, (bar, value) in enumerate(zip(bars, every[step], strict=True)):
            bar.set_width(value if moments[step].action is not None else 0)  # at the end nothing is chosen
            bar.set_facecolor(VERMILION if i in taken else PALE)
        return list(bars)

    return show
