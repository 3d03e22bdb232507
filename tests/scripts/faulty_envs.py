"""Environments with real faults, registered on import: `--gym-packages tests.scripts.faulty_envs`."""

import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import ClassVar

import gymnasium as gym
import numpy as np


class Faulty(gym.Env):
    """After `after` steps the `fault` happens, to this process or to `folder`, and the reward is `reward`."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, fault="none", after=95, reward=1.0, length=10, folder=None):
        self.fault, self.after, self.reward, self.length, self.taken = fault, after, reward, length, 0
        self.folder = folder and Path(folder)

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
        if now and self.fault.startswith("SIG"):
            os.kill(os.getpid(), getattr(signal, self.fault))
        if now and self.fault == "loses the folder":
            shutil.rmtree(self.folder)
        if now and self.fault == "fills the disk" and not (self.folder / "photographs").exists():
            with contextlib.suppress(OSError), (self.folder / "photographs").open("ab", buffering=0) as file:
                while file.write(bytes(512)):
                    pass
        spoilt = {"observation": np.nan, "infinity": np.inf}.get(self.fault, 0.5)
        observation = np.full(3, spoilt if now else 0.5, np.float32)
        reward = float("nan") if self.fault == "reward" else self.reward
        reward = reward if now else float(action)
        return observation, reward, self.time == self.length, False, {}


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
