"""What TensorBoard shows of a plastic policy beside what Stable-Baselines3 writes."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Figure

from plastic_rl.envs import score

if TYPE_CHECKING:
    from plastic_rl.agents.rollouts import RecurrentRollouts

NOT_TEXT = ("stdout", "log", "json", "csv")


class PlasticityCallback(BaseCallback):
    """Logs plasticity and what a life looks like; for any of our algorithms, with or without the commands.

    At the end of every rollout: `plasticity/eta`, `plasticity/alpha_abs_mean`, `plasticity/trace_norm` (Frobenius norm
    of the traces at that moment, mean over environments), `episode/score` (0 random, 1 oracle; for this package's
    tasks). Every `every` rollouts also histograms of alpha and of the weights, and the within-episode learning curve:
    mean reward by time since the start of the episode, over the episodes since the last one.

    Args:
        every: rollouts between two sets of histograms and figures.
        verbose: as in SB3.

    Attributes:
        n_episodes: episodes that have ended so far.
    """

    model: "RecurrentRollouts"

    def __init__(self, every: int = 20, verbose: int = 0) -> None:
        super().__init__(verbose)
        if every < 1:
            raise ValueError(f"every must be a number of rollouts of at least 1, not {every}")
        self.every = every
        self.n_episodes = 0
        self._n_rollouts = 0
        self._score_range: tuple[float, float] | None = None
        self._time = np.zeros(0, np.int64)
        self._reward_sums = np.zeros(0)
        self._counts = np.zeros(0)

    def _on_training_start(self) -> None:
        self._time = np.zeros(self.training_env.num_envs, np.int64)
        random, oracle = score(self.training_env, 0.0), score(self.training_env, 1.0)
        self._score_range = None if random is None or oracle is None else (random, oracle - random)

    def _on_step(self) -> bool:
        normalize = self.model.get_vec_normalize_env()
        rewards = self.locals["rewards"] if normalize is None else normalize.get_original_reward()
        dones = self.locals["dones"]
        longest = int(self._time.max()) + 1
        if longest > len(self._counts):
            more = longest - len(self._counts)
            self._reward_sums, self._counts = (np.pad(a, (0, more)) for a in (self._reward_sums, self._counts))
        self._reward_sums[:longest] += np.bincount(self._time, weights=rewards, minlength=longest)
        self._counts[:longest] += np.bincount(self._time, minlength=longest)
        self._time += 1
        self._time[dones] = 0
        self.n_episodes += int(np.count_nonzero(dones))
        return True

    def _on_rollout_end(self) -> None:
        self._n_rollouts += 1
        self._log_scalars()
        if self._n_rollouts % self.every == 0:
            self._log_pictures()

    def _log_scalars(self) -> None:
        core = self.model.policy.core
        plasticity = core.plasticity()
        if "eta" in plasticity:
            self.logger.record("plasticity/eta", plasticity["eta"].mean().item())
        if "alpha" in plasticity:
            self.logger.record("plasticity/alpha_abs_mean", plasticity["alpha"].abs().mean().item())
        for name, trace in core.traces(self.model.last_states).items():
            self.logger.record(f"plasticity/{name}_norm", torch.linalg.vector_norm(trace, dim=(1, 2)).mean().item())
        episodes = self.model.ep_info_buffer
        if self._score_range is not None and episodes:
            mean = float(np.mean([episode["r"] for episode in episodes]))
            self.logger.record("episode/score", self._score_range[0] + self._score_range[1] * mean)

    def _log_pictures(self) -> None:
        for name, value in self.model.policy.core.plasticity().items():
            if value.dim() == 2:
                self.logger.record(f"plasticity/{name}", value.flatten(), exclude=NOT_TEXT)
        # matplotlib takes a second to import, and users of the policy alone do not need it.
        from matplotlib.figure import Figure as Canvas

        canvas = Canvas(figsize=(6, 3.5), layout="constrained")
        axes = canvas.add_subplot(xlabel="time in the episode (steps)", ylabel="mean reward per step")
        axes.plot(np.arange(len(self._counts)), self._reward_sums / np.maximum(self._counts, 1), linewidth=1)
        axes.set_title(f"within-episode learning after {self.n_episodes:,} episodes")
        self.logger.record("episode/reward_by_time", Figure(canvas, close=False), exclude=NOT_TEXT)
        self._reward_sums[:] = 0
        self._counts[:] = 0
