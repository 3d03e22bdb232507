"""The wrappers that make a learning-to-learn task of any environment, single and vector."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from plastic_rl.envs import reference_returns
from plastic_rl.envs.colour_bandit import ColourBanditEnv, ColourBanditVectorEnv
from plastic_rl.envs.wrappers import PreviousActionReward, Trials, VectorPreviousActionReward, VectorTrials


class Line(gym.Env):
    """Any action is fine; observes the time, pays it, and ends after `length` steps, or is cut off after two."""

    observation_space = spaces.Box(0, 9, (1,), np.float32)

    def __init__(self, action_space=None, cut=False, length=3):
        self.action_space = action_space or spaces.Discrete(3)
        self.cut = cut
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.hidden = 0, self.np_random.integers(1000)
        return np.zeros(1, np.float32), {"hidden": int(self.hidden)}

    def step(self, action):
        assert action in self.action_space
        self.time += 1
        cut = self.cut and self.time == 2
        observation = np.array([self.time], np.float32)
        over = self.time == self.length
        return observation, float(self.time), over, cut, {"hidden": int(self.hidden), "time": self.time}


def same(first, second):
    return data_equivalence(first, second, exact=True)


@pytest.mark.parametrize(
    ("space", "action", "encoded"),
    [
        (spaces.Discrete(3), 1, [0, 1, 0]),
        (spaces.Discrete(3, start=5), 7, [0, 0, 1]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(2), np.array([1, 0], np.int8), [1, 0]),
        (spaces.Box(-1, 2, (2,), np.float32), np.array([-0.5, 2], np.float32), [-0.5, 2]),
        (spaces.Box(1, 2, (1, 1), np.float32), np.array([[1.5]], np.float32), [1.5]),
    ],
)
@pytest.mark.parametrize("make_vector", [False, True])
def test_the_previous_action_and_reward_are_observed(space, action, encoded, make_vector):
    if make_vector:
        sync = SyncVectorEnv([lambda: Line(space)] * 2, autoreset_mode="SameStep")
        env, action = VectorPreviousActionReward(sync), np.stack([action] * 2)
    else:
        env = PreviousActionReward(Line(space))
    observation, _ = env.reset(seed=0)
    assert not observation["previous_action"].any()
    assert not observation["previous_reward"].any()
    assert observation in env.observation_space
    for reward in (1, 2):
        observation, *_ = env.step(action)
        assert observation in env.observation_space
        one = {key: value[1] for key, value in observation.items()} if make_vector else observation
        assert one["observation"] == [reward]
        assert one["previous_action"].tolist() == encoded
        assert one["previous_reward"] == [reward]


def test_a_dict_observation_gets_two_more_entries():
    env = PreviousActionReward(Trials(Line()))
    assert set(env.observation_space) == {
        "observation",
        "episode_start",
        "trial_elapsed",
        "previous_action",
        "previous_reward",
    }


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("cut", [False, True])
def test_the_vector_wrapper_is_the_single_one_many_times(mode, cut):
    vector = VectorPreviousActionReward(SyncVectorEnv([lambda: Line(cut=cut)] * 3, autoreset_mode=mode))
    sync = SyncVectorEnv([lambda: PreviousActionReward(Line(cut=cut))] * 3, autoreset_mode=mode)
    assert same(vector.reset(seed=1), sync.reset(seed=1))
    vector.action_space.seed(0)
    some = np.array([True, False, True])
    for step in range(12):
        if step == 1:
            assert same(*(env.reset(options={"reset_mask": some.copy()}) for env in (vector, sync)))
        actions = vector.action_space.sample()
        result = vector.step(actions)
        assert same(result, sync.step(actions))
        over = result[2] | result[3]
        if mode is AutoresetMode.DISABLED and over.any():
            assert same(*(env.reset(options={"reset_mask": over.copy()}) for env in (vector, sync)))


@pytest.mark.parametrize("cut", [False, True])
def test_a_trial_is_several_episodes_of_one_hidden_task(cut):
    env = Trials(Line(cut=cut), episodes=3)
    length = 2 if cut else 3
    observation, info = env.reset(seed=0)
    hidden, starts, elapsed = {info["hidden"]}, [], []
    for step in range(1, 3 * length + 1):
        starts.append(observation["episode_start"][0])
        elapsed.append(observation["trial_elapsed"][0])
        observation, reward, terminated, truncated, info = env.step(0)
        hidden.add(info["hidden"])
        assert reward == (step - 1) % length + 1
        assert (terminated, truncated) == (step == 3 * length, False)
    assert len(hidden) == 1
    assert starts == ([1] + [0] * (length - 1)) * 3
    assert elapsed == pytest.approx(np.repeat([0, 1 / 3, 2 / 3], length))
    assert (observation["trial_elapsed"], observation["episode_start"]) == ([1], [0])
    assert len({env.reset()[1]["hidden"] for _ in range(20)} | hidden) > 10


class Told(Line):
    """Remembers the options of its episodes."""

    def reset(self, *, seed=None, options=None):
        self.options = [*getattr(self, "options", []), options]
        return super().reset(seed=seed)


def test_options_are_those_of_all_episodes_of_a_trial():
    env = Trials(Told(length=1), 2)
    env.reset(seed=1, options={"goal": 3})
    env.step(0)
    env.reset()
    assert env.unwrapped.options == [{"goal": 3}, {"goal": 3}, None]


def test_copies_keep_the_options_that_their_trial_began_with():
    copies = [Told(length=1), Told(length=1)]
    env = VectorTrials(SyncVectorEnv([lambda copy=copy: copy for copy in copies], autoreset_mode="Disabled"), 2)
    env.reset(seed=1, options={"goal": 3})
    env.reset(options={"goal": 4, "reset_mask": np.array([True, False])})
    env.set_state(env.state())
    for _ in range(2):
        env.step([0, 0])
    assert copies[0].options == [{"goal": 3}, {"goal": 4}, {"goal": 4}, None]
    assert copies[1].options == [{"goal": 3}, {"goal": 3}, None]


def test_the_last_reward_of_an_episode_is_seen_in_the_next_one():
    env = PreviousActionReward(Trials(Line(), episodes=2))
    env.reset(seed=0)
    for action in (0, 0, 2):
        observation, *_ = env.step(action)
    assert observation["episode_start"] == [1]
    assert observation["previous_reward"] == [3]
    assert observation["previous_action"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize("native", [False, True])
def test_vector_trials_are_single_trials_many_times(mode, native):
    if native:
        ones = [lambda: ColourBanditEnv(episode_steps=4)] * 3
        env = ColourBanditVectorEnv(3, "Disabled", episode_steps=4)
    else:
        ones = [lambda length=length: Line(length=length) for length in (2, 3, 5)]
        env = SyncVectorEnv(ones, autoreset_mode="Disabled")
    vector = VectorTrials(env, episodes=2, autoreset_mode=mode)
    sync = SyncVectorEnv([lambda one=one: Trials(one(), episodes=2) for one in ones], autoreset_mode=mode)
    assert same(vector.reset(seed=1), sync.reset(seed=1))
    vector.action_space.seed(0)
    some = np.array([True, False, True])
    for step in range(25):
        if step == 1:
            assert same(*(env.reset(options={"reset_mask": some.copy()})[0] for env in (vector, sync)))
        actions = vector.action_space.sample()
        result = vector.step(actions)
        assert same(result, sync.step(actions))
        assert result[0] in vector.observation_space
        if mode is AutoresetMode.DISABLED and result[2].any():
            assert same(*(env.reset(options={"reset_mask": result[2].copy()})[0] for env in (vector, sync)))


def test_the_score_of_a_trial_is_that_of_its_episodes():
    one = reference_returns("plastic_rl/ColourBandit-v0")
    for env in (
        PreviousActionReward(Trials(gym.make("plastic_rl/ColourBandit-v0"), episodes=3)),
        VectorPreviousActionReward(VectorTrials(ColourBanditVectorEnv(2, "Disabled"), episodes=3)),
    ):
        assert reference_returns(env) == (3 * one.random, 3 * one.oracle)
    assert reference_returns(Trials(Line())) is None


def test_wrappers_of_a_made_environment_are_in_its_spec():
    env = Trials(gym.make("plastic_rl/Maze-v0"), episodes=2)
    again = gym.make(env.spec)
    assert isinstance(again, Trials)
    assert again.episodes == 2


@pytest.mark.parametrize(
    ("make", "error", "name"),
    [
        (lambda: Trials(Line(), episodes=0), ValueError, "episodes"),
        (lambda: Trials(Line(), episodes=1.5), TypeError, "episodes"),
        (lambda: Trials(Trials(Line())), ValueError, "episode_start"),
        (lambda: PreviousActionReward(PreviousActionReward(Line())), ValueError, "previous_action"),
        (lambda: PreviousActionReward(Line(spaces.Text(3))), TypeError, "actions"),
        (lambda: VectorTrials(SyncVectorEnv([Line])), ValueError, "DISABLED"),
        (lambda: VectorTrials(ColourBanditVectorEnv(2, "Disabled"), 2, "NextStep"), ValueError, "SAME_STEP"),
    ],
)
def test_bad_arguments(make, error, name):
    with pytest.raises(error, match=name):
        make()


class Foreign(SyncVectorEnv):
    """Uses its observation array again, as `copy=False` allows, and gives whole, read-only rewards and flags."""

    def __init__(self, **arguments):
        super().__init__([Line] * 2, copy=False, **arguments)

    def step(self, actions):
        observations, *arrays, infos = super().step(actions)
        rewards, terminated, truncated = (np.asarray(array, np.int64) for array in arrays)
        for array in (rewards, terminated, truncated):
            array.setflags(write=False)
        return observations, rewards, terminated, truncated, infos


@pytest.mark.parametrize("wrap", [VectorTrials, VectorPreviousActionReward])
def test_whole_read_only_and_reused_arrays_of_other_environments(wrap):
    foreign, plain = (
        wrap(make(autoreset_mode="Disabled" if wrap is VectorTrials else "SameStep"))
        for make in (Foreign, lambda **arguments: SyncVectorEnv([Line] * 2, **arguments))
    )
    assert same(foreign.reset(seed=0), plain.reset(seed=0))
    for _ in range(20):
        one, other = foreign.step(np.zeros(2, int)), plain.step(np.zeros(2, int))
        assert data_equivalence(one[0], other[0])
        for first, second in zip(one[1:4], other[1:4], strict=True):
            assert (first == second).all()
        for kept, right in zip(one[4].get("final_obs", []), other[4].get("final_obs", []), strict=True):
            assert data_equivalence(kept, right)


def bandit():
    return gym.make("plastic_rl/ColourBandit-v0", episode_steps=3)


def bandits(mode):
    return ColourBanditVectorEnv(3, mode, episode_steps=3)


STACKS = {
    "trials": lambda: Trials(bandit(), episodes=2),
    "previous": lambda: PreviousActionReward(bandit()),
    "previous trials": lambda: PreviousActionReward(Trials(bandit(), episodes=2)),
    "vector trials": lambda: VectorTrials(bandits("Disabled"), episodes=2),
    "vector previous": lambda: VectorPreviousActionReward(bandits("NextStep")),
    "vector previous trials": lambda: VectorPreviousActionReward(VectorTrials(bandits("Disabled"), episodes=2)),
}


def ours(env):
    """Return the layers of ours, from outside in."""
    layers = [env]
    while hasattr(layers[-1], "env"):
        layers.append(layers[-1].env)
    return [layer for layer in layers if type(layer).__module__.startswith("plastic_rl")]


@pytest.mark.parametrize("steps", [0, 1, 3, 7])
@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_of_layers_goes_on_from_their_states(stack, steps):
    def step(env):
        result = env.step(env.action_space.sample())
        return (result, env.reset()) if isinstance(env, gym.Env) and result[2] else result

    first, second = STACKS[stack](), STACKS[stack]()
    first.reset(seed=1)
    first.action_space.seed(2)
    for _ in range(steps):
        step(first)
    second.reset(seed=9)
    for own, other in zip(ours(first), ours(second), strict=True):
        other.set_state(pickle.loads(pickle.dumps(own.state())))
    second.action_space.seed(3)
    first.action_space.seed(3)
    for _ in range(20):
        assert same(step(first), step(second))


@pytest.mark.parametrize("wrap", [VectorTrials, VectorPreviousActionReward])
def test_the_state_of_another_number_of_copies_is_refused(wrap):
    few, many = (wrap(ColourBanditVectorEnv(n, "Disabled")) for n in (2, 3))
    few.reset(seed=0)
    with pytest.raises(ValueError, match="state must"):
        many.set_state(few.state())
