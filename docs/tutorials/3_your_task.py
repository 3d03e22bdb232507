"""
3. Your own task
================

A ``Task`` is an environment written over arrays of many copies.
You write it once, and get a ``gymnasium.Env``, a fast ``gymnasium.vector.VectorEnv``, right answers and a score.
"""

import time

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces

from plastic_rl import PlasticBPTT
from plastic_rl.envs import ReferenceReturns, Task, TaskEnv, TaskVectorEnv

torch.set_num_threads(1)

# %%
# The task
# --------
# The agent sees a row of symbols, one a step. Then it sees one of them again, and must say which symbol came after it.
# A subclass checks its arguments, sets the two spaces and defines four methods:
#
# * ``reset(copies)`` draws everything that the new episodes of some copies need, from ``self.rngs[copy]`` alone;
# * ``step(actions)`` returns the rewards of all copies;
# * ``observe()`` returns the observations of all copies;
# * ``target()`` returns the right answers.
#
# ``self.time`` is the step of each copy. The base class advances it, and ends episodes after ``episode_steps``.


class NextSymbol(Task):
    """A row of different symbols is shown; then one comes back: which one came after it?"""

    def __init__(self, num_envs: int = 1, n_symbols: int = 5) -> None:
        super().__init__(num_envs, episode_steps=n_symbols + 1)
        self.n_symbols = n_symbols
        # A symbol, and "this is the question".
        self.observation_space = spaces.Box(0, 1, (n_symbols + 1,), np.float32)
        self.action_space = spaces.Discrete(n_symbols)
        self.rows = np.zeros((num_envs, n_symbols), np.int64)
        self.asked = np.zeros(num_envs, np.int64)  # the place of the symbol that comes back
        self._copies = np.arange(num_envs)

    def reset(self, copies: np.ndarray) -> None:
        for copy in copies:
            self.rows[copy] = self.rngs[copy].permutation(self.n_symbols)
            self.asked[copy] = self.rngs[copy].integers(self.n_symbols - 1)

    def step(self, actions: np.ndarray) -> np.ndarray:
        return (self.query() & (actions == self.target())).astype(np.float64)

    def observe(self) -> np.ndarray:
        question = self.time >= self.n_symbols
        place = np.where(question, self.asked, np.minimum(self.time, self.n_symbols - 1))
        observations = np.zeros((self.num_envs, self.n_symbols + 1), np.float32)
        observations[self._copies, self.rows[self._copies, place]] = 1
        observations[:, -1] = question
        return observations

    def target(self) -> np.ndarray:
        return self.rows[self._copies, self.asked + 1]

    def query(self) -> np.ndarray:
        return self.time == self.n_symbols

    def reference_returns(self) -> ReferenceReturns:
        return ReferenceReturns(random=1 / self.n_symbols, oracle=1.0)


class NextSymbolEnv(TaskEnv):
    task_class = NextSymbol


class NextSymbolVectorEnv(TaskVectorEnv):
    task_class = NextSymbol


gym.register("NextSymbol-v0", NextSymbolEnv, vector_entry_point=NextSymbolVectorEnv)

# %%
# Check it
# --------
# Copy ``i`` of a vector environment with seed ``s`` is the single environment with seed ``s + i``.

vector = gym.make_vec("NextSymbol-v0", num_envs=3)
observations, infos = vector.reset(seed=10)
for i in range(3):
    observation, info = gym.make("NextSymbol-v0").reset(seed=10 + i)
    assert (observation == observations[i]).all()
    assert info["target"] == infos["target"][i]

# %%
# An agent that plays ``info["target"]`` must earn the oracle's return, and a random one the other.

vector = NextSymbolVectorEnv(num_envs=2000)
for name in ("oracle", "random"):
    observations, infos = vector.reset(seed=0)
    earned = np.zeros(2000)
    for _ in range(6):
        actions = infos["target"] if name == "oracle" else vector.action_space.sample()
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        earned += rewards
    expected = getattr(vector.reference_returns(), name)
    print(f"{name}: {earned.mean():.2f}, says the task: {expected:.2f}")

# %%
# Train on it
# -----------
# The infos hold right answers, so ``PlasticBPTT`` can learn from them by gradient.
# ``PlasticPPO`` and ``PlasticA2C`` take the same environment and learn from the rewards.

begin = time.perf_counter()
model = PlasticBPTT(
    "MlpPolicy",
    gym.make_vec("NextSymbol-v0", num_envs=128, autoreset_mode="SameStep"),
    learning_rate=3e-3,
    seed=0,
    device="cpu",
    policy_kwargs=dict(core="plastic_memory", core_kwargs=dict(hidden_size=64)),
)
model.learn(200_000)
print(f"{time.perf_counter() - begin:.0f} seconds")
mean = np.mean([episode["r"] for episode in model.ep_info_buffer])
print(f"sampled answers that were right, last 100 episodes: {mean:.2f}")

# %%
# To put a task into this package, add one file to ``envs/`` and one row to ``envs/registration.py``.
# The tests then run over it as over all others.
