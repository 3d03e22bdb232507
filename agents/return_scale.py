"""Reward scaling: rewards divided by the standard deviation of the discounted return."""

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd

CLIP, EPSILON = 10.0, 1e-8


class ReturnScale:
    """Divides rewards by the running standard deviation of the discounted return, as SB3's `VecNormalize` does.

    The size of rewards then no longer matters to learning rates, clipping of gradients and the entropy coefficient.

    Args:
        n_envs: copies of the environment.

    Attributes:
        statistics: mean, variance and count of the discounted returns so far.
        returns: (B,) discounted returns of the running episodes.
    """

    def __init__(self, n_envs: int) -> None:
        self.statistics = RunningMeanStd(shape=())
        self.returns = np.zeros(n_envs)

    def scale(self, rewards: np.ndarray, dones: np.ndarray, gamma: float) -> np.ndarray:
        """Add a rollout to the statistics; return its rewards divided by the deviation, at most 10 in size.

        Args:
            rewards: (T, B) as the environments gave them.
            dones: (T, B) bool, where an episode ended.
            gamma: the discount.
        """
        returns = np.empty(rewards.shape)
        for t, (reward, done) in enumerate(zip(rewards, dones, strict=True)):
            returns[t] = self.returns * gamma + reward
            self.returns = np.where(done, 0.0, returns[t])
        self.statistics.update(returns.ravel())
        return np.clip(rewards / np.sqrt(self.statistics.var + EPSILON), -CLIP, CLIP)
