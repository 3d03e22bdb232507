"""The two views of a task, on a task of a few lines: seeding, autoreset, masks, errors."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from plastic_rl.envs import Task, TaskEnv, TaskVectorEnv, score


class Echo(Task):
    """Answer with the number that is shown."""

    def __init__(self, num_envs=1, episode_steps=5):
        super().__init__(num_envs, episode_steps)
        self.observation_space = spaces.Dict(
            {"digit": spaces.Box(0, 1, (3,), np.float32), "time": spaces.Box(0, 1, (1,), np.float32)}
        )
        self.action_space = spaces.Discrete(3)
        self.digits = np.zeros((num_envs, episode_steps + 1), np.int64)

    def reset(self, copies):
        for copy in copies:
            self.digits[copy] = self.rngs[copy].integers(3, size=self.episode_steps + 1)

    def step(self, actions):
        return (actions == self.target()).astype(float)

    def observe(self):
        elapsed = (self.time / self.episode_steps).astype(np.float32)
        return {"digit": np.eye(3, dtype=np.float32)[self.target()], "time": elapsed[:, None]}

    def target(self):
        return self.digits[np.arange(self.num_envs), self.time]


class EchoEnv(TaskEnv):
    task_class = Echo


class EchoVectorEnv(TaskVectorEnv):
    task_class = Echo


def same(first, second):
    return data_equivalence(first, second, exact=True)


@settings(max_examples=40, deadline=None)
@given(
    num_envs=st.integers(1, 4),
    episode_steps=st.integers(1, 4),
    mode=st.sampled_from(AutoresetMode),
    seeds=st.one_of(st.integers(0, 2**40), st.lists(st.integers(0, 99), min_size=4, max_size=4)),
    masks=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), max_size=12),
)
def test_many_copies_are_as_many_single_environments(num_envs, episode_steps, mode, seeds, masks):
    """Also with episodes that end at different times, because some copies were reset in the middle."""
    seeds = seeds if isinstance(seeds, int) else seeds[:num_envs]
    vector = EchoVectorEnv(num_envs, mode, episode_steps=episode_steps)
    sync = SyncVectorEnv([lambda: EchoEnv(episode_steps=episode_steps)] * num_envs, autoreset_mode=mode)
    assert same(vector.reset(seed=seeds), sync.reset(seed=seeds))
    over = np.zeros(num_envs, bool)
    for mask in masks:
        reset = np.array(mask[:num_envs]) | (over & (mode is AutoresetMode.DISABLED))
        if reset.any():
            assert same(*(env.reset(options={"reset_mask": reset.copy()}) for env in (vector, sync)))
        actions = np.arange(num_envs) % 3
        result = vector.step(actions)
        assert same(result, sync.step(actions))
        over = result[2]


@pytest.mark.parametrize("mode", ["NextStep", "SAME_STEP", AutoresetMode.DISABLED])
def test_autoreset_modes_have_names_and_values(mode):
    assert isinstance(EchoVectorEnv(2, mode).metadata["autoreset_mode"], AutoresetMode)


def test_fresh_entropy_without_any_seed():
    digits = [tuple(EchoVectorEnv(1, episode_steps=60).reset()[1]["target"]) for _ in range(20)]
    starts = [env.reset()[0]["digit"] for env in (EchoVectorEnv(50), EchoVectorEnv(50))]
    assert len(set(digits)) > 1
    assert not same(*starts)


def test_a_seed_for_some_copies_leaves_the_others_alone():
    first, second = EchoVectorEnv(3), EchoVectorEnv(3)
    first.reset(seed=0)
    second.reset(seed=0)
    one, _ = first.reset(seed=[None, 7, None])
    other, _ = second.reset()
    seventh, _ = EchoEnv().reset(seed=7)
    assert same(one["digit"][[0, 2]], other["digit"][[0, 2]])
    assert same(one["digit"][1], seventh["digit"])


def test_observations_and_infos_are_the_callers_to_keep():
    env = EchoVectorEnv(2, "SameStep", episode_steps=2)
    observation, info = env.reset(seed=0)
    before = observation["digit"].copy(), info["target"].copy()
    for _ in range(5):
        env.step(np.zeros(2, int))
    assert same(before, (observation["digit"], info["target"]))


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"num_envs": 0}, ValueError, "num_envs"),
        ({"num_envs": 2.5}, TypeError, "num_envs"),
        ({"num_envs": True}, TypeError, "num_envs"),
        ({"episode_steps": 0}, ValueError, "episode_steps"),
        ({"autoreset_mode": "later"}, ValueError, "autoreset_mode"),
        ({"render_mode": "human"}, ValueError, "render_mode"),
    ],
)
def test_bad_arguments(arguments, error, name):
    with pytest.raises(error, match=name):
        EchoVectorEnv(**arguments)


@pytest.mark.parametrize(
    ("seed", "options", "error", "name"),
    [
        ([1, 2], None, ValueError, "seed"),
        (None, {"reset_mask": [True, False, True]}, TypeError, "reset_mask"),
        (None, {"reset_mask": np.ones(3)}, TypeError, "reset_mask"),
        (None, {"reset_mask": np.ones(2, bool)}, ValueError, "reset_mask"),
        (None, {"reset_mask": np.zeros(3, bool)}, ValueError, "reset_mask"),
    ],
)
def test_bad_resets(seed, options, error, name):
    env = EchoVectorEnv(3)
    env.reset(seed=0)
    with pytest.raises(error, match=name):
        env.reset(seed=seed, options=options)


@pytest.mark.parametrize("actions", [[0, 1], [0, 1, 3], [0, 1, -1], [0, 1, 0.5], [0, 1, np.nan], 0])
def test_bad_actions(actions):
    env = EchoVectorEnv(3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="actions"):
        env.step(actions)


def test_a_step_needs_a_running_episode():
    env = EchoVectorEnv(2, "Disabled", episode_steps=1)
    with pytest.raises(gym.error.ResetNeeded):
        env.step([0, 0])
    with pytest.raises(gym.error.ResetNeeded):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset(seed=0)
    env.step([0, 0])
    with pytest.raises(gym.error.ResetNeeded, match=r"\[0, 1\]"):
        env.step([0, 0])


def test_a_task_without_exact_figures_is_played_for_its_score():
    assert score(EchoEnv(), 5.0) == pytest.approx(1)
    assert score(EchoEnv(), 5 / 3) == pytest.approx(0, abs=0.05)


def test_scores_are_found_through_wrappers_and_vectors():
    spec = gym.spec("plastic_rl/Maze-v0")
    assert score(spec, 100.0, episode_steps=100) == pytest.approx(0.47, abs=0.01)
    for env in (
        gym.wrappers.TransformReward(gym.make(spec, episode_steps=100), float),
        gym.make_vec(spec, 2, episode_steps=100),
        SyncVectorEnv([lambda: gym.make(spec, episode_steps=100)]),
        DummyVecEnv([lambda: Monitor(gym.make(spec, episode_steps=100))]),
    ):
        assert score(env, 100.0) == score(spec, 100.0, episode_steps=100)


def test_other_environments_have_no_score():
    assert score("CartPole-v1", 100.0) is None
    assert score(SyncVectorEnv([lambda: gym.make("CartPole-v1")]), 100.0) is None
    assert score(gym.make("CartPole-v1"), 100.0) is None
