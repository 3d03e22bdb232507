"""
2. Your own environment: from a sweep to a figure with intervals
================================================================

This tutorial takes an environment that is not part of this package, compares two cores on it with several seeds,
and draws learning curves with confidence intervals.
"""

import tempfile
from pathlib import Path

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.results_plotter import load_results

from plastic_rl import PlasticPPO, make_vec_env

torch.set_num_threads(1)

# %%
# The environment
# ---------------
# Any Gymnasium environment will do.
# In this one a light shows the way at the first step, the agent walks for some steps, and then it must turn.
# Its observation is the light, and the time left. Nothing else tells the way, so the agent must remember the light.


class Corridor(gym.Env):
    """A T-shaped maze without walls: remember a light, wait, then turn."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 8) -> None:
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        self.way = int(self.np_random.integers(2))
        return self.observe(2 * self.way - 1), {}

    def step(self, action):
        self.time += 1
        terminated = self.time == self.length
        reward = float(action == self.way) if terminated else 0.0
        return self.observe(0), reward, terminated, False, {}

    def observe(self, light):
        return np.array([light, 1 - self.time / self.length], np.float32)


gym.register("Corridor-v0", entry_point=Corridor)

# %%
# Three rules for environments that need memory:
#
# * The observation shows the time, if the episode has a fixed length. The value function needs it.
# * The observation shows the previous action and reward, if the agent must learn from them within the episode.
#   ``plastic_rl.envs.wrappers.PreviousActionReward`` adds both.
# * The episode ends with ``terminated``. With ``truncated``, PPO would add the value of a future that does not exist.
#
# The sweep
# ---------
# Two cores, three seeds each, the same hyperparameters and the same number of steps for all.

folder = Path(tempfile.mkdtemp())
cores = {
    "plastic_memory": dict(core="plastic_memory", core_kwargs=dict(hidden_size=32)),
    "gru": dict(core="gru", core_kwargs=dict(hidden_size=32)),
}
seeds = (0, 1, 2)
for name, policy_kwargs in cores.items():
    for seed in seeds:
        returns = str(folder / name / str(seed))
        envs = make_vec_env("Corridor-v0", n_envs=32, seed=seed, monitor_dir=returns)
        model = PlasticPPO(
            "MlpPolicy",
            envs,
            n_steps=8,
            learning_rate=3e-3,
            gamma=0.95,
            seed=seed,
            device="cpu",
            policy_kwargs=policy_kwargs,
        )
        model.learn(8_000)

# %%
# The figure
# ----------
# The learning curve of a seed is the mean return of its episodes, in equal parts of the training.
# The interval is a 95% bootstrap interval over seeds: means of seeds that are drawn again with replacement.
# With three seeds such an interval is a little too narrow; for a paper use five or more.

rng = np.random.default_rng(0)
plt.figure(figsize=(6, 3.5))
for name in cores:
    curves = []
    for seed in seeds:
        returns = load_results(str(folder / name / str(seed)))["r"].to_numpy()
        curves.append([part.mean() for part in np.array_split(returns, 20)])
    curves = np.array(curves)  # (seeds, points)
    resampled = curves[rng.integers(len(seeds), size=(2000, len(seeds)))].mean(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    episodes = np.linspace(0, len(returns), curves.shape[1])
    plt.plot(episodes, curves.mean(axis=0), label=name)
    plt.fill_between(episodes, low, high, alpha=0.25, linewidth=0)
    mean = curves.mean(axis=0)
    print(f"{name}: last return {mean[-1]:.2f} ({low[-1]:.2f} to {high[-1]:.2f})")
plt.axhline(0.5, color="gray", linewidth=0.8, linestyle=":", label="guess")
plt.xlabel("episode")
plt.ylabel("return")
plt.legend()
plt.tight_layout()

# %%
# Here the cores are alike: one bit fits into the activity of any recurrent network. Plasticity is of use where an agent
# must store more, and find it by what it sees.
#
# Larger sweeps
# -------------
# The commands do the same with checkpoints, TensorBoard, many processes and clusters.
# Put the environment into a module ``corridor.py`` that registers it, and describe the grid in ``sweep.yaml``:
#
# .. code-block:: yaml
#
#     algo: plastic_ppo
#     env: Corridor-v0
#     core: [plastic_memory, gru]
#     core_kwargs: {hidden_size: 32}
#     hyperparams: {n_envs: 32, n_steps: 8, learning_rate: 3e-3}
#     seeds: 5
#     n_timesteps: 100_000
#     flags: [--gym-packages, corridor]
#
# Then run the sweep and draw the figure:
#
# .. code-block:: bash
#
#     plastic-rl sweep sweep.yaml
#     plastic-rl plot sweeps/sweep/results.csv
