"""Small environments with every kind of observation, action and ending, for the tests of the agents."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Echo(gym.Env):
    """Shows a random bit each step; the reward is 1 for answering with the bit of the step before.

    Args:
        length: steps in an episode.
        action_space: any; only `Discrete(2)` can earn.
        kind: "vector", "dict", "image", "discrete" or "multi_discrete" observations.
        truncates: whether the end is a time limit.
    """

    def __init__(self, length=5, action_space=None, kind="vector", truncates=False):
        self.length, self.kind, self.truncates = length, kind, truncates
        self.action_space = action_space or spaces.Discrete(2)
        vector, image = spaces.Box(-1, 1, (2,)), spaces.Box(0, 255, (36, 36, 3), np.uint8)
        self.observation_space = {
            "vector": vector,
            "image": image,
            "dict": spaces.Dict({"bit": vector, "step": spaces.Discrete(length + 1)}),
            "discrete": spaces.Discrete(2),
            "multi_discrete": spaces.MultiDiscrete([2, length + 1]),
        }[kind]

    def _observe(self):
        self.last, self.bit = self.bit, int(self.np_random.integers(2))
        vector = np.array([2 * self.bit - 1, self.t / self.length], np.float32)
        if self.kind == "image":
            return np.full((36, 36, 3), 255 * self.bit, np.uint8)
        if self.kind == "discrete":
            return self.bit
        if self.kind == "multi_discrete":
            return np.array([self.bit, self.t])
        return {"bit": vector, "step": self.t} if self.kind == "dict" else vector

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = self.bit = 0
        return self._observe(), {}

    def step(self, action):
        reward = float(np.all(np.asarray(action) == self.last)) if self.t else 0.0
        self.t += 1
        over = self.t >= self.length
        return self._observe(), reward, over and not self.truncates, over and self.truncates, {}


class Asked(Echo):
    """The bit of the step before is the answer; only copies whose seed is below `asking` are asked.

    Lives are 4 steps long, and 5 in copies of an odd seed.
    """

    def __init__(self, asking):
        super().__init__()
        self.asking = asking

    def _info(self):
        return {"target": self.last, "query": self.asks and self.t > 0}

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.asks, self.length = seed < self.asking, 4 + seed % 2
        observation, _ = super().reset(seed=seed)
        return observation, self._info()

    def step(self, action):
        *rest, _ = super().step(action)
        return *rest, self._info()
