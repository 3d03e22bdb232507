"""An exported policy acts as `predict` does, over whole episodes."""

import numpy as np
import onnxruntime
import pytest
import torch
from gymnasium import spaces
from memory_envs import Echo
from small_cores import small
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

from plastic_rl.agents import MlpPolicy, PlasticPPO, SingleStep, export_policy
from plastic_rl.cores import GRUCore, registered_cores

N_ENVS, LENGTH = 3, 5


def learned(env, policy="MlpPolicy", algorithm_kwargs=None, **policy_kwargs):
    """Return a model after some training."""
    kwargs = {"learning_rate": 0.01, "n_epochs": 1, "seed": 1, "device": "cpu", **(algorithm_kwargs or {})}
    policy_kwargs.setdefault("core_kwargs", small(policy_kwargs.get("core", "plastic"), 8))
    model = PlasticPPO(policy, env, n_steps=LENGTH, policy_kwargs=policy_kwargs, **kwargs)
    return model.learn(4 * LENGTH * env.num_envs)


def in_onnx(path):
    """Return an exported policy as a function of observations (an array or a dict), flags and state."""
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]

    def step(observations, starts, state):
        parts = {f"observation.{key}": value for key, value in observations.items()} if isinstance(
            observations, dict) else {"observation": observations}  # fmt: skip
        outputs = dict(zip(names, session.run(None, {**parts, "episode_start": starts, **state}), strict=True))
        return outputs, {name: outputs[f"new_{name}"] for name in state}

    shapes = {i.name: i.shape[1:] for i in session.get_inputs() if i.name.startswith("state.")}
    return step, {name: np.full((N_ENVS, *shape), 9, np.float32) for name, shape in shapes.items()}


def assert_acts_alike(model, env, path, original=None):
    """Play two episodes with both, from states that must be forgotten; the model reads what `original` says."""
    step, state = in_onnx(path)
    observations, expected, starts = env.reset(), None, np.ones(N_ENVS, bool)
    for _ in range(2 * LENGTH + 2):
        actions, expected = model.predict(observations, expected, starts, deterministic=True)
        outputs, state = step(original() if original else observations, starts, state)
        np.testing.assert_allclose(outputs["action"], actions, atol=1e-5)
        for mine, theirs in zip(state.values(), expected, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5)
        observations, _, starts, _ = env.step(actions)


def others_slow(fast, values):
    """Return values to test with, of which one is fast: an export takes seconds."""
    return [value if value == fast else pytest.param(value, marks=pytest.mark.slow) for value in values]


@pytest.mark.parametrize("core", others_slow("delay_line", registered_cores()))  # which has no pure_step of its own
def test_every_core(core, tmp_path):
    env = make_sb3_vec_env(lambda: Echo(length=LENGTH), N_ENVS)
    model = learned(env, core=core)
    assert_acts_alike(model, env, export_policy(model.policy, tmp_path / "policy.onnx"))


ACTION_SPACES = {
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(4),
    "box": spaces.Box(np.float32([[-1, 0], [0, 0]]), np.float32([[0.1, 0.1], [3, 0.1]])),
}


@pytest.mark.slow
@pytest.mark.parametrize("space", ACTION_SPACES)
def test_every_action_space(space, tmp_path):
    env = make_sb3_vec_env(lambda: Echo(LENGTH, ACTION_SPACES[space]), N_ENVS)
    model = learned(env)
    assert_acts_alike(model, env, export_policy(model.policy, tmp_path / "policy.onnx"))


@pytest.mark.slow
def test_squashed_actions(tmp_path):
    env = make_sb3_vec_env(lambda: Echo(LENGTH, spaces.Box(0, 3, (2,))), N_ENVS)
    model = learned(env, algorithm_kwargs={"use_sde": True}, squash_output=True)
    assert_acts_alike(model, env, export_policy(model.policy, tmp_path / "policy.onnx"))


