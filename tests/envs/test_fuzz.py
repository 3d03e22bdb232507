"""Whatever is passed to an environment, it works or says which argument cannot be."""

import inspect

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from hypothesis import strategies as st

from plastic_rl.envs.registration import ENVIRONMENTS
from plastic_rl.envs.scores import find_task
from tests.junk import JUNK, fuzz, spoilt, works_or_names

IDS = [f"plastic_rl/{name}" for name in ENVIRONMENTS]
EXAMPLES = [40, pytest.param(2000, marks=pytest.mark.slow)]
# By name, what an argument may be; any other takes a small whole number.
GOOD = {
    "size": st.sampled_from([5, 7, 10]),
    "reward": st.floats(0.1, 1e6),
    "bump_penalty": st.floats(0, 1e6),
    "cue_bits": st.integers(1, 12),
    "degraded": st.floats(0, 1),
    "n_bits": st.integers(1, 40),
    "split": st.sampled_from(["train", "test"]),
    "source": st.sampled_from(["glyphs", "dead_leaves", "folder:/nowhere", "omniglot", "cifar10"]),
    "root": st.sampled_from([None, "/nowhere"]),
    "n_classes": st.sampled_from([None, 5]),
    "blank_steps": st.integers(0, 3),
    "settling_steps": st.integers(0, 2),
    "render_mode": st.sampled_from([None, "ansi", "rgb_array"]),
}


def arguments_of(env_id):
    task_class, _ = find_task(env_id)
    return [name for name in inspect.signature(task_class).parameters if name != "num_envs"]


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("env_id", IDS)
def test_arguments(env_id, examples):
    names = [*arguments_of(env_id), "render_mode"]
    spec = gym.spec(env_id)

    def check(arguments, num_envs):
        many = load_env_creator(spec.vector_entry_point)
        settings = {**spec.kwargs, "num_envs": num_envs, "autoreset_mode": "SameStep", **arguments}
        known = [*names, "num_envs", "autoreset_mode", "episode_steps", "omniglot", "cifar10"]
        env = works_or_names(lambda: many(**settings), known, FileNotFoundError)
        if env is not None:
            assert env.reset(seed=0)[0] in env.observation_space
            for _ in range(20):
                observations, rewards, *_ = env.step(env.action_space.sample())
                assert observations in env.observation_space
                assert np.isfinite(rewards).all()

    good = {name: GOOD.get(name, st.integers(1, 6)) for name in names}
    fuzz(examples, check, spoilt(good), st.one_of(st.integers(1, 3), JUNK))


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("vector", [False, True])
def test_actions(vector, examples):
    def check(env_id, drawn, data):
        env = works_or_names(
            lambda: gym.make_vec(env_id, 2) if vector else gym.make(env_id).unwrapped, ["omniglot"], OSError
        )
        if env is None:
            return
        env.reset(seed=0)
        space = env.action_space
        action = drawn if data.draw(st.booleans()) else nearly(space, data)
        result = works_or_names(lambda: env.step(action), ["actions"])
        if result is not None:
            assert result[0] in env.observation_space
            given = np.asarray(action)
            assert given.shape == space.shape
            assert given.astype(space.dtype) in space

    fuzz(examples, check, st.sampled_from(IDS), JUNK, st.data())


def nearly(space, data):
    """Return something like an action: of another dtype, number or range."""
    action = np.asarray(space.sample())
    kind = data.draw(st.sampled_from(["same", "dtype", "shape", "range", "list", "more"]))
    if kind == "dtype":
        return action.astype(data.draw(st.sampled_from(["f4", "f8", "i1", "u8", "U3", "O", "c8", "?"])))
    if kind == "shape":
        return action.reshape(-1)[: data.draw(st.integers(0, 2))]
    if kind == "range":
        return action.astype("f8") + data.draw(st.floats())
    return {"same": action, "list": action.tolist(), "more": [action, [action]]}[kind]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_seeds_and_options(examples):
    def check(vector, seed, options):
        env = gym.make_vec(IDS[0], 2) if vector else gym.make(IDS[0]).unwrapped
        known = ["seed", "Seed", "options", "reset_mask"]
        result = works_or_names(lambda: env.reset(seed=seed, options=options), known, gym.error.Error)
        assert result is None or result[0] in env.observation_space

    masks = st.fixed_dictionaries({"reset_mask": st.one_of(JUNK, st.just(np.array([True, False])))})
    seeds = st.one_of(JUNK, st.lists(st.one_of(st.none(), st.integers()), min_size=1, max_size=3))
    fuzz(examples, check, st.booleans(), seeds, st.one_of(st.none(), JUNK, masks))
