"""`share_features_extractor=False`: a core for the actor, another for the critic; and what copies of a policy keep."""

import io
from copy import deepcopy

import numpy as np
import pytest
import torch
from memory_envs import Echo
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env

from plastic_rl.agents import PlasticA2C, PlasticPPO, export_policy, make_vec_env
from plastic_rl.agents.averaged_gradients import AveragedGradients
from plastic_rl.agents.callbacks import PlasticityCallback

TWO = {"share_features_extractor": False, "core_kwargs": {"hidden_size": 6}}


def make_model(algorithm=PlasticPPO, env=None, **policy_kwargs):
    env = make_sb3_vec_env(Echo, 4) if env is None else env
    few = {"n_epochs": 2} if algorithm is PlasticPPO else {}
    return algorithm("MlpPolicy", env, n_steps=7, policy_kwargs={**TWO, **policy_kwargs}, device="cpu", seed=0, **few)


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C])
@pytest.mark.parametrize("core", ["plastic", "lstm"])
def test_the_update_computes_what_the_rollout_computed(algorithm, core):
    model = make_model(algorithm, core=core, net_arch={"pi": [5], "vf": [4]})
    _, callback = model._setup_learn(100)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 7)
    data = model.rollout_buffer.sequences(np.arange(4))
    values, log_probs, _ = model.policy.evaluate_actions(data.observations, data.actions.flatten())
    torch.testing.assert_close(values.flatten(), data.old_values, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(log_probs, data.old_log_prob, atol=1e-5, rtol=1e-4)


def test_neither_head_teaches_the_other_core():
    model = make_model()
    _, callback = model._setup_learn(100)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 7)
    data = model.rollout_buffer.sequences(np.arange(4))
    values, log_probs, _ = model.policy.evaluate_actions(data.observations, data.actions.flatten())
    core, critic = (list(part.parameters()) for part in (model.policy.core, model.policy.critic_core))
    assert all(g is None for g in torch.autograd.grad(values.sum(), core, retain_graph=True, allow_unused=True))
    assert all(g is None for g in torch.autograd.grad(log_probs.sum(), critic, allow_unused=True))


def test_it_learns_is_saved_and_exported(tmp_path):
    model = make_model()
    model.learn(56, callback=PlasticityCallback())
    model.policy.save(tmp_path / "policy")
    loaded = type(model.policy).load(tmp_path / "policy")
    observation = model.env.reset()
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], loaded.predict(observation, deterministic=True)[0]
    )
    export_policy(loaded, tmp_path / "policy.pt2")
    model.save(tmp_path / "model")
    PlasticPPO.load(tmp_path / "model", env=model.env).learn(28)


COPIES = {
    "deepcopy": deepcopy,
    "torch.save": lambda policy: torch.load(_written(policy), weights_only=False),
}


def _written(policy):
    buffer = io.BytesIO()
    torch.save(policy, buffer)
    buffer.seek(0)
    return buffer


def descend(policy):
    for parameter in policy.parameters():
        parameter.grad = torch.ones_like(parameter)
    policy.optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C])
def test_a_copy_of_a_policy_keeps_its_learning_rates_and_refuses_nan(algorithm, copied):
    model = make_model(algorithm, share_features_extractor=True, lr_scales={"alpha": 30.0})
    model.learn(28)
    copy = COPIES[copied](model.policy)
    for policy in (model.policy, copy):
        for group in policy.optimizer.param_groups:
            group["lr"] = 0.01  # as SB3 does
    assert torch.equal(descend(model.policy), descend(copy))
    assert {group["lr"] for group in copy.optimizer.param_groups} == {0.01, 0.3}
    copy.core.alpha.grad.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="a gradient became NaN"):
        copy.optimizer.step()
    model.policy = copy
    model.learn(28)


@pytest.mark.parametrize("when", ["before", "half-way"])
def test_frozen_parameters_stay_and_the_others_learn(when):
    model = make_model(env=make_vec_env("plastic_rl/Maze-v0", 4, env_kwargs={"episode_steps": 7}))
    if when == "half-way":
        model.learn(28, callback=[AveragedGradients(), PlasticityCallback()])
    model.policy.core.alpha.requires_grad_(False)
    model.policy.core.weight.requires_grad_(False)
    frozen, other = model.policy.core.alpha.clone(), model.policy.action_net.weight.clone()
    model.policy.zero_grad()
    model.learn(56, callback=[AveragedGradients(), PlasticityCallback()])
    assert torch.equal(frozen, model.policy.core.alpha)
    assert not torch.equal(other, model.policy.action_net.weight)
