"""The picture of one moment of an episode beside the memory at that moment, and films of such pictures.

Each panel is drawn once and returns a function that shows a step on it. What such a function changes is animated, in
matplotlib's sense: all else is drawn once for all pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from plastic_rl.scripts import refuse
from plastic_rl.scripts.figures.recording import MOST_BARS, Moment, as_cells, chosen
from plastic_rl.scripts.figures.style import BLUE, DIVERGING, GRAY, PALE, VERMILION

SIZE = (12.0, 6.4)  # inches; at 80 dots per inch whole blocks of 16 pixels, as videos want them
SMALL_SIZE = (4.0, 2.1)
MOST = 100  # pictures of a film, unless it is said otherwise
TIME = "time in the episode (steps)"

Show = Callable[[int], Any]


class EpisodeFigure:
    """Draws the moments of one episode, all on the scales of the whole episode; a small picture without a title."""

    def __init__(self, moments: list[Moment], space: Any, title: str | None, dpi: int = 80, names: Sequence[str] = ()):
        self.n_moments = len(moments)
        self._figure = Figure(figsize=SMALL_SIZE if title is None else SIZE, dpi=dpi, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        if title is not None:
            self._figure.suptitle(title, fontsize=13)
        panels = _small(self._figure, moments) if title is None else _large(self._figure, moments, space, names)
        self._shows = [*panels]
        for axes in self._figure.axes:
            if axes.axison:  # pictures would cover half of their frames
                axes.spines[:].set_animated(True)
        self._canvas.draw()
        self._figure.set_layout_engine("none")  # all stays where it stands
        self._rest = self._canvas.copy_from_bbox(self._figure.bbox)

    def frame(self, step: int) -> np.ndarray:
        """Draw the moment at a step and return the picture, (height, width, 3) uint8."""
        for show in self._shows:
            show(step)
        self._canvas.restore_region(self._rest)
        for axes in self._figure.axes:
            for artist in sorted(axes.get_children(), key=lambda artist: artist.zorder):
                if artist.get_animated():
                    axes.draw_artist(artist)
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def film(self, path: Path, every: int | None = None, fps: float = 12) -> int:
        """Write each `every`-th step as a GIF or MP4, or the last as a PNG; return the number of pictures."""
        import imageio.v3 as iio
        from tqdm import tqdm

        last = self.n_moments - 1
        every = every or -(-last // (MOST - 1)) or 1
        steps = [last] if path.suffix == ".png" else sorted({*range(0, last + 1, every), last})
        frames = [self.frame(step) for step in tqdm(steps, "drawing", unit="picture", disable=None, leave=False)]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gif":  # one palette for all, so that colors do not flicker, and few pixels change
            some = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 4)]))
            palette = some.quantize(256, Image.Quantize.MAXCOVERAGE)
            first, *others = (Image.fromarray(f).quantize(palette=palette, dither=Image.Dither.NONE) for f in frames)
            times = [1000 / fps] * len(others) + [2000]  # milliseconds; the end stays for a while
            first.save(path, save_all=True, append_images=others, duration=times, loop=0)
            return len(frames)
        try:
            how: dict[str, Any] = {"fps": fps, "macro_block_size": 2} if path.suffix == ".mp4" else {}
            iio.imwrite(path, np.stack(frames) if how else frames[0], **how)
        except ImportError:
            refuse("MP4 needs imageio-ffmpeg: pip install imageio-ffmpeg, or write a .gif")
        return len(frames)


def _small(figure: Any, moments: list[Moment]) -> Iterator[Show]:
    left, right = figure.subplots(1, 2)
    right.set(xticks=[], yticks=[])
    yield _scene(left, moments, lambda step: f"reward {moments[step].total:.4g}")
    for name in list(moments[0].traces)[:1]:
        right.set_title(name, fontsize=9)
        yield _trace(right, moments, name)[1]


def _large(figure: Any, moments: list[Moment], space: spaces.Space, names: Sequence[str]) -> Iterator[Show]:
    first = moments[0]
    memory = [[name, "activity"] for name in first.traces] or [["activity"] * 2] * (first.activity is not None)
    modulated = first.modulation is not None
    choice = [["choice", "M(t)" if modulated else "choice"]] * (first.choices is not None)
    width = (1.0 + 0.4 * (len(memory) > 1)) / max(1, len(memory))
    widths = [1.05, *[width] * len(memory), *[0.64] * len(choice)]
    rows = [list(row) for row in zip(["scene", "reward"], *memory, *choice, strict=True)]
    panels = figure.subplot_mosaic(rows, width_ratios=widths, height_ratios=[2.2, 1])
    yield _scene(panels["scene"], moments, lambda step: f"step {step} of {len(moments) - 1}")
    yield _growing(panels["reward"], [moment.total for moment in moments], "reward so far")
    for name in first.traces:
        axes = panels[name]
        image, show = _trace(axes, moments, name)
        axes.set(xlabel="postsynaptic neuron", ylabel="presynaptic neuron")
        axes.set_title(f"\n{name} of each connection", fontsize=11)
        axes.locator_params(integer=True, nbins=6)
        figure.colorbar(image, ax=axes, extend="both", pad=0.02)
        yield show
    if memory:
        yield _activity(panels["activity"], moments)
    if choice:
        yield _choice(panels["choice"], moments, space, names)
    if modulated:
        yield _growing(panels["M(t)"], [moment.modulation for moment in moments], "M(t)")


def _scene(axes: Any, moments: list[Moment], title: Callable[[int], str]) -> Show:
    """Draw the environment's frames."""
    axes.set_axis_off()
    axes.set_title(title(0), fontsize=9, y=1)
    axes.title.set_animated(True)
    frames = [m.picture if isinstance(m.picture, np.ndarray) else np.full((1, 1, 3), 255, np.uint8) for m in moments]
    image = axes.imshow(frames[0], interpolation="antialiased", animated=True)
    return lambda step: (image.set_data(frames[step]), axes.title.set_text(title(step)))


