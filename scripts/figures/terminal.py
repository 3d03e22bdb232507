"""An episode in a terminal: the environment's text beside the trace, the choice and the reward so far."""

import time
from collections.abc import Iterable

import numpy as np
from gymnasium import spaces
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from plastic_rl.agents.matrix_image import WHITE, diverging_colors
from plastic_rl.scripts.figures.recording import Moment, as_cells, choice_names, chosen

CELLS = 24  # rows and columns of a trace
MOST_BARS = 12
BAR = 16  # characters
EIGHTHS = " ▏▎▍▌▋▊▉█"


class Scene:
    """Draws moments for a terminal, the trace on a scale that grows with what was seen."""

    def __init__(self, action_space: spaces.Space, title: str, actions: tuple[str, ...] = ()) -> None:
        self._space = action_space
        self._kind, self._names = choice_names(action_space, actions)
        self._title = title
        self._most: dict[str, float] = {}

    def draw(self, step: int, moment: Moment) -> RenderableType:
        """Return the picture of a moment."""
        left: list[RenderableType] = [] if moment.picture is None else [Text(str(moment.picture), no_wrap=True)]
        left.append(Text(f"\nreward so far {moment.total:.1f}", "bold"))
        if moment.choices is not None:
            left += [Text(self._kind), self._choices(moment.choices, chosen(self._space, moment.action))]
        if moment.modulation is not None:
            left.append(Text(f"M(t) {moment.modulation:+.2f}"))
        panels: list[RenderableType] = [Group(*left)]
        for name, trace in moment.traces.items():
            self._most[name] = max(self._most.get(name, 1e-6), float(np.quantile(np.abs(trace), 0.998)))
            heading = f"{name}, ±{self._most[name]:.2g}"
            panels.append(Panel(heat(trace, self._most[name]), title=heading, expand=False))
        if moment.activity is not None:
            panels.append(Panel(heat(as_cells(moment.activity), 1.0), title="activity, ±1", expand=False))
        return Panel(Columns(panels, padding=(0, 2)), title=self._title, subtitle=f"step {step}", expand=False)

    def _choices(self, choices: np.ndarray, taken: set[int]) -> RenderableType:
        if len(self._names) > MOST_BARS:
            return heat(as_cells(choices), 1.0)
        width = max(map(len, self._names))
        lines = [f"{name:>{width}} {bar_of(value):<{BAR}} {value:5.2f}"
                 for name, value in zip(self._names, choices.tolist(), strict=True)]  # fmt: skip
        return Group(*(Text(line, "bold" if i in taken else "dim") for i, line in enumerate(lines)))


def show_live(scene: Scene, moments: Iterable[Moment], every: int, fps: float) -> None:
    """Show each `every`-th moment, and the last, at so many a second; into a file or a pipe one below the other."""
    console = Console()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for step, moment in enumerate(moments):
            if step % every and moment.action is not None:
                continue
            if console.is_terminal:
                live.update(scene.draw(step, moment), refresh=True)
                time.sleep(1 / fps)
            else:
                console.print(scene.draw(step, moment))


def bar_of(value: float) -> str:
    """Return a bar of characters for a value from 0 to 1; its size for one beyond."""
    eighths = round(8 * BAR * min(abs(value), 1.0))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def shrink(matrix: np.ndarray, most: int) -> np.ndarray:
    """Return a matrix of at most `most` rows and columns whose cells are those of largest size of what they replace."""
    for _ in (0, 1):  # rows, then columns
        parts = np.array_split(matrix, most) if len(matrix) > most else [row[None] for row in matrix]
        largest = [np.take_along_axis(part, np.abs(part).argmax(axis=0)[None], axis=0) for part in parts]
        matrix = np.concatenate(largest).T
    return matrix


def heat(matrix: np.ndarray, most: float) -> Text:
    """Return a matrix, shrunk, as colored blocks, two rows a line: red above zero, blue below, white at zero."""
    colors = diverging_colors(shrink(matrix, CELLS), most)
    rgb = np.pad(colors, ((0, len(colors) % 2), (0, 0), (0, 0)), constant_values=WHITE)
    text = Text(no_wrap=True)
    for row in range(0, len(rgb), 2):
        for upper, lower in zip(rgb[row], rgb[row + 1], strict=True):
            text.append("▀", f"rgb({upper[0]},{upper[1]},{upper[2]}) on rgb({lower[0]},{lower[1]},{lower[2]})")
        if row + 2 < len(rgb):
            text.append("\n")
    return text
