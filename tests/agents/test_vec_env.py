"""A Gymnasium vector environment seen as an SB3 one."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from plastic_rl.agents import GymVectorEnv, make_vec_env

MAZE = {"size": 5, "episode_steps": 6}


def test_equals_dummy_vec_env_step_by_step():
    native = make_vec_env("plastic_rl/Maze-v0", 3, seed=7, env_kwargs=MAZE)
    dummy = make_sb3_vec_env("plastic_rl/Maze-v0", 3, seed=7, env_kwargs=MAZE)
    assert isinstance(native, VecMonitor)
    assert isinstance(dummy, DummyVecEnv)
    np.testing.assert_array_equal(native.reset(), dummy.reset())
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(4, size=3)
        ours, theirs = native.step(actions), dummy.step(actions)
        for a, b in zip(ours[:3], theirs[:3], strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        for a, b in zip(ours[3], theirs[3], strict=True):
            assert a.keys() == b.keys()
            assert (a["target"], a["query"]) == (b["target"], b["query"])
            if "terminal_observation" in a:
                np.testing.assert_array_equal(a["terminal_observation"], b["terminal_observation"])
                assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
                assert (a["episode"]["r"], a["episode"]["l"]) == (b["episode"]["r"], b["episode"]["l"])
        for a, b in zip(native.unwrapped.reset_infos, dummy.reset_infos, strict=True):
            assert (a["target"], a["query"]) == (b["target"], b["query"])


def test_native_where_there_is_a_vector_form():
    assert isinstance(make_vec_env("plastic_rl:plastic_rl/Maze-v0", 2).unwrapped, GymVectorEnv)
    assert isinstance(make_vec_env("CartPole-v1", 2).unwrapped, DummyVecEnv)


def test_refuses_another_autoreset_mode():
    with pytest.raises(ValueError, match="same step"):
        GymVectorEnv(gym.make_vec("plastic_rl/Maze-v0", num_envs=2))


def test_renders_a_tile():
    env = make_vec_env("plastic_rl/Maze-v0", 2, env_kwargs={**MAZE, "render_mode": "rgb_array"})
    env.reset()
    assert env.render().ndim == 3


def test_attributes_and_methods():
    env = make_vec_env("plastic_rl/Maze-v0", 2, env_kwargs=MAZE)
    assert env.get_attr("num_envs") == [2, 2]
    assert len(env.env_method("reference_returns")) == 2
    assert env.env_is_wrapped(gym.Wrapper) == [False, False]
