"""One seed gives one result."""

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, make_vec_env
from plastic_rl.agents.vec_env import wrap_vector_env
from plastic_rl.cores import registered_cores
from plastic_rl.envs.registration import ENVIRONMENTS
from tests.agents.small_cores import small
from tests.products import crossed

ALGORITHMS = [PlasticPPO, PlasticA2C, PlasticBPTT]


def train(algorithm, env, core="plastic", seed=4, steps=16):
    policy = "MultiInputPolicy" if isinstance(env.observation_space, gym.spaces.Dict) else "MlpPolicy"
    kwargs = {"policy_kwargs": {"core": core, "core_kwargs": small(core, 6)}, "device": "cpu"}
    few = {"n_epochs": 2} if algorithm is PlasticPPO else {}
    model = algorithm(policy, env, n_steps=steps, seed=seed, **few, **kwargs)
    model.learn(steps * env.num_envs * 3)
    env.close()
    return model.policy.state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("algorithm", "core"), crossed(ALGORITHMS, registered_cores(), meet=1))
def test_with_every_core(algorithm, core):
    one, two = (train(algorithm, make_vec_env("plastic_rl/ColourBandit-v0", 4, seed=4), core) for _ in range(2))
    assert same(one, two)


@pytest.mark.parametrize(("algorithm", "name"), crossed(ALGORITHMS, ENVIRONMENTS, meet=1))
def test_on_every_task(algorithm, name):
    try:
        one, two = (train(algorithm, make_vec_env(f"plastic_rl/{name}", 4, seed=4)) for _ in range(2))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert same(one, two)


def test_another_seed_gives_another_result():
    one, two = (train(PlasticPPO, make_vec_env("plastic_rl/Maze-v0", 4, seed=4), seed=seed) for seed in (4, 5))
    assert not same(one, two)


def of_processes(env_id, n_envs, how):
    """Return the same environments in one process, native or not, or each in a process of its own."""
    if how == "native":
        return make_vec_env(env_id, n_envs, seed=4)
    if how == "asynchronous":
        env = AsyncVectorEnv([lambda: gym.make(env_id)] * n_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        env = wrap_vector_env(env)
        env.seed(4)
        return env
    return make_sb3_vec_env(
        env_id, n_envs, seed=4, vec_env_cls={"dummy": DummyVecEnv, "subprocesses": SubprocVecEnv}[how]
    )


@pytest.mark.parametrize(("how", "n_envs"), crossed(["dummy", "subprocesses", "asynchronous"], [3, 1], meet=1))
def test_in_any_number_of_worker_processes(how, n_envs):
    one, two = (
        train(PlasticPPO, of_processes("plastic_rl:plastic_rl/CueReward-v0", n_envs, h), steps=40)
        for h in ("native", how)
    )
    assert same(one, two)


def test_in_worker_processes_of_another_environment():
    one, two = (train(PlasticA2C, of_processes("CartPole-v1", 3, how)) for how in ("dummy", "subprocesses"))
    assert same(one, two)
