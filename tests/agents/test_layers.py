"""Every layer around an environment is resumed, or the environments begin new episodes and a line says why."""

import enum
from collections import deque
from datetime import timedelta
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from layer_stacks import STACKS, STEPS, Resumable, learn, native, parameters_of, sync
from memory_envs import Echo
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize

from plastic_rl.agents import GymVectorEnv
from plastic_rl.agents.checkpoint import LAYERS, Layer, checkpoints, read
from plastic_rl.agents.checkpoint.environments import environment_state, set_environment_state, unknown_layers
from plastic_rl.agents.checkpoint.file import arrays, plain


class Stop(BaseCallback):
    def _on_step(self):
        return self.num_timesteps < STEPS // 2 + 24


@pytest.fixture
def known(monkeypatch):
    row = Layer(episode=("t", "bit", "last", "generator"))
    monkeypatch.setitem(LAYERS, Resumable, row)
    monkeypatch.setattr(
        Resumable,
        "generator",
        property(
            lambda env: env.np_random.bit_generator.state,
            lambda env, state: setattr(env.np_random.bit_generator, "state", state),
        ),
        raising=False,
    )


@pytest.mark.parametrize("name", STACKS)
def test_a_known_stack_is_resumed_bit_for_bit(name, known, tmp_path, capsys):
    whole = learn(STACKS[name](), tmp_path / "whole")
    learn(STACKS[name](), tmp_path / "stopped", callbacks=[Stop()])
    torch.manual_seed(99)
    resumed = learn(STACKS[name](), tmp_path / "stopped", resume=True)
    assert torch.equal(parameters_of(whole), parameters_of(resumed))
    assert "begin new episodes" not in capsys.readouterr().err


class Secretive(gym.vector.VectorWrapper):
    """Keeps something that nobody can save."""

    def step(self, actions):
        return super().step(actions)


class Mujoco(VectorEnv):
    """A stranger's environment with a `state` that is an array, and a `set_state` of another meaning."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
    num_envs = 2

    def __init__(self):
        self.single_observation_space = spaces.Box(-1, 1, (2,))
        self.single_action_space = spaces.Discrete(2)
        self.state = np.zeros(2)

    def set_state(self, qpos, qvel):
        raise AssertionError("not ours to call")

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 2), np.float32), {}

    def step(self, actions):
        never = np.zeros(2, bool)
        return np.zeros((2, 2), np.float32), np.zeros(2), never, never, {}


UNKNOWN = {
    "Secretive": lambda: VecMonitor(GymVectorEnv(Secretive(native()))),
    "Mujoco": lambda: GymVectorEnv(Mujoco()),
    "Echo": lambda: DummyVecEnv([lambda: Monitor(Echo(length=7)) for _ in range(2)]),
    "SubprocVecEnv": lambda: SubprocVecEnv([lambda: Echo(length=7)]),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_layer_is_named_and_nothing_is_called_exact(name, tmp_path, capsys):
    learn(UNKNOWN[name](), tmp_path, callbacks=[Stop()])
    learn(UNKNOWN[name](), tmp_path, resume=True)
    assert f"environments begin new episodes: the state of {name} cannot be saved" in capsys.readouterr().err


class Lucky(Echo):
    """Keeps a generator, of which a checkpoint would hold the name."""

    def __init__(self):
        super().__init__(length=7)
        self.luck = np.random.default_rng(1)


def test_a_state_that_would_be_text_is_named_and_not_called_exact(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(LAYERS, Lucky, Layer(("t", "bit", "last", "luck")))
    learn(DummyVecEnv([Lucky]), tmp_path, callbacks=[Stop()])
    learn(DummyVecEnv([Lucky]), tmp_path, resume=True)
    assert "environments begin new episodes: the state of Lucky cannot be saved" in capsys.readouterr().err


def test_statistics_outlive_an_unknown_layer():
    def make():
        return VecNormalize(DummyVecEnv([lambda: gym.wrappers.NormalizeReward(Echo(length=7))]), gamma=0.9)

    env, other = make(), make()
    for each in (env, other):
        each.reset()
    for _ in range(9):
        env.step(np.zeros(1, int))
    assert not set_environment_state(other, arrays(plain(environment_state(env))), None, goes_on=True)
    np.testing.assert_array_equal(env.obs_rms.mean, other.obs_rms.mean)
    assert env.ret_rms.var == other.ret_rms.var
    inner, its_copy = env.venv.envs[0], other.venv.envs[0]
    assert inner.return_rms.var == its_copy.return_rms.var


def test_another_stack_than_before_begins_new_episodes(known):
    env, other = DummyVecEnv(sync()), VecMonitor(DummyVecEnv(sync()))
    for each in (env, other):
        each.reset()
    assert unknown_layers(env) == []
    assert set_environment_state(env, arrays(plain(environment_state(env))), None, goes_on=True)
    assert not set_environment_state(other, arrays(plain(environment_state(env))), None, goes_on=True)


class Color(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


STRANGE = {
    "enum": Color.RED,
    "int enum": Number.ONE,
    "path": Path("folder"),
    "time": timedelta(seconds=3),
    "date": np.datetime64("2026-01-01"),
    "dates": np.array(["2026-01-01"], "datetime64[D]"),
    "objects": np.array([Color.RED, None], object),
    "words": np.array(["a", "b"]),
    "set": {1},
    "deque": deque([1, 2]),
    "big endian": np.arange(3, dtype=">i4"),
    "long": np.longdouble(1.5),
    "half": np.float16(0.5),
}


def test_whatever_a_monitor_was_told_to_keep_can_be_read_back(tmp_path):
    class Tells(Echo):
        def step(self, action):
            *rest, info = super().step(action)
            return *rest, {**info, **STRANGE}

    env = DummyVecEnv([lambda: Monitor(Tells(), info_keywords=tuple(STRANGE))])
    learn(env, tmp_path, callbacks=[Stop()])
    last = read(checkpoints(tmp_path)[-1])["episodes"][-1]
    assert last["enum"] == "Color.RED"
    assert last["path"] == "folder"
    assert last["date"] == "2026-01-01"
    assert last["big endian"].tolist() == [0, 1, 2]


def test_numbers_come_back_as_they_were():
    value = {"a": np.float32(0.1), "b": [np.arange(3, dtype=np.uint8), (1, None)], "c": np.bool_(True), "d": 2**100}
    again = arrays(plain(value))
    assert again["a"].dtype == np.float32
    assert again["a"] == value["a"]
    assert again["b"][0].dtype == np.uint8
    assert again["b"][1] == (1, None)
    assert again["d"] == 2**100
