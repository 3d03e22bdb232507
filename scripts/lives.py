"""Lives of a trained policy, played out: the rewards of whole episodes."""

from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.vec_env import VecEnv


class Lives(NamedTuple):
    """Rewards of whole episodes.

    Attributes:
        returns: (n,) undiscounted returns.
        reward_by_time: (longest,) mean reward at each step since the start, over the episodes that lasted so long.
    """

    returns: np.ndarray
    reward_by_time: np.ndarray

    def interval(self, seed: int = 0, resamples: int = 2000) -> tuple[float, float]:
        """Return a 95% bootstrap interval of the mean return."""
        rng = np.random.default_rng(seed)
        means = rng.choice(self.returns, (resamples, len(self.returns))).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)

    def quarters(self) -> np.ndarray:
        """Return the mean reward per step in each quarter of the episode, (4,)."""
        return np.array([part.mean() if len(part) else 0.0 for part in np.array_split(self.reward_by_time, 4)])


def play(model: Any, env: VecEnv, n_episodes: int, deterministic: bool) -> Lives:
    """Play whole episodes, the same number in every environment, so that short ones are not favoured.

    Args:
        model: anything with SB3's `predict`.
        env: its environments, unnormalised rewards.
        n_episodes: how many; rounded up to a multiple of the number of environments.
        deterministic: whether to take the most probable actions.
    """
    each = -(-n_episodes // env.num_envs)
    observations: Any = env.reset()
    state, starts = None, np.ones(env.num_envs, bool)
    finished = np.zeros(env.num_envs, int)
    running: list[list[float]] = [[] for _ in range(env.num_envs)]
    episodes: list[list[float]] = []
    while finished.min() < each:
        actions, state = model.predict(observations, state, starts, deterministic=deterministic)
        observations, rewards, starts, _ = env.step(actions)
        for i, reward in enumerate(rewards.tolist()):
            running[i].append(reward)
        for copy in np.flatnonzero(starts):
            if finished[copy] < each:
                episodes.append(running[copy])
            finished[copy] += 1
            running[copy] = []
    return Lives(np.array([sum(rewards) for rewards in episodes]), _mean_by_time(episodes))


def _mean_by_time(episodes: list[list[float]]) -> np.ndarray:
    longest = max(len(rewards) for rewards in episodes)
    padded = np.full((len(episodes), longest), np.nan)
    for row, rewards in zip(padded, episodes, strict=True):
        row[: len(rewards)] = rewards
    return np.nanmean(padded, axis=0)
