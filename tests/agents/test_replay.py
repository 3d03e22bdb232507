"""Before any update, what `train()` computes from the buffer is what the rollout computed."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_envs import Echo
from small_cores import small
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from plastic_rl.agents import PlasticA2C, PlasticPPO, make_vec_env
from plastic_rl.agents.sequence_buffer import SequenceBuffer
from plastic_rl.cores import registered_cores
from tests.products import crossed

ACTION_SPACES = {
    "discrete": spaces.Discrete(3),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(4),
    "box": spaces.Box(-1, 1, (2,)),
}


def rollout(algorithm, env, n_steps, n_rollouts=2, policy="MlpPolicy", algorithm_kwargs=None, **policy_kwargs):
    policy_kwargs = {"core": "plastic", **policy_kwargs}
    policy_kwargs.setdefault("core_kwargs", small(policy_kwargs["core"], 8))
    algorithm_kwargs = {"seed": 1, "device": "cpu", **(algorithm_kwargs or {})}
    model = algorithm(policy, env, n_steps=n_steps, policy_kwargs=policy_kwargs, **algorithm_kwargs)
    _, callback = model._setup_learn(10**6)
    for _ in range(n_rollouts):
        model.collect_rollouts(model.env, callback, model.rollout_buffer, n_steps)
    return model


def assert_replays(model, batch_size=None):
    for data in model.rollout_buffer.get(batch_size):
        actions = data.actions.long().flatten() if isinstance(model.action_space, spaces.Discrete) else data.actions
        values, log_probs, _ = model.policy.evaluate_actions(data.observations, actions)
        torch.testing.assert_close(values.flatten(), data.old_values, atol=2e-5, rtol=2e-5)
        torch.testing.assert_close(log_probs, data.old_log_prob, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    ("algorithm", "core", "n_steps"), crossed([PlasticPPO, PlasticA2C], registered_cores(), [5, 10, 3, 7])
)
def test_every_core_and_length(algorithm, core, n_steps):
    env = make_sb3_vec_env(lambda: Echo(length=5), 4)
    assert_replays(rollout(algorithm, env, n_steps, core=core))


@pytest.mark.parametrize("core", registered_cores())
def test_staggered_episodes(core):
    lengths = iter([3, 4, 5, 6])
    env = make_sb3_vec_env(lambda: Echo(length=next(lengths)), 4)
    assert_replays(rollout(PlasticPPO, env, 8, core=core), batch_size=8)


@pytest.mark.parametrize("space", ACTION_SPACES)
def test_every_action_space(space):
    env = make_sb3_vec_env(lambda: Echo(action_space=ACTION_SPACES[space]), 2)
    assert_replays(rollout(PlasticPPO, env, 5))


OBSERVATION_KINDS = [
    ("dict", "MultiInputPolicy"),
    ("image", "CnnPolicy"),
    ("discrete", "MlpPolicy"),
    ("multi_discrete", "MlpPolicy"),
]


@pytest.mark.parametrize(("kind", "policy"), OBSERVATION_KINDS)
def test_every_observation_kind(kind, policy):
    env = make_sb3_vec_env(lambda: Echo(kind=kind), 2)
    assert_replays(rollout(PlasticPPO, env, 7, policy=policy), batch_size=7)


def test_normalized_observations():
    env = VecNormalize(make_sb3_vec_env(Echo, 4))
    assert_replays(rollout(PlasticPPO, env, 7))


def test_layers_after_the_core():
    env = make_sb3_vec_env(Echo, 2)
    assert_replays(rollout(PlasticPPO, env, 5, net_arch={"pi": [7], "vf": [6]}))


@pytest.mark.parametrize("squash_output", [False, True])
def test_state_dependent_exploration(squash_output):
    env = make_sb3_vec_env(lambda: Echo(action_space=ACTION_SPACES["box"]), 2)
    model = rollout(PlasticPPO, env, 5, algorithm_kwargs={"use_sde": True}, squash_output=squash_output)
    assert_replays(model)
    model.learn(20)
    action, _ = model.predict(model.env.reset())
    assert model.action_space.contains(action[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("core", registered_cores())
def test_on_cuda(core):
    model = rollout(PlasticPPO, make_sb3_vec_env(Echo, 4), 7, algorithm_kwargs={"device": "cuda"}, core=core)
    assert all(s.is_cuda for s in model.rollout_buffer.initial_state)
    assert_replays(model)


def test_the_native_vector_env():
    model = rollout(PlasticPPO, make_vec_env("plastic_rl/Maze-v0", 3, env_kwargs={"episode_steps": 6}), 9)
    assert_replays(model)
    assert model.rollout_buffer.episode_starts[3].all()  # steps 9 to 17: an episode of 6 starts at 12


@settings(max_examples=30, deadline=None)
@given(n_envs=st.integers(1, 7), n_steps=st.integers(1, 5), size=st.integers(1, 7), seed=st.integers(0, 9))
def test_minibatches_are_whole_environments_and_cover_all_once(n_envs, n_steps, size, seed):
    buffer = SequenceBuffer(n_steps, spaces.Box(-1, 1, (2,)), spaces.Discrete(3), device="cpu", n_envs=n_envs)
    buffer.initial_state = (torch.arange(n_envs),)
    buffer.reset()
    marks = np.arange(n_envs * n_steps).reshape(n_steps, n_envs)  # each step of each environment has its own
    for row in marks:
        obs, numbers = np.repeat(row[:, None], 2, axis=1), torch.as_tensor(row)
        buffer.add(obs, row % 3, row, row % 2, numbers, numbers)
    np.random.seed(seed)  # noqa: NPY002 - what the buffer shuffles with
    seen = []
    for data in buffer.get(size * n_steps):
        sequences, stored = data.observations, data.old_values.reshape(n_steps, -1).numpy()
        environments = stored[0].astype(int)
        assert len(environments) <= size
        np.testing.assert_array_equal(stored, marks[:, environments])
        np.testing.assert_array_equal(sequences.state[0], environments)
        np.testing.assert_array_equal(sequences.observations[:, 0], stored.flatten())
        np.testing.assert_array_equal(sequences.episode_starts, stored % 2 == 1)
        np.testing.assert_array_equal(data.actions.flatten(), stored.flatten() % 3)
        seen.extend(environments)
    assert sorted(seen) == list(range(n_envs))
