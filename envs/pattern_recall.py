"""Recall of binary patterns: complete one that was seen before from the bits of it that are shown again."""

import math

import numpy as np
from gymnasium import spaces

from plastic_rl.arguments import check_integer, check_number
from plastic_rl.envs.rendering import GREEN, GRID, INK, RED, WHITE, Canvas
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv


class PatternRecall(Task):
    """Patterns are shown one after the other; then one of them comes back with bits missing, and they are asked for.

    ## Description

    An episode begins with `n_patterns` random patterns of bits. All are shown, one after the other in random order,
    `n_presentations` times: each for `presentation_steps`, and then nothing for `blank_steps`. Then one of them comes
    back for `query_steps` with a fraction `degraded` of its bits hidden, and the agent must say the pattern. The bits
    that are left always tell which pattern it is, so a perfect memory knows every bit.

    ## Action Space

    `MultiBinary(n_bits)`: the pattern. Only answers to the query count.

    ## Observation Space

    `Box` of `n_bits + 2` float32:

    | elements | meaning | range |
    |---|---|---|
    | 0 to n_bits - 1 | bits shown: -1 for a bit that is 0, and 0 for one that is hidden or not there | -1, 0 or 1 |
    | n_bits | 1 on a query step | 0 or 1 |
    | n_bits + 1 | fraction of the episode that has passed | 0 to 1 |

    ## Rewards

    On a query step, the right bits among the hidden ones, scaled so that none right is -1 and all right is 1; else 0.

    ## Starting State

    The first pattern. Bits are fair coins.

    ## Episode End

    Terminates after `n_presentations * n_patterns * (presentation_steps + blank_steps) + query_steps` steps.

    ## Information

    `target`: (n_bits,) the pattern that is asked for at the end; `query`: whether an answer counts.

    ## Arguments

    * `n_patterns` (2), `n_bits` (6), `n_presentations` (1), `presentation_steps` (1), `query_steps` (4): at least 1.
    * `blank_steps` (0): at least 0.
    * `settling_steps` (0): of the query steps, the first ones whose answers do not count yet: a network that answers
      with its own neurons needs a step to complete a pattern.
    * `degraded` (0.5): fraction of the bits to hide, above 0, at most 1; rounded to whole bits. At least one bit must
      be hidden, and those left must be able to tell `n_patterns` apart.

    The defaults are the largest of those tried that PPO solves in a minute or two on one core. All bits of an answer
    share one reward, so each further bit makes it harder to say which one earned it; several query steps give each
    episode several tries. With a GRU of 64 units, 256 episodes an update and a discount of 0 (an answer changes nothing
    later), 98% of the hidden bits were right after 370,000 episodes (50 s); of 8 bits, 85% were.

    Source: Miconi, Clune & Stanley (2018), "Differentiable plasticity"; `plastic_rl/PatternRecall1000-v0` has
    its size (5 patterns of 1,000 bits, 2 presentations of 6 steps, 4 blank, 6 query steps).

    ## Version History

    * v0: first version
    """

    def __init__(
        self,
        num_envs: int = 1,
        n_patterns: int = 2,
        n_bits: int = 6,
        n_presentations: int = 1,
        presentation_steps: int = 1,
        blank_steps: int = 0,
        degraded: float = 0.5,
        query_steps: int = 4,
        settling_steps: int = 0,
    ) -> None:
        self.n_patterns = check_integer("n_patterns", n_patterns, 1)
        self.n_bits = check_integer("n_bits", n_bits, 1)
        self.n_presentations = check_integer("n_presentations", n_presentations, 1)
        self.presentation_steps = check_integer("presentation_steps", presentation_steps, 1)
        self.blank_steps = check_integer("blank_steps", blank_steps, 0)
        self.query_steps = check_integer("query_steps", query_steps, 1)
        self.settling_steps = check_integer("settling_steps", settling_steps, 0, self.query_steps - 1)
        self.n_hidden = round(check_number("degraded", degraded, 0, 1) * self.n_bits)
        if self.n_hidden == 0:
            raise ValueError(f"degraded={degraded} hides none of n_bits={n_bits} bits; it must hide at least one")
        if math.log2(self.n_patterns) > self.n_bits - self.n_hidden:
            left = self.n_bits - self.n_hidden
            raise ValueError(f"degraded={degraded} leaves {left} bits, too few to tell n_patterns={n_patterns} apart")
        self.query_start = self.n_presentations * self.n_patterns * (self.presentation_steps + self.blank_steps)
        super().__init__(num_envs, self.query_start + self.query_steps)
        self.observation_space = spaces.Box(
            np.array([-1] * self.n_bits + [0, 0], np.float32), np.ones(self.n_bits + 2, np.float32)
        )
        self.action_space = spaces.MultiBinary(self.n_bits)
        self._allocate()

    def _allocate(self) -> None:
        copies, patterns = self.num_envs, self.n_patterns
        # What can be shown, as rows: the patterns, then the degraded one, then nothing.
        self.pictures = np.zeros((copies, patterns + 2, self.n_bits), np.float32)
        self.schedule = np.full((copies, self.episode_steps + 1), patterns + 1)  # the row shown at each step
        self.schedule[:, self.query_start : -1] = patterns
        self.answer = np.zeros((copies, self.n_bits), np.int8)
        self.hidden = np.zeros((copies, self.n_bits), bool)
        self._copies = np.arange(copies)

    def reset(self, copies: np.ndarray) -> None:
        """Draw patterns, the order in which they are shown, the one asked for and the bits it hides."""
        ranks = np.empty((len(copies), self.n_bits), np.int64)
        patterns = np.empty((len(copies), self.n_patterns, self.n_bits), np.int8)
        keys = np.empty((len(copies), self.n_presentations, self.n_patterns))
        for row, copy in enumerate(copies):
            rng = self.rngs[copy]
            ranks[row] = rng.permutation(self.n_bits)
            patterns[row] = rng.integers(2, size=patterns.shape[1:], dtype=np.int8)
            keys[row] = rng.random(keys.shape[1:])
        hidden = ranks < self.n_hidden
        self._make_distinct(patterns, ~hidden, copies)
        # The one asked for is the first: the order of presentation is random anyway.
        self.pictures[copies, : self.n_patterns] = 2 * patterns - 1
        self.pictures[copies, self.n_patterns] = np.where(hidden, 0, 2 * patterns[:, 0] - 1)
        self.answer[copies], self.hidden[copies] = patterns[:, 0], hidden
        self.schedule[copies, : self.query_start] = presentations(
            keys, self.presentation_steps, self.blank_steps, self.n_patterns + 1
        )

    def _make_distinct(self, patterns: np.ndarray, visible: np.ndarray, copies: np.ndarray) -> None:
        """Draw again, in place, patterns that cannot be told from the first of their episode by its visible bits."""
        while (clash := ((patterns[:, 1:] == patterns[:, :1]) | ~visible[:, None]).all(axis=2)).any():
            for row, other in np.argwhere(clash):
                patterns[row, 1 + other] = self.rngs[copies[row]].integers(2, size=self.n_bits, dtype=np.int8)

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Judge the answers of those who are asked."""
        rewards = np.zeros(self.num_envs)
        asked = np.flatnonzero(self.query())
        if asked.size:
            right = (actions[asked] == self.answer[asked]) & self.hidden[asked]
            rewards[asked] = 2 * right.sum(axis=1) / self.n_hidden - 1
        return rewards

    def observe(self) -> np.ndarray:
        """Return (num_envs, n_bits + 2) float32: a pattern, the query flag, time."""
        observation = np.empty((self.num_envs, self.n_bits + 2), np.float32)
        observation[:, :-2] = self.pictures[self._copies, self.schedule[self._copies, self.time]]
        observation[:, -2] = self._asking()
        observation[:, -1] = self.elapsed()
        return observation

    def target(self) -> np.ndarray:
        """Return (num_envs, n_bits) int8, the patterns that are asked for at the end."""
        return self.answer.copy()

    def query(self) -> np.ndarray:
        """Return (num_envs,) bool: answers count on the last `query_steps`, after `settling_steps` of them."""
        return (self.time >= self.query_start + self.settling_steps) & (self.time < self.episode_steps)

    def _asking(self) -> np.ndarray:
        return (self.time >= self.query_start) & (self.time < self.episode_steps)

    def reference_returns(self) -> ReferenceReturns:
        """Return half the bits right, and all of them."""
        return ReferenceReturns(0.0, float(self.query_steps - self.settling_steps))

    def render_text(self, copy: int) -> str:
        """Return the bits shown (`#` 1, `.` 0, blank hidden), after an answer also that and the right one."""
        lines = ["shown    " + _text(self._shown(copy))]
        if self._answered(copy):
            lines.append("answered " + _text(2 * self.previous_action[copy] - 1))
            lines.append("right    " + _text(self.pictures[copy, 0]))
        asked = ", asked" if self._asking()[copy] else ""
        return "\n".join([*lines, f"step {self.time[copy]}/{self.episode_steps}{asked}"])

    def render_frame(self, copy: int) -> np.ndarray:
        """Return the bits shown (1 dark, 0 light), after an answer also that, its hidden bits marked; and the time."""
        columns, rows = _grid(self.n_bits)
        cell = max(4, 144 // columns)
        side = columns * cell
        canvas = Canvas(2 * side + 72, rows * cell + 76)
        canvas.text(24, 6, "asked" if self._asking()[copy] else "shown")
        canvas.text(side + 48, 6, "answered")
        _draw(canvas, self._shown(copy), 24, 28, cell)
        if self._answered(copy):
            given = 2 * self.previous_action[copy] - 1
            _draw(canvas, given, side + 48, 28, cell)
            for bit in np.flatnonzero(self.hidden[copy]):
                x, y = side + 48 + (bit % columns + 0.5) * cell, 28 + (bit // columns + 0.5) * cell
                canvas.disc(x, y, cell / 4, GREEN if given[bit] == self.pictures[copy, 0, bit] else RED)
        canvas.bar(24, rows * cell + 50, 2 * side + 24, 10, self.time[copy] / self.episode_steps)
        return canvas.frame()

    def _answered(self, copy: int) -> bool:
        return bool(self.time[copy] > self.query_start)

    def _shown(self, copy: int) -> np.ndarray:
        return self.pictures[copy, self.schedule[copy, self.time[copy]]]


def presentations(keys: np.ndarray, presentation_steps: int, blank_steps: int, nothing: int) -> np.ndarray:
    """Return what is shown at each step of some episodes in which everything is shown in random order, several times.

    Args:
        keys: (n, n_presentations, n_patterns), random numbers whose ranks are the order.
        presentation_steps: how long each is shown.
        blank_steps: how long `nothing` is shown after it.
        nothing: what stands for it.

    Returns:
        (n, n_presentations * n_patterns * (presentation_steps + blank_steps)) int64: 0 to n_patterns - 1, or `nothing`.
    """
    shown = np.full((*keys.shape, presentation_steps + blank_steps), nothing)
    shown[..., :presentation_steps] = keys.argsort(axis=2)[..., None]
    return shown.reshape(len(keys), -1)


def _text(bits: np.ndarray) -> str:
    return "[" + "".join(". #"[int(bit) + 1] for bit in bits) + "]"


def _grid(n_bits: int) -> tuple[int, int]:
    """Return how many columns and rows of cells the bits are drawn in."""
    columns = math.ceil(math.sqrt(n_bits))
    return columns, math.ceil(n_bits / columns)


def _draw(canvas: Canvas, bits: np.ndarray, x: float, y: float, cell: int) -> None:
    """Draw bits as cells, those that are 0 (not known) in gray."""
    columns, rows = _grid(len(bits))
    canvas.rectangle(x - 2, y - 2, columns * cell + 4, rows * cell + 4, GRID, 2)
    for bit, value in enumerate(bits):
        if value:
            color = INK if value > 0 else WHITE
            canvas.rectangle(x + bit % columns * cell, y + bit // columns * cell, cell, cell, color)


class PatternRecallEnv(TaskEnv):
    """One copy of the task."""

    task_class = PatternRecall


class PatternRecallVectorEnv(TaskVectorEnv):
    """Many copies of the task."""

    task_class = PatternRecall