POLICIES = {"dict": "MultiInputPolicy", "multi_discrete": "MlpPolicy", "image": "CnnPolicy"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", POLICIES)
def test_every_kind_of_observation(kind, tmp_path):
    env = make_sb3_vec_env(lambda: Echo(LENGTH, kind=kind), N_ENVS)
    model = learned(env, POLICIES[kind])
    assert_acts_alike(model, model.env, export_policy(model.policy, tmp_path / "policy.onnx"))


@pytest.mark.parametrize("kind", others_slow("dict", ["vector", "dict"]))
def test_normalization_is_part_of_it(kind, tmp_path):
    keys = ["bit"] if kind == "dict" else None
    env = VecNormalize(make_sb3_vec_env(lambda: Echo(LENGTH, kind=kind), N_ENVS), norm_obs_keys=keys, clip_obs=1.5)
    model = learned(env, "MultiInputPolicy" if kind == "dict" else "MlpPolicy", core="plastic_memory")
    env.training = False
    path = export_policy(model.policy, tmp_path / "policy.onnx", env)
    assert_acts_alike(model, env, path, env.get_original_obs)


@pytest.mark.parametrize("core", others_slow("stacked", ["plastic", "lstm", "stacked"]))
def test_a_program_of_torch(core, tmp_path):
    env = make_sb3_vec_env(lambda: Echo(length=LENGTH, kind="dict"), N_ENVS)
    model = learned(env, "MultiInputPolicy", core=core)
    step = torch.export.load(export_policy(model.policy, tmp_path / "policy.pt2")).module()
    observations, expected, starts = env.reset(), None, np.ones(N_ENVS, bool)
    state = model.policy.initial_state(N_ENVS)
    for _ in range(2 * LENGTH + 2):
        actions, expected = model.predict(observations, expected, starts, deterministic=True)
        tensors = {name: torch.as_tensor(values) for name, values in observations.items()}
        action, _, state = step(tensors, torch.as_tensor(starts), state)
        np.testing.assert_array_equal(action, actions)
        torch.testing.assert_close(state, tuple(map(torch.as_tensor, expected)), atol=1e-5, rtol=0)
        observations, _, starts, _ = env.step(actions)


@pytest.mark.parametrize("space", [spaces.Discrete(3), *ACTION_SPACES.values()])
def test_what_the_distribution_is_made_of(space):
    env = make_sb3_vec_env(lambda: Echo(LENGTH, space), N_ENVS)
    policy = learned(env).policy
    observations, starts = torch.as_tensor(env.reset()), torch.ones(N_ENVS, dtype=torch.bool)
    action, parameters, _ = SingleStep(policy)(observations, starts, policy.initial_state(N_ENVS))
    flat = action.reshape(N_ENVS, -1)
    if isinstance(space, spaces.Box):
        mean, deviation = parameters
        mine = torch.distributions.Normal(mean, deviation).log_prob(flat).sum(1)
    elif isinstance(space, spaces.MultiBinary):
        mine = torch.distributions.Bernoulli(logits=parameters[0]).log_prob(flat).sum(1)
    else:
        sizes = [int(space.n)] if isinstance(space, spaces.Discrete) else space.nvec.tolist()
        parts = zip(parameters[0].split(sizes, 1), flat.T.long(), strict=True)
        mine = sum(part.gather(1, choice[:, None])[:, 0] for part, choice in parts)
    distribution, _ = policy.get_distribution(observations, policy.initial_state(N_ENVS), starts)
    theirs = distribution.log_prob(action if isinstance(space, spaces.Discrete) else flat)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


class Moody(GRUCore):
    def pure_step(self, inputs, state, episode_starts):
        return super().pure_step(inputs if inputs.sum() > 0 else -inputs, state, episode_starts)


def test_a_core_whose_step_looks_at_values_is_named(tmp_path):
    policy = PlasticPPO("MlpPolicy", Echo(), device="cpu", policy_kwargs={"core": Moody}).policy
    with pytest.raises(ValueError, match=r"core .*Moody.* cannot be exported: pure_step must consist of PyTorch"):
        export_policy(policy, tmp_path / "policy.pt2")


def test_what_cannot_be_exported_is_named(tmp_path):
    env = VecNormalize(make_sb3_vec_env(Echo, N_ENVS))
    policy = PlasticPPO("MlpPolicy", VecFrameStack(env, 2), device="cpu").policy
    with pytest.raises(ValueError, match=r"path must end in \.onnx or \.pt2, not 'policy\.h5'"):
        export_policy(policy, tmp_path / "policy.h5")
    with pytest.raises(ValueError, match=r"normalization must be of observations as the policy reads them, \(4,\)"):
        SingleStep(policy, env)
    with pytest.raises(ValueError, match="policy must be on the CPU, not on meta"):
        SingleStep(MlpPolicy(env.observation_space, env.action_space, lambda _: 0.1).to("meta"))
