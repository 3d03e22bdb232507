"""One seed gives one result."""

import gymnasium as gym
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, make_vec_env
from plastic_rl.cores import registered_cores
from plastic_rl.envs.registration import ENVIRONMENTS
from tests.agents.small_cores import small

CORES = [core for core in registered_cores() if core not in ("associative", "plastic_layer")]
QUICK = [name for name in ENVIRONMENTS if name not in ("PatternRecall1000-v0", "ImageRecall-v0", "OneShotOmniglot-v0")]


def train(algorithm, env, core, seed=4):
    policy = "MultiInputPolicy" if isinstance(env.observation_space, gym.spaces.Dict) else "MlpPolicy"
    policy_kwargs = {"core": core, "core_kwargs": small(core, 6)}
    model = algorithm(policy, env, n_steps=16, seed=seed, device="cpu", policy_kwargs=policy_kwargs)
    model.learn(16 * env.num_envs * 3)
    env.close()
    return model.policy.state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C, PlasticBPTT])
@pytest.mark.parametrize("core", CORES)
def test_with_every_core(algorithm, core):
    one, two = (train(algorithm, make_vec_env("plastic_rl/Maze-v0", 4, seed=4), core) for _ in range(2))
    assert same(one, two)


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticBPTT])
@pytest.mark.parametrize("name", QUICK)
def test_on_every_task(algorithm, name):
    one, two = (train(algorithm, make_vec_env(f"plastic_rl/{name}", 4, seed=4), "plastic") for _ in range(2))
    assert same(one, two)


def test_with_any_number_of_worker_processes():
    def train_with(kind, seed=4):
        return train(PlasticPPO, make_sb3_vec_env("CartPole-v1", 3, vec_env_cls=kind), "plastic", seed)

    assert same(train_with(DummyVecEnv), train_with(SubprocVecEnv))
    assert not same(train_with(DummyVecEnv), train_with(DummyVecEnv, seed=5))
