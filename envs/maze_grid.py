"""The maze's plan: its free cells, which way leads where, shortest paths, and the exact returns of two policies."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from plastic_rl.envs.task import ReferenceReturns

# Row and column offsets of the actions: up, down, left, right.
OFFSETS = ((-1, 0), (1, 0), (0, -1), (0, 1))


class Grid(NamedTuple):
    """Tables over the F free cells, which are numbered row by row.

    Attributes:
        walls: (size, size) bool.
        rows: (F,) and
        columns: (F,) where each free cell lies.
        center: number of the center cell.
        moves: (F, 4) int64, the cell that an action leads to; the same cell where a wall is in the way.
        flags: (F, 9) float32, 1 for a wall, of the 3x3 cells around, row by row.
        distance: (F, F) int64, [goal, cell], steps on a shortest path.
        best: (F, F) int64, [goal, cell], its first action (the smallest, of several).
    """

    walls: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    center: int
    moves: np.ndarray
    flags: np.ndarray
    distance: np.ndarray
    best: np.ndarray


@lru_cache(maxsize=8)
def make_grid(size: int) -> Grid:
    """Return the tables of the maze with `size` rows and columns, odd and at least 5; made once for each size."""
    walls = np.zeros((size, size), bool)
    walls[[0, -1], :] = walls[:, [0, -1]] = walls[::2, ::2] = True
    walls[size // 2, size // 2] = False
    rows, columns = np.nonzero(~walls)
    number = np.full((size, size), -1)
    number[rows, columns] = np.arange(len(rows))
    neighbors = np.stack([number[rows + down, columns + right] for down, right in OFFSETS], axis=1)
    moves = np.where(neighbors < 0, np.arange(len(rows))[:, None], neighbors)
    around = [walls[rows + down, columns + right] for down in (-1, 0, 1) for right in (-1, 0, 1)]
    distance = _distances(moves)
    best = np.stack([distance[:, moves[:, action]] for action in range(4)]).argmin(axis=0)
    center = int(number[size // 2, size // 2])
    return Grid(walls, rows, columns, center, moves, np.stack(around, axis=1).astype(np.float32), distance, best)


def _distances(moves: np.ndarray) -> np.ndarray:
    """Breadth-first search from every cell at once: one sweep finds all the cells at one distance."""
    cells = len(moves)
    reached = np.eye(cells, dtype=bool)
    distance = np.zeros((cells, cells), np.int64)
    while not reached.all():
        distance += ~reached
        reached = reached | reached[:, moves].any(axis=2)
    return distance


@lru_cache(maxsize=64)
def exact_returns(size: int, episode_steps: int, reward: float, bump_penalty: float) -> ReferenceReturns:
    """Return the expected returns of uniform actions and of shortest paths, by dynamic programming over time.

    With V[goal, cell] the expected return of the steps left: before each step backwards, V[goal, goal] is set to what
    entering the goal is worth, `reward` and then a random other cell.
    """
    grid = make_grid(size)
    cells = len(grid.moves)
    goals = np.arange(cells)
    bumps = -bump_penalty * (grid.moves == goals[:, None])
    chosen = grid.moves[goals, grid.best]  # (goal, cell), where a shortest path leads
    random = np.zeros((cells, cells))
    oracle = np.zeros((cells, cells))
    for _ in range(episode_steps):
        for values in (random, oracle):
            values[goals, goals] = 0
            values[goals, goals] = reward + values.sum(axis=1) / (cells - 1)
        random = sum(random[:, grid.moves[:, action]] + bumps[:, action] for action in range(4)) / 4
        oracle = np.take_along_axis(oracle, chosen, axis=1)
    others = goals != grid.center
    return ReferenceReturns(random[others, grid.center].mean().item(), oracle[others, grid.center].mean().item())
