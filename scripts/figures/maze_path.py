"""The way of an agent through the maze, from where it was put to the reward."""

from typing import NamedTuple

import gymnasium as gym
import numpy as np

from plastic_rl.envs.maze import CELL, Maze


class Way(NamedTuple):
    """A way so far.

    Attributes:
        points: (steps + 1, 2) where the agent was, as x and y in pixels of the maze's frame.
        least: steps that the shortest way to the reward takes.
        found: how often the reward was found before.
        last: steps and least steps of the way before, or None.
    """

    points: np.ndarray
    least: int
    found: int
    last: tuple[int, int] | None


class MazeWay:
    """Follows the agent of a maze; of any other environment it tells nothing.

    Args:
        env: the environment, in any wrappers.
    """

    def __init__(self, env: gym.Env) -> None:
        task = getattr(env.unwrapped, "task", None)
        self._task = task if isinstance(task, Maze) else None
        self.begin()

    def begin(self) -> None:
        """Forget what was: a life begins."""
        self._found = 0
        self._last: tuple[int, int] | None = None
        self._points: list[tuple[float, float]] = []
        self._least = 0
        self._mark()

    def follow(self, reward: float) -> None:
        """Take note of a step that paid `reward`; a positive one ends the way, and the agent was put elsewhere."""
        if self._task is not None and reward > 0:
            self._last = (len(self._points), self._least)
            self._found += 1
            self._points = []
        self._mark()

    def now(self) -> Way | None:
        """Return the way so far."""
        return None if self._task is None else Way(np.array(self._points), self._least, self._found, self._last)

    def _mark(self) -> None:
        if self._task is None:
            return
        cell, grid = self._task.position[0], self._task.grid
        if not self._points:
            self._least = int(self._task.distance()[0])
        self._points.append(((grid.columns[cell] + 0.5) * CELL, (grid.rows[cell] + 0.5) * CELL))
