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


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("limit", [None, -1, 1, 3, 5, 9])
def test_a_time_limit_is_that_of_gymnasium(mode, limit, monkeypatch):
    """Also at the very end of an episode, where `terminated` and `truncated` come together."""
    # RL Baselines3 Zoo, where another test has imported it, puts a time limit of its own into Gymnasium.
    own = next(cls for cls in gym.wrappers.TimeLimit.__mro__ if cls.__module__.startswith("gymnasium"))
    monkeypatch.setattr(gym.wrappers, "TimeLimit", own)
    spec = gym.spec("plastic_rl/ColourBandit-v0")
    limited = {} if limit is None else {"max_episode_steps": limit}
    vector = gym.make_vec(spec, 3, autoreset_mode=mode, episode_steps=5, **limited)
    sync = SyncVectorEnv([lambda: gym.make(spec, episode_steps=5, **limited)] * 3, autoreset_mode=mode)
    assert same(vector.reset(seed=1), sync.reset(seed=1))
    vector.action_space.seed(0)
    for _ in range(14):
        actions = vector.action_space.sample()
        result = vector.step(actions)
        assert same(result, sync.step(actions))
        over = result[2] | result[3]
        if mode is AutoresetMode.DISABLED and over.any():
            assert same(*(env.reset(options={"reset_mask": over.copy()}) for env in (vector, sync)))
    assert score(vector, 5.0) == 1


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("render_mode", ["ansi_list", "rgb_array_list"])
def test_lists_of_pictures_are_those_of_gymnasium(mode, render_mode):
    spec = gym.spec("plastic_rl/ColourBandit-v0")
    vector = gym.make_vec(spec, 2, autoreset_mode=mode, episode_steps=3, render_mode=render_mode)
    singles = [lambda: gym.make(spec, episode_steps=3, render_mode=render_mode)] * 2
    sync = SyncVectorEnv(singles, autoreset_mode=mode)
    for env in (vector, sync):
        env.reset(seed=0)
    for step in range(9):
        over = vector.step([0, 1])[2]
        sync.step([0, 1])
        if mode is AutoresetMode.DISABLED and over.any():
            for env in (vector, sync):
                env.reset(options={"reset_mask": over.copy()})
        if step % 5 in (1, 4):
            drawn, right = vector.render(), sync.render()
            assert [len(pictures) for pictures in drawn] == [len(pictures) for pictures in right]
            assert same(drawn, tuple(right))


def test_a_task_that_draws_nothing_says_so_and_runs():
    assert EchoEnv.metadata["render_modes"] == EchoVectorEnv.metadata["render_modes"] == []
    env = EchoEnv(render_mode="rgb_array")  # as Stable-Baselines3 makes every environment
    env.reset(seed=0)
    with pytest.raises(NotImplementedError, match="Echo does not render frames"):
        env.render()

    class Told(Echo):
        def render_text(self, copy):
            return str(self.target()[copy])

    class ToldEnv(TaskEnv):
        task_class = Told

    assert ToldEnv.metadata["render_modes"] == ["ansi"]


def test_rewards_may_be_whole_numbers_and_read_only():
    class Whole(Echo):
        def step(self, actions):
            rewards = (actions == self.target()).astype(np.int32)
            rewards.setflags(write=False)
            return rewards

    class WholeVectorEnv(TaskVectorEnv):
        task_class = Whole

    whole, plain = WholeVectorEnv(3, episode_steps=2), EchoVectorEnv(3, episode_steps=2)
    assert same(whole.reset(seed=0), plain.reset(seed=0))
    for _ in range(7):
        assert same(whole.step(np.ones(3, int)), plain.step(np.ones(3, int)))


@pytest.mark.parametrize("view", [EchoEnv, lambda: EchoVectorEnv(2)])
def test_a_state_is_taken_and_given_before_any_reset(view):
    first, second = view(), view()
    second.set_state(first.state())
    with pytest.raises(gym.error.ResetNeeded):
        second.step(second.action_space.sample())
    first.reset(seed=4)
    second.set_state(first.state())
    for _ in range(5):
        actions = first.action_space.sample()
        assert same(first.step(actions), second.step(actions))
    assert same(first.reset(), second.reset())


@pytest.mark.parametrize("start", [0, 5])
def test_the_past_is_the_previous_action_and_reward_and_time(start):
    class Past(Echo):
        def __init__(self, num_envs=1):
            super().__init__(num_envs, 4)
            self.observation_space = spaces.Box(-np.inf, np.inf, (5,), np.float32)
            self.action_space = spaces.Discrete(3, start=start)

        def step(self, actions):
            return 10.0 * (actions - start)

        def observe(self):
            return self.past()

        def target(self):
            return super().target() + start

    class PastVectorEnv(TaskVectorEnv):
        task_class = Past

    env = PastVectorEnv(2, "Disabled")
    assert env.reset(seed=0)[0].tolist() == [[0, 0, 0, 0, 0]] * 2
    assert env.step([start + 1, start + 2])[0].tolist() == [[0, 1, 0, 10, 0.25], [0, 0, 1, 20, 0.25]]
    observation, _ = env.reset(options={"reset_mask": np.array([True, False])})
    assert observation.tolist() == [[0, 0, 0, 0, 0], [0, 0, 1, 20, 0.25]]
