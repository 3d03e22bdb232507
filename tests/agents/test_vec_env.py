"""A Gymnasium vector environment seen as an SB3 one."""

import warnings
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from memory_envs import Echo
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import get_monitor_files
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor

from plastic_rl.agents import GymVectorEnv, PlasticPPO, make_vec_env

MAZE = {"size": 5, "episode_steps": 6}


def assert_same_infos(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if key == "episode":
            assert ours[key]["l"] == value["l"]
            assert ours[key]["r"] == pytest.approx(value["r"], abs=1e-6)
        elif isinstance(value, dict):
            assert_same_infos(ours[key], value)
        else:
            np.testing.assert_array_equal(ours[key], value)


def assert_same_steps(native, dummy, n_steps=20):
    """Play the same random actions in both and compare all that they return."""
    assert_same_infos({"o": native.reset()}, {"o": dummy.reset()})
    native.action_space.seed(0)
    for _ in range(n_steps):
        actions = np.array([native.action_space.sample() for _ in range(native.num_envs)])
        ours, theirs = native.step(actions), dummy.step(actions)
        for a, b in zip(ours[:3], theirs[:3], strict=True):
            assert_same_infos({"o": a}, {"o": b})
        assert (ours[1].dtype, ours[2].dtype) == (theirs[1].dtype, theirs[2].dtype)
        for a, b in zip(ours[3], theirs[3], strict=True):
            assert_same_infos(a, b)
        for a, b in zip(native.unwrapped.reset_infos, dummy.reset_infos, strict=True):
            assert_same_infos(a, b)


@pytest.mark.parametrize(
    ("env_id", "env_kwargs"),
    [
        ("plastic_rl/Maze-v0", MAZE),
        ("plastic_rl/PatternRecall-v0", {}),
        ("plastic_rl/CueReward-v0", {}),
        ("plastic_rl/ColourBandit-v0", {}),
    ],
)
def test_equals_dummy_vec_env_step_by_step(env_id, env_kwargs):
    native = make_vec_env(env_id, 3, seed=7, env_kwargs=env_kwargs)
    dummy = make_sb3_vec_env(env_id, 3, seed=7, env_kwargs=env_kwargs)
    assert isinstance(native, VecMonitor)
    assert isinstance(dummy, DummyVecEnv)
    assert_same_steps(native, dummy)


class Told(gym.Wrapper):
    """Adds infos of many forms, one of them at the end of an episode only."""

    def step(self, action):
        observation, reward, terminated, truncated, _ = self.env.step(action)
        info = {"action": int(action), "nested": {"twice": 2 * int(action)}, "pair": np.array([action, action])}
        if terminated or truncated:
            info["last"] = "words"
        return observation, reward, terminated, truncated, info


@pytest.mark.parametrize("kind", ["vector", "dict"])
@pytest.mark.parametrize("truncates", [False, True])
def test_single_environments_side_by_side(kind, truncates):
    lengths = (3, 4)
    makers = [lambda n=n: Told(Echo(length=n, kind=kind, truncates=truncates)) for n in lengths]
    if kind == "dict":
        makers = [lambda: Told(Echo(length=3, kind=kind, truncates=truncates))] * 2
    native = VecMonitor(GymVectorEnv(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)))
    dummy = VecMonitor(DummyVecEnv(makers))
    for env in (native, dummy):
        env.seed(5)
    assert_same_steps(native, dummy)
    assert native.get_attr("length") == dummy.get_attr("length")
    assert native.get_attr("length", [1]) == dummy.get_attr("length", [1])
    assert native.env_method("reset", seed=3)[0][1] == {}


def test_native_where_there_is_a_vector_form():
    assert isinstance(make_vec_env("plastic_rl:plastic_rl/Maze-v0", 2).unwrapped, GymVectorEnv)
    assert isinstance(make_vec_env("CartPole-v1", 2).unwrapped, DummyVecEnv)


