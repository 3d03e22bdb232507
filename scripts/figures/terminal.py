"""An episode in a terminal: the environment's text beside the trace, the choice and the reward so far."""

import time
from collections.abc import Iterable

import numpy as np
import torch
from gymnasium import spaces
from rich.bar import Bar
from rich.color import Color
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text
from torch.nn.functional import adaptive_max_pool2d

from plastic_rl.agents.matrix_image import WHITE, diverging_colors
from plastic_rl.scripts.figures.recording import MOST_BARS, Moment, as_cells, chosen

CELLS = 24  # rows and columns of a trace


class Scene:
    """Draws moments for a terminal, the trace on a scale that grows with what was seen."""

    def __init__(self, space: spaces.Space, title: str, names: list[str]) -> None:
        self._space, self._title, self._names = space, title, names
        self._most: dict[str, float] = {}

    def draw(self, step: int, moment: Moment) -> RenderableType:
        """Return the picture of a moment."""
        left: list[RenderableType] = [] if moment.picture is None else [Text(str(moment.picture), no_wrap=True)]
        left.append(Text(f"\nreward so far {moment.total:.1f}", "bold"))
        if moment.choices is not None:
            left.append(self._choices(moment.choices, chosen(self._space, moment.action)))
        if moment.modulation is not None:
            left.append(Text(f"M(t) {moment.modulation:+.2f}"))
        panels: list[RenderableType] = [Group(*left)]
        matrices = moment.traces if moment.activity is None else moment.traces | {"activity": as_cells(moment.activity)}
        for name, matrix in matrices.items():
            self._most[name] = max(self._most.get(name, 1e-6), float(np.quantile(np.abs(matrix), 0.998)))
            panels.append(Panel(heat(matrix, self._most[name]), title=f"{name}, ±{self._most[name]:.2g}", expand=False))
        return Panel(Columns(panels, padding=(0, 2)), title=self._title, subtitle=f"step {step}", expand=False)

    def _choices(self, choices: np.ndarray, taken: set[int]) -> RenderableType:
        if len(self._names) > MOST_BARS:
            return heat(as_cells(choices), 1.0)
        table = Table.grid(padding=(0, 1))
        for i, (name, value) in enumerate(zip(self._names, choices.tolist(), strict=True)):
            table.add_row(name, Bar(1, 0, abs(value), width=16), f"{value:5.2f}", style="bold" if i in taken else "dim")
        return table


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


def shrink(matrix: np.ndarray, most: int) -> np.ndarray:
    """Return a matrix of at most `most` rows and columns whose cells are those of largest size of what they replace."""
    shape = [min(most, length) for length in matrix.shape]
    sizes = torch.as_tensor(np.abs(matrix, dtype=np.float32))[None]
    return matrix.ravel()[adaptive_max_pool2d(sizes, shape, return_indices=True)[1][0].numpy()]


def heat(matrix: np.ndarray, most: float) -> Text:
    """Return a matrix, shrunk, as colored blocks, two rows a line: red above zero, blue below, white at zero."""
    colors = diverging_colors(shrink(matrix, CELLS), most)
    rgb = np.pad(colors, ((0, len(colors) % 2), (0, 0), (0, 0)), constant_values=WHITE)
    lines = []
    for above, below in zip(rgb[::2].tolist(), rgb[1::2].tolist(), strict=True):
        pairs = [(Color.from_rgb(*upper), Color.from_rgb(*lower)) for upper, lower in zip(above, below, strict=True)]
        lines.append(Text.assemble(*(("▀", Style(color=upper, bgcolor=lower)) for upper, lower in pairs)))
    return Text("\n").join(lines)