def _growing(axes: Any, values: list[Any], name: str) -> Show:
    (line,) = axes.plot([], [], color=BLUE, linewidth=2, animated=True)
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.05 * (high - low) or 1.0
    axes.set(xlim=(0, len(values) - 1), ylim=(low - room, high + room), xlabel=TIME, ylabel=name)
    axes.spines[["top", "right"]].set_visible(False)
    return lambda step: line.set_data(np.arange(step + 1), values[: step + 1])


def _trace(axes: Any, moments: list[Moment], name: str) -> tuple[Any, Show]:
    """Draw a trace as a matrix of colors."""
    # A few connections are much stronger than the rest: 1 in 500 has the darkest color and is beyond the scale.
    some = np.abs(np.stack([moment.traces[name] for moment in moments[:: max(1, len(moments) // 20)]]))
    image = _matrix(axes, moments[0].traces[name], float(np.quantile(some, 0.998)) or 1.0)
    return image, lambda step: image.set_data(moments[step].traces[name])


def _activity(axes: Any, moments: list[Moment]) -> Show:
    """Draw the activity of all neurons since the episode began."""
    values = np.stack([np.asarray(moment.activity) for moment in moments], axis=1)
    most = max(1.0, float(np.quantile(np.abs(values), 0.99)))  # 1 for a tanh, more for a core without one
    image = _matrix(axes, values, most)
    axes.set(xlabel=TIME, ylabel="neuron")
    axes.figure.colorbar(image, ax=axes, label="activity", ticks=[-most, 0, most], format="%.3g", pad=0.02)
    return lambda step: image.set_data(np.where(np.arange(values.shape[1]) <= step, values, np.nan))


def _matrix(axes: Any, values: np.ndarray, most: float) -> Any:
    look: dict[str, Any] = {"cmap": DIVERGING, "vmin": -most, "vmax": most, "interpolation": "nearest"}
    return axes.imshow(values, aspect="auto", animated=True, **look)


def _choice(axes: Any, moments: list[Moment], space: spaces.Space, names: Sequence[str]) -> Show:
    """Draw the probabilities of the actions, or what else there is to choose by, and mark what was chosen."""
    every = np.stack([np.asarray(moment.choices) for moment in moments])
    low, high = (min(-1.0, every.min()), max(1.0, every.max())) if isinstance(space, spaces.Box) else (0.0, 1.0)
    what = "mean" if isinstance(space, spaces.Box) else "probability"
    axes.set_title(f"{what}\nof each action", fontsize=11)
    if len(names) > MOST_BARS:
        cells = [as_cells(values, fill=np.nan) for values in every]
        image = axes.imshow(cells[0], cmap="cividis", vmin=low, vmax=high, interpolation="nearest", animated=True)
        axes.set(xticks=[], yticks=[])
        axes.figure.colorbar(image, ax=axes, location="bottom", pad=0.02)
        return lambda step: image.set_data(cells[step])
    bars = axes.barh(names, every[0], color=PALE, edgecolor=GRAY, animated=True)
    axes.set(xlim=(low, high), ylim=(len(names) - 0.5, -0.5), xlabel="chosen: orange", ylabel="action")
    axes.spines[["top", "right"]].set_visible(False)

    def show(step: int) -> None:
        taken = chosen(space, moments[step].action)
        for i, (bar, value) in enumerate(zip(bars, every[step], strict=True)):
            bar.set_width(value if moments[step].action is not None else 0)  # at the end nothing is chosen
            bar.set_facecolor(VERMILION if i in taken else PALE)

    return show
