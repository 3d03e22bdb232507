"""The maze whose reward cannot be seen: find it, remember where it is, and come back to it from anywhere."""

import numpy as np
from gymnasium import spaces

from plastic_rl.arguments import check_integer, check_number
from plastic_rl.envs.maze_grid import exact_returns, make_grid
from plastic_rl.envs.rendering import BLUE, GOLD, PAPER, STONE, Canvas
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv

CELL = 32  # pixels
SYMBOLS = {False: "·", True: "█"}


class Maze(Task):
    """A square grid in which a reward that cannot be seen waits in one cell, the same all episode long.

    ## Description

    A wall runs all round, and there are pillars at the cells whose row and column are both even; the center cell is
    open. The agent starts at the center. The reward's cell is drawn anew each episode, among the free cells but the
    center. Whoever enters it is paid and put at once in a random free cell other than the reward's. An agent must
    explore, notice where it was paid, and from then on find its way back: what it learns lasts for one episode.

    ## Action Space

    `Discrete(4)`: 0 up, 1 down, 2 left, 3 right.

    ## Observation Space

    `Box` of 15 float32:

    | elements | meaning | range |
    |---|---|---|
    | 0-8 | 1 for a wall, 0 for a free cell: the 3x3 cells around the agent, row by row (4 is its own) | 0 or 1 |
    | 9-12 | previous action, one-hot in the order above; zeros at the start | 0 or 1 |
    | 13 | previous reward; 0 at the start | -bump_penalty to reward |
    | 14 | fraction of the episode that has passed | 0 to 1 |

    ## Rewards

    `reward` for entering the reward's cell, `-bump_penalty` for a step into a wall (the agent stays), else 0.

    ## Starting State

    Agent at the center; the reward in a uniformly drawn free cell, not the center.

    ## Episode End

    Terminates after `episode_steps` steps.

    ## Information

    `target`: the first action of a shortest path to the reward (of several, the smallest); `query`: True until the
    end. `env.unwrapped.distance()` gives the steps from the agent to the reward.

    ## Arguments

    * `size` (9): rows and columns, walls included; odd, 5 to 101.
    * `episode_steps` (250): at least 1.
    * `reward` (10): more than 0.
    * `bump_penalty` (0.1): at least 0.

    Source: Miconi, Clune & Stanley (2018), "Differentiable plasticity", the maze exploration task.

    ## Version History

    * v0: first version
    """

    action_names = ("up", "down", "left", "right")

    def __init__(
        self,
        num_envs: int = 1,
        size: int = 9,
        episode_steps: int = 250,
        reward: float = 10.0,
        bump_penalty: float = 0.1,
    ) -> None:
        super().__init__(num_envs, episode_steps)
        self.size = check_integer("size", size, 5, 101)
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd, got {size}")
        self.reward = check_number("reward", reward, 0)
        self.bump_penalty = check_number("bump_penalty", bump_penalty, 0)
        if self.reward == 0:
            raise ValueError("reward must be more than 0, got 0")
        self.grid = make_grid(self.size)
        low, high = np.zeros(15, np.float32), np.ones(15, np.float32)
        low[13], high[13] = -self.bump_penalty, self.reward
        self.observation_space = spaces.Box(low, high)
        self.action_space = spaces.Discrete(4)
        self.position, self.goal = np.zeros((2, self.num_envs), np.int64)
        # Places to be put in, as numbers among the free cells but the goal: one for each step, drawn at the start.
        self._places = np.zeros((self.num_envs, self.episode_steps), np.int16)

    def reset(self, copies: np.ndarray) -> None:
        """Put the agent in the center and the reward anywhere else."""
        others = len(self.grid.moves) - 1
        for copy in copies:
            draws = self.rngs[copy].integers(others, size=1 + self.episode_steps, dtype=np.int16)
            self.goal[copy] = draws[0]
            self._places[copy] = draws[1:]
        self.goal[copies] += self.goal[copies] >= self.grid.center
        self.position[copies] = self.grid.center

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Move, bump into walls, be paid and be put elsewhere."""
        reached = self.grid.moves[self.position, actions]
        rewards = np.where(reached == self.position, -self.bump_penalty, 0.0)
        paid = np.flatnonzero(reached == self.goal)
        if paid.size:
            rewards[paid] = self.reward
            place = self._places[paid, self.time[paid]].astype(np.int64)
            reached[paid] = place + (place >= self.goal[paid])
        self.position = reached
        return rewards

    def observe(self) -> np.ndarray:
        """Return (num_envs, 15) float32: walls around, previous action and reward, time."""
        return np.concatenate([self.grid.flags[self.position], self.past()], axis=1)

    def target(self) -> np.ndarray:
        """Return (num_envs,) first actions of shortest paths to the rewards."""
        return self.grid.best[self.goal, self.position]

    def distance(self) -> np.ndarray:
        """Return (num_envs,) int64, the steps from each agent to its reward."""
        return self.grid.distance[self.goal, self.position]

    def reference_returns(self) -> ReferenceReturns:
        """Return the exact expectations, by dynamic programming."""
        return exact_returns(self.size, self.episode_steps, self.reward, self.bump_penalty)

    def render_text(self, copy: int) -> str:
        """Return the plan, with `A` for the agent and `R` for the reward, and a line about the step."""
        plan = [[SYMBOLS[bool(wall)] for wall in row] for row in self.grid.walls]
        for letter, cell in (("R", self.goal[copy]), ("A", self.position[copy])):
            plan[self.grid.rows[cell]][self.grid.columns[cell]] = letter
        line = f"step {self.time[copy]}/{self.episode_steps}, reward {self.previous_reward[copy]:g}"
        return "\n".join([*map("".join, plan), line])

    def render_frame(self, copy: int) -> np.ndarray:
        """Return the plan: agent blue, what it sees light, the reward gold; below, the time that has passed."""
        width = self.size * CELL
        canvas = Canvas(width, width + CELL)
        agent, goal = self.position[copy], self.goal[copy]
        row, column = self.grid.rows[agent], self.grid.columns[agent]
        canvas.rectangle((column - 1) * CELL, (row - 1) * CELL, 3 * CELL, 3 * CELL, (222, 233, 245))
        for wall_row, wall_column in np.argwhere(self.grid.walls):
            canvas.rectangle(wall_column * CELL, wall_row * CELL, CELL, CELL, STONE)
        x, y = (self.grid.columns[goal] + 0.5) * CELL, (self.grid.rows[goal] + 0.5) * CELL
        canvas.disc(x, y, 0.32 * CELL, GOLD)
        canvas.disc(x, y, 0.18 * CELL, PAPER)
        x, y = (column + 0.5) * CELL, (row + 0.5) * CELL
        canvas.disc(x, y, 0.34 * CELL, GOLD if self.previous_reward[copy] > 0 else BLUE)
        canvas.disc(x, y, 0.24 * CELL, BLUE)
        canvas.bar(CELL / 2, width + 0.35 * CELL, width - CELL, 0.3 * CELL, self.time[copy] / self.episode_steps)
        return canvas.frame()


class MazeEnv(TaskEnv):
    """One maze."""

    task_class = Maze
    task: Maze

    def distance(self) -> int:
        """Return the steps from the agent to the reward."""
        return int(self.task.distance()[0])


class MazeVectorEnv(TaskVectorEnv):
    """Many mazes."""

    task_class = Maze
    task: Maze

    def distance(self) -> np.ndarray:
        """Return (num_envs,) int64, the steps from each agent to its reward."""
        return self.task.distance()
