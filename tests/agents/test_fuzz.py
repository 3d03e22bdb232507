"""Whatever spaces an environment has and whatever is passed to an algorithm, it learns or says what cannot be."""

import inspect

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import strategies as st
from stable_baselines3.common.preprocessing import is_image_space

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO
from plastic_rl.cores import core_arguments
from tests.junk import JUNK, fuzz, spoilt, works_or_names

EXAMPLES = [25, pytest.param(600, marks=pytest.mark.slow)]
SHAPES = st.sampled_from([(), (1,), (3,), (2, 2), (0,), (1, 36, 36), (36, 36, 3)])
BOUNDS = st.sampled_from([(-1, 1), (0, 255), (-np.inf, np.inf), (0, np.inf)])
SIMPLE = st.one_of(
    st.builds(lambda shape, b, kind: spaces.Box(*b, shape, kind), SHAPES, BOUNDS, st.sampled_from(["f4", "f8"])),
    st.builds(lambda shape, kind: spaces.Box(0, 9, shape, kind), SHAPES, st.sampled_from(["i8", "u1"])),
    st.builds(lambda shape: spaces.Box(0, 255, shape, "u1"), SHAPES),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 4), st.sampled_from([0, 0, 3, -1])),
    st.builds(
        lambda n, start: spaces.MultiDiscrete(n, start=start), st.just([2, 3]), st.sampled_from([[0, 0], [1, 0]])
    ),
    st.sampled_from([spaces.MultiDiscrete([[2, 3], [1, 2]]), spaces.MultiBinary(3), spaces.MultiBinary([2, 2])]),
)
STRANGE = st.sampled_from(
    [spaces.Tuple((spaces.Discrete(2),)), spaces.Text(3), spaces.Sequence(spaces.Discrete(2)), spaces.Dict({})]
)
DICTS = st.dictionaries(st.sampled_from(["a", "b", "image"]), SIMPLE, min_size=1).map(spaces.Dict)
NESTED = st.dictionaries(st.just("inner"), DICTS, min_size=1).map(spaces.Dict)
ANY = st.one_of(SIMPLE, SIMPLE, DICTS, NESTED, STRANGE)


class Sampled(gym.Env):
    """Shows what its space gives, for lives of three steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.time += 1
        assert np.shape(action) == self.action_space.shape
        return self.observation_space.sample(), 1.0, self.time == 3, False, {}


def policy_of(space):
    if isinstance(space, spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"


@pytest.mark.parametrize("examples", EXAMPLES)
def test_spaces(examples):
    def check(observation_space, action_space):
        env = Sampled(observation_space, action_space)
        make = lambda: PlasticPPO(policy_of(observation_space), env, n_steps=4, device="cpu", policy_kwargs=SMALL)  # noqa: E731
        model = works_or_names(make, ["env", "observations", "actions"])
        if model is not None:
            model.learn(8)
            observation, _ = env.reset()
            action, _ = model.predict(observation, deterministic=True)
            assert np.shape(action) == action_space.shape
            action = np.asarray(action).astype(action_space.dtype)
            assert (action if action.ndim else action.item()) in action_space

    fuzz(examples, check, ANY, ANY)


SMALL = {"core_kwargs": {"hidden_size": 3}}


FRACTION = st.floats(0, 1)
HYPERPARAMETERS = {
    "learning_rate": st.one_of(FRACTION, st.just(lambda left: 0.01 * left)),
    "n_steps": st.integers(1, 9),
    "batch_size": st.integers(1, 20),
    "n_epochs": st.integers(1, 3),
    "gamma": FRACTION,
    "gae_lambda": FRACTION,
    "clip_range": FRACTION,
    "clip_range_vf": st.one_of(st.none(), FRACTION),
    "normalize_advantage": st.booleans(),
    "ent_coef": FRACTION,
    "ent_coef_final": FRACTION,
    "vf_coef": FRACTION,
    "max_grad_norm": FRACTION,
    "rms_prop_eps": FRACTION,
    "use_rms_prop": st.booleans(),
    "use_sde": st.just(False),
    "sde_sample_freq": st.integers(-1, 3),
    "target_kl": st.one_of(st.none(), FRACTION),
    "stats_window_size": st.integers(1, 9),
    "seed": st.integers(0, 9),
    "verbose": st.just(0),
    "device": st.just("cpu"),
    "acting": st.sampled_from(["policy", "oracle"]),
    "tensorboard_log": st.none(),
    "policy_kwargs": st.fixed_dictionaries(
        {"core_kwargs": st.one_of(st.just({"hidden_size": 3}), JUNK)},
        optional={
            "core": st.sampled_from(["gru", "grru"]),
            "readout": st.one_of(st.sampled_from(["linear", 2.0]), JUNK),
            "net_arch": st.one_of(st.sampled_from([[3], {"pi": [3], "vf": []}]), JUNK),
        },
    ),
}


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C, PlasticBPTT])
def test_hyperparameters(algorithm, examples):
    known = {name for cls in algorithm.__mro__ for name in inspect.signature(cls.__init__).parameters}
    good = {name: values for name, values in HYPERPARAMETERS.items() if name in known}

    def check(arguments):
        env = gym.make_vec("plastic_rl/Maze-v0", 2, autoreset_mode="SameStep", episode_steps=4)
        make = lambda: algorithm("MlpPolicy", env, **{"device": "cpu", "n_steps": 4, **arguments})  # noqa: E731
        names = [*good, "n_envs", "gSDE", "core", "core_kwargs", "readout", "net_arch", *core_arguments("plastic")]
        model = works_or_names(make, names, AssertionError)
        if model is not None:
            works_or_names(lambda: model.learn(2 * 2 * model.n_steps), names, FloatingPointError)
            assert all(parameter.isfinite().all() for parameter in model.policy.parameters())

    fuzz(examples, check, spoilt(good))
