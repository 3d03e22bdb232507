"""A program that plays the maze from observations alone: about what an agent can reach at most.

It knows the plan. It looks for the reward on a short tour of all cells. From then on it keeps the set of cells where it
may have been put, and takes the way to the reward that is shortest on the average over them.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from plastic_rl.envs.maze_grid import Grid, make_grid

Cells = frozenset[int]  # where the agent may be, all with the same walls around


class Explorer:
    """Chooses actions for one episode after another, each from one observation."""

    def __init__(self, size: int) -> None:
        self.grid = make_grid(size)
        self.tour = short_tour(self.grid)
        self.ways: dict[int, dict[Cells, int]] = {}

    def __call__(self, observation: np.ndarray) -> int:
        """Return the action after an observation; a previous action of zeros begins an episode."""
        if not observation[9:13].any():
            self.goal, self.steps = None, 0
        elif observation[13] > 0:
            self.goal = self.tour[self.steps] if self.goal is None else self.goal
            self.keep(set(range(len(self.grid.moves))) - {self.goal}, observation)
        elif self.goal is not None:
            moved, bumped = after(self.grid, self.goal, self.cells, observation[9:13].argmax())
            self.keep(bumped if observation[13] < 0 else moved, observation)
        if self.goal is None:
            self.steps += 1
            here, there = self.tour[self.steps - 1 : self.steps + 1]
            return int((self.grid.moves[here] == there).argmax())
        if self.goal not in self.ways:
            self.ways[self.goal] = shortest_ways(self.grid, self.goal)
        return self.ways[self.goal][self.cells]

    def keep(self, cells: Iterable[int], observation: np.ndarray) -> None:
        self.cells = frozenset(cell for cell in cells if (self.grid.flags[cell] == observation[:9]).all())


def short_tour(grid: Grid, attempts: int = 100) -> list[int]:
    """Return cells, each beside the one before, from the center through all: always to a nearest one that is new."""
    rng = np.random.default_rng(0)
    tours = []
    for _ in range(attempts):
        tour, new = [grid.center], set(range(len(grid.moves))) - {grid.center}
        while new:
            cells = np.array(sorted(new))
            steps = grid.distance[cells, tour[-1]]
            goal = rng.choice(cells[steps == steps.min()])
            while tour[-1] != goal:
                nearer = grid.distance[goal, grid.moves[tour[-1]]] < grid.distance[goal, tour[-1]]
                tour.append(int(grid.moves[tour[-1], rng.choice(np.flatnonzero(nearer))]))
                new.discard(tour[-1])
        tours.append(tour)
    return min(tours, key=lambda tour: sum(map(tour.index, range(len(grid.moves)))))


def seen_apart(grid: Grid, cells: Iterable[int]) -> list[Cells]:
    """Return sets of cells that have the same walls around."""
    views: dict[bytes, set[int]] = {}
    for cell in cells:
        views.setdefault(grid.flags[cell].tobytes(), set()).add(cell)
    return [frozenset(alike) for alike in views.values()]


def after(grid: Grid, goal: int, cells: Cells, action: int) -> tuple[list[int], list[int]]:
    """Return where the agent may be after an action that was not paid: if it moved, and if it bumped."""
    moves = {cell: int(grid.moves[cell, action]) for cell in cells}
    moved = [there for cell, there in moves.items() if there not in (cell, goal)]
    return moved, [cell for cell, there in moves.items() if there == cell]


def shortest_ways(grid: Grid, goal: int) -> dict[Cells, int]:
    """Return the best action in every set of cells that can come up, by value iteration over their summed distances."""
    follow: dict[Cells, list[list[Cells]]] = {}
    todo = seen_apart(grid, set(range(len(grid.moves))) - {goal})
    while todo:
        cells = todo.pop()
        if cells not in follow:
            after_each = (after(grid, goal, cells, action) for action in range(4))
            follow[cells] = [seen_apart(grid, moved) + seen_apart(grid, bumped) for moved, bumped in after_each]
            todo += chain(*follow[cells])
    steps = dict.fromkeys(follow, 0)
    while True:
        costs = {cells: [len(cells) + sum(map(steps.get, parts)) for parts in all_] for cells, all_ in follow.items()}
        before, steps = steps, {cells: min(cost) for cells, cost in costs.items()}
        if before == steps:
            return {cells: int(np.argmin(cost)) for cells, cost in costs.items()}
