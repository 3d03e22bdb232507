"""Cue-reward association: find out, by being paid or not, which of a few cues is the one that counts."""

import numpy as np
from gymnasium import spaces

from plastic_rl.arguments import check_integer
from plastic_rl.envs.rendering import GOLD, GREEN, GRID, INK, RED, Canvas
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv

LEFT, RIGHT, WAIT = range(3)
SQUARE = 14  # pixels


class CueReward(Task):
    """Cues are shown in pairs; one cue is secretly the target: say on which side it was, or wait if on neither.

    ## Description

    An episode begins with `n_cues` random cues, one of them the target, and consists of `n_trials` trials. In each, a
    pair of different cues is shown for `cue_steps`, nothing for `blank_steps`, and then for one step the agent is
    asked: was the target on the left, on the right, or (wait) not there? Each of the three is right in a third of the
    trials. It takes the rewards of its own answers to know the target.

    ## Action Space

    `Discrete(3)`: 0 left, 1 right, 2 wait. Only the answer to the question counts.

    ## Observation Space

    `Box` of `2 * cue_bits + 6` float32 (26 by default):

    | elements (by default) | meaning | range |
    |---|---|---|
    | 0-9 | bits of the left cue; zeros when none is shown | -1, 0 or 1 |
    | 10-19 | bits of the right cue; zeros when none is shown | -1, 0 or 1 |
    | 20 | 1 when the agent is asked | 0 or 1 |
    | 21-23 | previous action, one-hot; zeros at the start | 0 or 1 |
    | 24 | previous reward; 0 at the start | -1, 0 or 1 |
    | 25 | fraction of the episode that has passed | 0 to 1 |

    ## Rewards

    When asked, 1 for the right answer and -1 for a wrong one; else 0. Whoever always gives the same answer has -1/3 a
    trial on average, as a random policy has.

    ## Starting State

    The first pair. Cues are uniform among the vectors of bits, all different.

    ## Episode End

    Terminates after `n_trials * (cue_steps + blank_steps + 1)` steps (60 by default).

    ## Information

    `target`: the right answer when asked, else wait; `query`: whether the agent is asked now.

    ## Arguments

    * `n_cues` (4): at least 3.
    * `cue_bits` (10): 1 to 62, and enough for `n_cues` different cues.
    * `n_trials` (20), `cue_steps` (1): at least 1.
    * `blank_steps` (1): at least 0.

    Source: Miconi et al. (2019), "Backpropamine", task 1. Departs from the paper: both cues of a pair are shown
    side by side, the answer says where the target was (so that no constant answer beats another), and trials have one
    length.

    ## Version History

    * v0: first version
    """

    action_names = ("left", "right", "wait")

    def __init__(
        self,
        num_envs: int = 1,
        n_cues: int = 4,
        cue_bits: int = 10,
        n_trials: int = 20,
        cue_steps: int = 1,
        blank_steps: int = 1,
    ) -> None:
        self.n_cues = check_integer("n_cues", n_cues, 3)
        self.cue_bits = check_integer("cue_bits", cue_bits, 1, 62)
        self.n_trials = check_integer("n_trials", n_trials, 1)
        self.cue_steps = check_integer("cue_steps", cue_steps, 1)
        self.blank_steps = check_integer("blank_steps", blank_steps, 0)
        if 2**self.cue_bits < self.n_cues:
            raise ValueError(f"cue_bits={cue_bits} gives {2**cue_bits} different cues, fewer than n_cues={n_cues}")
        self.trial_steps = self.cue_steps + self.blank_steps + 1
        super().__init__(num_envs, self.n_trials * self.trial_steps)
        low, high = np.zeros(2 * self.cue_bits + 6, np.float32), np.ones(2 * self.cue_bits + 6, np.float32)
        low[: 2 * self.cue_bits] = low[2 * self.cue_bits + 4] = -1
        self.observation_space = spaces.Box(low, high)
        self.action_space = spaces.Discrete(3)
        # Cue n_cues is the empty one; at a trial's end, after the last one, nothing is shown.
        self.cues = np.zeros((self.num_envs, self.n_cues + 1, self.cue_bits), np.float32)
        self.hidden_target = np.zeros(self.num_envs, np.int64)
        self.answers = np.full((self.num_envs, self.n_trials + 1), WAIT)
        self.pairs = np.full((self.num_envs, self.n_trials + 1, 2), self.n_cues)
        self._copies = np.arange(self.num_envs)

    def reset(self, copies: np.ndarray) -> None:
        """Draw cues, the target, and the pairs of all trials."""
        others = np.empty((len(copies), self.n_trials, 2), np.int64)  # two cues that differ, among those but the target
        for row, copy in enumerate(copies):
            rng = self.rngs[copy]
            self.cues[copy, :-1] = self._draw_cues(rng)
            self.hidden_target[copy] = rng.integers(self.n_cues)
            self.answers[copy, :-1] = rng.integers(3, size=self.n_trials)
            others[row] = rng.integers([self.n_cues - 1, self.n_cues - 2], size=(self.n_trials, 2))
        others[:, :, 1] += others[:, :, 1] >= others[:, :, 0]
        targets = self.hidden_target[copies][:, None]
        others += others >= targets[:, :, None]
        answers = self.answers[copies, :-1]
        self.pairs[copies, :-1, LEFT] = np.where(answers == LEFT, targets, others[:, :, 0])
        self.pairs[copies, :-1, RIGHT] = np.where(answers == RIGHT, targets, others[:, :, 1])

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Judge the answers of those who were asked."""
        right = np.where(actions == self.target(), 1.0, -1.0)
        return np.where(self.query(), right, 0.0)

    def observe(self) -> np.ndarray:
        """Return (num_envs, 2 * cue_bits + 6) float32: a pair, the question, previous action and reward, time."""
        shown = self.cues[self._copies[:, None], self._pairs()].reshape(self.num_envs, 2 * self.cue_bits)
        return np.concatenate([shown, self.query().astype(np.float32)[:, None], self.past()], axis=1)

    def target(self) -> np.ndarray:
        """Return (num_envs,) right answers where the agent is asked, and "wait" elsewhere."""
        return np.where(self.query(), self.answers[self._copies, self.time // self.trial_steps], WAIT)

    def query(self) -> np.ndarray:
        """Return (num_envs,) bool: the last step of each trial asks."""
        return self.time % self.trial_steps == self.trial_steps - 1

    def reference_returns(self) -> ReferenceReturns:
        """Return a third of the answers right, and all of them."""
        return ReferenceReturns(-self.n_trials / 3, float(self.n_trials))

    def render_text(self, copy: int) -> str:
        """Return the pair as letters (the target is a capital letter), whether the agent is asked, and the step."""
        letters = ["abcdefghijklmnopqrstuvwxyz"[cue % 26] for cue in range(self.n_cues)] + ["-"]
        letters[self.hidden_target[copy]] = letters[self.hidden_target[copy]].upper()
        left, right = (letters[cue] for cue in self._pairs()[copy])
        asked = "  ?" if self.query()[copy] else ""
        before = f"previous {self.previous_name(copy)}, reward {self.previous_reward[copy]:g}"
        return f"{left} {right}{asked}\nstep {self.time[copy]}/{self.episode_steps}, {before}"

    def render_frame(self, copy: int) -> np.ndarray:
        """Return the pair as columns of bits (the target framed in gold), what was answered before, and the time."""
        height = self.cue_bits * SQUARE
        canvas = Canvas(240, height + 104)
        for side, cue in enumerate(self._pairs()[copy]):
            x = 56 + 88 * side
            if cue == self.hidden_target[copy]:
                canvas.rectangle(x - 4, 20, 48, height + 8, GOLD, 6)
            canvas.rectangle(x, 24, 40, height, GRID)
            for bit, value in enumerate(self.cues[copy, cue]):
                if value > 0:
                    canvas.rectangle(x, 24 + bit * SQUARE, 40, SQUARE, INK)
        if self.query()[copy]:
            canvas.text(112, 28 + height / 2 - 20, "?", INK, 32)
        reward = self.previous_reward[copy]
        if reward:
            canvas.text(56, height + 40, self.previous_name(copy), GREEN if reward > 0 else RED, 16)
        canvas.bar(24, height + 80, 192, 10, self.time[copy] / self.episode_steps)
        return canvas.frame()

    def _pairs(self) -> np.ndarray:
        """Return (num_envs, 2) numbers of the cues shown now."""
        trial, step = np.divmod(self.time, self.trial_steps)
        return np.where((step < self.cue_steps)[:, None], self.pairs[self._copies, trial], self.n_cues)

    def _draw_cues(self, rng: np.random.Generator) -> np.ndarray:
        codes = rng.choice(2**self.cue_bits, self.n_cues, replace=False)
        return 2 * (codes[:, None] >> np.arange(self.cue_bits) & 1) - 1


class CueRewardEnv(TaskEnv):
    """One copy of the task."""

    task_class = CueReward


class CueRewardVectorEnv(TaskVectorEnv):
    """Many copies of the task."""

    task_class = CueReward
