"""Environments with real faults, registered on import: `--gym-packages tests.scripts.faulty_envs`."""

import os
import signal
from typing import ClassVar

import gymnasium as gym
import numpy as np


class Faulty(gym.Env):
    """Ten steps an episode; after `after` of all of them the `fault` happens, and the reward is `reward`."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fault="none", after=95, reward=1.0):
        self.fault, self.after, self.reward, self.taken = fault, after, reward, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observation_space.sample() * 0, {}

    def step(self, action):
        self.time += 1
        self.taken += 1
        now = self.taken == self.after
        if now and self.fault == "raises":
            raise RuntimeError("the robot fell over")
        if now and self.fault == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        spoilt = {"observation": np.nan, "infinity": np.inf}.get(self.fault, 0.5)
        observation = np.full(3, spoilt if now else 0.5, np.float32)
        reward = float("nan") if self.fault == "reward" else self.reward
        reward = reward if now else float(action)
        return observation, reward, self.time == 10, False, {}


gym.register("Faulty-v0", Faulty)


class NoRenderMode(Faulty):
    """Takes no `render_mode`, as POPGym's do not."""

    def __init__(self):
        super().__init__()


class NoRenderModes(NoRenderMode):
    """Takes a `render_mode`, and knows none."""

    metadata: ClassVar = {"render_modes": []}

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode


class BrokenPictures(NoRenderModes):
    """Knows render modes, and cannot draw."""

    metadata: ClassVar = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}

    def render(self):
        raise NotImplementedError("nobody has drawn this yet")


for cls in (NoRenderMode, NoRenderModes, BrokenPictures):
    gym.register(f"{cls.__name__}-v0", cls)
