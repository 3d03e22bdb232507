"""The picture of one moment of an episode beside the memory at that moment."""

from typing import Any

import numpy as np
from gymnasium import spaces
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plastic_rl.scripts.figures import panels
from plastic_rl.scripts.figures.recording import Moment

SIZE = (12.0, 6.4)  # inches; at 80 dots per inch whole blocks of 16 pixels, as videos want them
SMALL_SIZE = (6.4, 3.2)


class EpisodeFigure:
    """Draws the moments of one episode, one after the other.

    The environment's frame and the reward so far stand on the left, the memory in the middle (traces, and the activity
    of all neurons since the beginning), the choice and the size of the trace, or M(t), on the right; what a policy
    lacks is left out. Scales are those of the whole episode, so that its pictures can be compared.

    Args:
        moments: the episode, at least one.
        action_space: of the environment.
        title: what stands above.
        dpi: dots per inch; the picture is 12 by 6.4 inches.
        actions: what the environment calls its actions, if it says.
        small: draw the frame and the first trace (or the activity) alone, 6.4 by 3.2 inches, without a title.
    """

    def __init__(
        self,
        moments: list[Moment],
        action_space: spaces.Space,
        title: str,
        dpi: int = 80,
        small: bool = False,
        actions: tuple[str, ...] = (),
    ) -> None:
        self._figure = Figure(figsize=SMALL_SIZE if small else SIZE, dpi=dpi, layout="constrained")
        self._canvas = FigureCanvasAgg(self._figure)
        self._shows: list[panels.Show] = []
        self._actions = actions
        if small:
            self._draw_small(moments)
        else:
            self._figure.suptitle(title, fontsize=13)
            self._draw_all(moments, action_space)

    def _draw_small(self, moments: list[Moment]) -> None:
        parts: Any = self._figure.subfigures(1, 2, width_ratios=[1, 1.1])
        left, right = parts
        self._shows.append(panels.scene(left.subplots(), moments, with_total=True))
        if moments[0].traces:
            self._shows.append(panels.trace(right, right.subplots(), moments, next(iter(moments[0].traces))))
        elif moments[0].activity is not None:
            self._shows.append(panels.activity(right, right.subplots(), moments))

    def _draw_all(self, moments: list[Moment], action_space: spaces.Space) -> None:
        first = moments[0]
        memory, choice = first.activity is not None, first.choices is not None
        widths = [1.05, *[1.0 + 0.4 * (len(first.traces) > 1)] * memory, *[0.64] * (choice or bool(first.traces))]
        parts = list(self._figure.subfigures(1, len(widths), width_ratios=widths, squeeze=False)[0])
        top, bottom = _rows(parts[0])
        self._shows += [panels.scene(top, moments), panels.reward(bottom, moments)]
        if memory:
            self._draw_memory(parts[1], moments)
        if choice and first.traces:
            top, bottom = _rows(parts[-1])
            self._shows.append(panels.choice(parts[-1], top, moments, action_space, self._actions))
            self._draw_size(bottom, moments)
        elif choice:
            self._shows.append(panels.choice(parts[-1], parts[-1].subplots(), moments, action_space, self._actions))
        elif first.traces:
            self._draw_size(parts[-1].subplots(), moments)

    def _draw_memory(self, part: Any, moments: list[Moment]) -> None:
        names = list(moments[0].traces)
        if not names:
            self._shows.append(panels.activity(part, part.subplots(), moments))
            return
        upper, lower = part.subfigures(2, 1, height_ratios=[2.2, 1])
        for axes, name in zip(upper.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            self._shows.append(panels.trace(upper, axes, moments, name))
        self._shows.append(panels.activity(lower, lower.subplots(), moments))

    def _draw_size(self, axes: Any, moments: list[Moment]) -> None:
        modulated = moments[0].modulation is not None
        self._shows.append((panels.modulation if modulated else panels.trace_norm)(axes, moments))

    def frame(self, step: int) -> np.ndarray:
        """Draw the moment at a step and return the picture, (height, width, 3) uint8."""
        for show in self._shows:
            show(step)
        self._canvas.draw()
        self._figure.set_layout_engine("none")  # all stays where it stood in the first picture
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()


def _rows(part: Any) -> Any:
    return part.subplots(2, 1, height_ratios=[2.2, 1])
