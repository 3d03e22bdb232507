"""What an algorithm learns with when nothing is said: rows of hyperparameters, copies of an id, scaled rewards."""

import inspect

import numpy as np
import pytest
import torch
from memory_envs import Echo
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import plastic_rl
from plastic_rl import PlasticA2C, PlasticBPTT, PlasticPPO, hyperparameters, make_vec_env
from plastic_rl.agents.hyperparams import ALGORITHMS, row
from plastic_rl.agents.return_scale import ReturnScale
from plastic_rl.agents.vec_env import GymVectorEnv
from plastic_rl.envs.registration import ENVIRONMENTS

SMALL = {"core_kwargs": {"hidden_size": 4}}
PLASTIC = {"core": "plastic", **SMALL}
CLASSES = {"plastic_a2c": PlasticA2C, "plastic_bptt": PlasticBPTT, "plastic_ppo": PlasticPPO}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("env_id", ["CartPole-v1", *(f"plastic_rl/{name}" for name in ENVIRONMENTS)])
def test_a_row_is_arguments_of_the_constructor(algorithm, env_id):
    arguments = hyperparameters(algorithm, env_id)
    assert set(arguments) <= set(inspect.signature(CLASSES[algorithm]).parameters)
    assert arguments["learning_rate"](0.5) == pytest.approx(arguments["learning_rate"](1.0) / 2)
    assert isinstance(arguments["policy_kwargs"], dict)


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="algorithm must be one of 'plastic_a2c', 'plastic_bptt', 'plastic_ppo'"):
        hyperparameters("ppo", "plastic_rl/Maze-v0")


def test_an_id_brings_its_row_and_its_copies():
    model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0")
    tuned = row("plastic_ppo", "plastic_rl/PatternRecall-v0")
    assert isinstance(model.env.unwrapped, GymVectorEnv)
    assert (model.n_envs, model.n_steps, model.batch_size) == (tuned["n_envs"], tuned["n_steps"], tuned["batch_size"])
    assert model.gamma == 0.0
    assert not model.normalize_reward
    policy_kwargs = hyperparameters("plastic_ppo", "plastic_rl/PatternRecall-v0")["policy_kwargs"]
    assert model.policy.core_name == policy_kwargs["core"]


def test_what_is_said_counts_also_where_it_is_a_default_of_sb3():
    model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0", 3e-4, n_steps=12, gamma=0.99, policy_kwargs=SMALL)
    assert model.lr_schedule(0.5) == 3e-4
    assert model.gamma == 0.99
    assert model.policy.core_name == "plastic_memory"
    assert model.batch_size == 12 * model.n_envs // 4


@pytest.mark.parametrize("env", ["CartPole-v1", "object"])
def test_a_strangers_environment_has_the_default_row(env):
    model = PlasticPPO("MlpPolicy", make_sb3_vec_env(Echo, 2) if env == "object" else env)
    default = row("plastic_ppo", "default")
    assert model.n_envs == (2 if env == "object" else default["n_envs"])
    assert (model.n_steps, model.gamma, model.ent_coef) == (default["n_steps"], default["gamma"], default["ent_coef"])
    assert model.normalize_reward


def test_rewards_are_scaled_as_vec_normalize_does_in_the_long_run():
    rng = np.random.default_rng(0)
    scale, gamma = ReturnScale(4), 0.9
    env = VecNormalize(make_sb3_vec_env(Echo, 4), norm_obs=False, gamma=gamma)
    for _ in range(20):
        rewards, dones = 100 * rng.random((50, 4)), rng.random((50, 4)) < 0.1
        scaled = scale.scale(rewards, dones, gamma)
        for reward, done in zip(rewards, dones, strict=True):
            env._update_reward(reward)
            env.returns[done] = 0
    assert scale.statistics.var == pytest.approx(env.ret_rms.var, rel=1e-3)
    np.testing.assert_allclose(scale.returns, env.returns)
    np.testing.assert_allclose(scaled[-1], env.normalize_reward(rewards[-1]), rtol=1e-3)


class Large(Echo):
    """The same in other units."""

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, 1000 * reward, *rest


def learned(env, **kwargs):
    few = {"n_epochs": 1, "policy_kwargs": SMALL}
    model = PlasticPPO("MlpPolicy", make_sb3_vec_env(env, 4), n_steps=10, seed=0, **few, **kwargs)
    model.learn(120)
    return model


def test_the_unit_of_rewards_does_not_matter():
    one, other = learned(Echo), learned(Large)
    np.testing.assert_allclose(one.rollout_buffer.rewards, other.rollout_buffer.rewards, rtol=1e-4)
    assert other.ep_info_buffer[-1]["r"] == 1000 * one.ep_info_buffer[-1]["r"]
    assert learned(Large, normalize_reward=False).rollout_buffer.rewards.max() == 1000


def test_rewards_are_not_scaled_twice():
    env = VecNormalize(make_sb3_vec_env(Large, 4), norm_obs=False)
    model = PlasticPPO("MlpPolicy", env, n_steps=10, policy_kwargs=SMALL)
    model.learn(40)
    assert model.return_scale.statistics.count < 1
    assert env.ret_rms.count > 30


def test_the_scale_is_saved_with_the_model(tmp_path):
    model = learned(Large)
    model.save(tmp_path / "model")
    loaded = PlasticPPO.load(tmp_path / "model", env=make_sb3_vec_env(Large, 2))
    assert loaded.return_scale.statistics.var == model.return_scale.statistics.var
    loaded.learn(40)
    assert loaded.return_scale.statistics.count > model.return_scale.statistics.count


def test_a_time_limits_value_is_in_the_unit_of_scaled_rewards():
    env = make_sb3_vec_env(lambda: Large(length=3, truncates=True), 2)
    model = PlasticPPO("MlpPolicy", env, n_steps=6, policy_kwargs=SMALL)
    model.learn(48)
    assert np.abs(model.rollout_buffer.rewards).max() < 30


def test_the_package_lists_and_has_all_that_it_promises():
    assert set(plastic_rl.__all__) <= set(dir(plastic_rl))
    for name in plastic_rl.__all__:
        assert getattr(plastic_rl, name).__name__ == name


def test_runs_are_named_after_algorithm_core_and_seed(tmp_path):
    env = make_vec_env("plastic_rl/PatternRecall-v0", 2)
    for algorithm in CLASSES.values():
        model = algorithm("MlpPolicy", env, n_steps=6, policy_kwargs=PLASTIC, seed=3, tensorboard_log=str(tmp_path))
        model.learn(12)
    model = PlasticPPO("MlpPolicy", env, n_steps=6, policy_kwargs={"core": "gru"}, tensorboard_log=str(tmp_path))
    model.learn(12)
    names = ["PlasticA2C_plastic_s3_1", "PlasticBPTT_plastic_s3_1", "PlasticPPO_gru_1", "PlasticPPO_plastic_s3_1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


SCORES = {"PatternRecall-v0": (300_000, 0.9), "Maze-v0": (1_000_000, 0.4), "ColourBandit-v0": (1_000_000, 0.5)}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCORES)
def test_a_plain_ppo_learns_this_packages_tasks(name):
    torch.set_num_threads(1)
    steps, at_least = SCORES[name]
    model = PlasticPPO("MlpPolicy", f"plastic_rl/{name}", seed=0).learn(steps)
    mean = float(np.mean([episode["r"] for episode in model.ep_info_buffer]))
    assert plastic_rl.score(f"plastic_rl/{name}", mean) > at_least