def test_what_sb3_evaluates_in_must_be_wrapped_and_it_says_so():
    env = gym.make_vec("plastic_rl/Maze-v0", num_envs=2)
    with pytest.raises(ValueError, match=r"is a vector environment: pass plastic_rl\.GymVectorEnv\(env\)"):
        EvalCallback(env)
    with pytest.raises(ValueError, match=r"is a vector environment: pass plastic_rl\.GymVectorEnv\(env\)"):
        evaluate_policy(None, env)


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
    env.set_attr("favorite", 3)
    assert env.get_attr("favorite", 1) == [3]
    with pytest.raises(ValueError, match="indices must be None"):
        env.set_attr("favorite", 4, [0])
    with pytest.raises(AttributeError):
        env.get_attr("nothing_of_that_name")


def test_an_environment_without_pictures_is_made_without_a_warning():
    gym.register("Quiet-v0", Echo)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_vec_env("Quiet-v0", 2).close()


def test_a_wrapper_asks_for_single_environments():
    env = make_vec_env("plastic_rl/Maze-v0", 2, wrapper_class=gym.wrappers.FlattenObservation)
    assert isinstance(env.unwrapped, DummyVecEnv)


def test_start_index_and_monitor_file(tmp_path):
    env = make_vec_env("plastic_rl/Maze-v0", 2, seed=3, start_index=1, monitor_dir=str(tmp_path), env_kwargs=MAZE)
    other = make_vec_env("plastic_rl/Maze-v0", 1, seed=5, env_kwargs=MAZE)
    np.testing.assert_array_equal(env.reset()[1], other.reset()[0])
    for _ in range(6):
        env.step(np.zeros(2, int))
    env.close()
    (file,) = get_monitor_files(str(tmp_path))
    header, columns, *episodes = Path(file).read_text().splitlines()
    assert header.startswith("#")
    assert columns.startswith("r,l,t")
    assert len(episodes) == 2


class Optional(Echo):
    """Remembers the options of a reset."""

    def reset(self, *, seed=None, options=None):
        self.options = options
        return super().reset(seed=seed)


def test_options_reach_the_next_reset_and_no_other():
    env = GymVectorEnv(SyncVectorEnv([Optional] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    env.set_options({"goal": 3})
    env.reset()
    assert env.get_attr("options") == [{"goal": 3}] * 2
    env.set_options([{"goal": np.arange(2)}] * 2)
    env.reset()
    assert env.get_attr("options")[1]["goal"].tolist() == [0, 1]
    env.reset()
    assert not env.get_attr("options")[0]
    with pytest.raises(ValueError, match="options must be the same for all copies"):
        env.set_options([{"goal": 3}, {"goal": 4}])


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("kind", ["vector", "dict"])
def test_observations_are_not_written_over_by_the_next_step(kind, asynchronous):
    makers, mode = [partial(Echo, kind=kind)] * 2, AutoresetMode.SAME_STEP
    vector = AsyncVectorEnv if asynchronous else SyncVectorEnv
    env = GymVectorEnv(vector(makers, copy=False, autoreset_mode=mode))
    other = GymVectorEnv(SyncVectorEnv(makers, autoreset_mode=mode))
    try:
        for each in (env, other):
            each.seed(0)
        seen, expected = [env.reset()], [other.reset()]
        for _ in range(7):
            seen.append(env.step(np.zeros(2, int))[0])
            expected.append(other.step(np.zeros(2, int))[0])
    finally:
        env.close()
    for one, two in zip(seen, expected, strict=True):
        assert_same_infos({"o": one}, {"o": two})


def test_workers_know_the_environments_of_this_package():
    """In a process that has imported nothing of it; it gets what makes the environment, pickled."""
    env = make_vec_env("plastic_rl/Maze-v0", 1, vec_env_cls=SubprocVecEnv, vec_env_kwargs={"start_method": "spawn"})
    try:
        env.reset()
        assert env.get_attr("spec")[0].id == "plastic_rl/Maze-v0"
    finally:
        env.close()


def test_an_observation_of_another_shape_than_its_space_is_named():
    class Wrong(VectorEnv):
        metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012
        num_envs, single_observation_space, single_action_space = 2, spaces.Box(-1, 1, (3,)), spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.zeros((2, 4), np.float32), {}

    model = PlasticPPO("MlpPolicy", Wrong(), n_steps=4)
    with pytest.raises(ValueError, match=r"observation must have the shape \(3,\) that its space has, not \(4,\)"):
        model.learn(8)
