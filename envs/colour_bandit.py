"""Two colors, one of which pays: a bandit whose arms change places at random."""

import numpy as np
from gymnasium import spaces

from plastic_rl.arguments import check_integer
from plastic_rl.envs.rendering import GOLD, INK, Canvas
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv

# Colors nearer than this (the largest possible distance is 1.73) are drawn again: telling them apart is not the task.
NEAREST = 0.5


class ColourBandit(Task):
    """Two colors are shown side by side; one of them pays, the same all episode long.

    ## Description

    An episode begins with two random colors and the choice of one that pays. At each step both are shown, in an order
    that flips at random, and the agent chooses a side. Nothing but its own rewards tells which color pays: try one,
    note what came of it, and from then on choose by color, wherever it is.

    ## Action Space

    `Discrete(2)`: 0 the left color, 1 the right one.

    ## Observation Space

    `Box` of 10 float32, all from 0 to 1:

    | elements | meaning |
    |---|---|
    | 0-2 | red, green, blue of the left color |
    | 3-5 | red, green, blue of the right color |
    | 6-7 | previous action, one-hot; zeros at the start |
    | 8 | previous reward; 0 at the start |
    | 9 | fraction of the episode that has passed |

    ## Rewards

    1 for choosing the color that pays, else 0. The oracle has 1 at each step. Whoever must find out has 0.5 at the
    first, so that `episode_steps - 0.5` is the best possible mean return, and a score of 0.99.

    A policy without memory cannot beat 0.5 a step but for one trick, which PPO finds (a score of 1/3): take a certain
    kind of color after a reward, a random one after none. The previous reward then stands for the color taken.

    ## Starting State

    Two colors, uniform in the RGB cube, at least 0.5 apart; fair coins say which one pays and the order at each step.

    ## Episode End

    Terminates after `episode_steps` steps.

    ## Information

    `target`: the side of the color that pays; `query`: True until the end.

    ## Arguments

    * `episode_steps` (100): at least 1.

    Source: the task of sb3-contrib's issue 211, whose author trained RecurrentPPO on it in vain.

    ## Version History

    * v0: first version
    """

    action_names = ("left", "right")

    def __init__(self, num_envs: int = 1, episode_steps: int = 100) -> None:
        super().__init__(num_envs, check_integer("episode_steps", episode_steps, 1))
        self.observation_space = spaces.Box(0, 1, (10,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.colors = np.zeros((self.num_envs, 2, 3), np.float32)  # the first one pays
        self.flips = np.zeros((self.num_envs, self.episode_steps + 1), np.int64)  # the side of the one that pays
        self._copies = np.arange(self.num_envs)

    def reset(self, copies: np.ndarray) -> None:
        """Draw two colors, and their order for each step to come."""
        for copy in copies:
            rng = self.rngs[copy]
            colors = rng.random((2, 3), np.float32)
            while ((colors[0] - colors[1]) ** 2).sum() < NEAREST**2:
                colors = rng.random((2, 3), np.float32)
            self.colors[copy] = colors
            self.flips[copy] = rng.integers(2, size=self.episode_steps + 1)

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Pay those who chose the color that pays."""
        return (actions == self.target()).astype(np.float64)

    def observe(self) -> np.ndarray:
        """Return (num_envs, 10) float32: two colors, previous action and reward, time."""
        side = self.target()
        left, right = self.colors[self._copies, side], self.colors[self._copies, 1 - side]
        return np.concatenate([left, right, self.past()], axis=1)

    def target(self) -> np.ndarray:
        """Return (num_envs,) sides of the colors that pay."""
        return self.flips[self._copies, self.time]

    def reference_returns(self) -> ReferenceReturns:
        """Return half the steps, and all of them."""
        return ReferenceReturns(self.episode_steps / 2, float(self.episode_steps))

    def render_text(self, copy: int) -> str:
        """Return both colors as #rrggbb, left first, a `*` at the one that pays, and a line about the step."""
        names = ["#{:02x}{:02x}{:02x}".format(*(255 * c).astype(int)) for c in self._shown(copy)]
        names[self.target()[copy]] += "*"
        chosen = self.previous_name(copy)
        reward = self.previous_reward[copy]
        return f"{' '.join(names)}\nstep {self.time[copy]}/{self.episode_steps}, previous {chosen}, reward {reward:g}"

    def render_frame(self, copy: int) -> np.ndarray:
        """Return both colors; a small disc marks the side chosen before, golden if it paid; below, the time."""
        canvas = Canvas(320, 224)
        for side, color in enumerate(self._shown(copy)):
            red, green, blue = (int(255 * part) for part in color)
            canvas.rectangle(24 + 144 * side, 24, 128, 128, (red, green, blue), 12)
            if self.previous_name(copy) == self.action_names[side]:
                canvas.disc(88 + 144 * side, 172, 8, GOLD if self.previous_reward[copy] else INK)
        canvas.bar(24, 196, 272, 10, self.time[copy] / self.episode_steps)
        return canvas.frame()

    def _shown(self, copy: int) -> np.ndarray:
        order = [0, 1] if self.target()[copy] == 0 else [1, 0]
        return self.colors[copy, order]


class ColourBanditEnv(TaskEnv):
    """One copy of the task."""

    task_class = ColourBandit


class ColourBanditVectorEnv(TaskVectorEnv):
    """Many copies of the task."""

    task_class = ColourBandit
