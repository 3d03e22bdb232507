"""The policy trains unchanged on environments that are not ours; a short real training run each."""

import warnings

import gymnasium as gym
import pytest
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from plastic_rl.agents import PlasticPPO

pytestmark = pytest.mark.slow


class WithoutVelocities(gym.ObservationWrapper):
    """CartPole's two positions; the velocities must be remembered."""

    def __init__(self, env):
        super().__init__(env)
        space = env.observation_space
        self.observation_space = gym.spaces.Box(space.low[::2], space.high[::2])

    def observation(self, observation):
        return observation[::2]


def cartpole():
    return WithoutVelocities(gym.make("CartPole-v1"))


def minigrid_memory():
    wrappers = pytest.importorskip("minigrid.wrappers")
    return gym.wrappers.FlattenObservation(wrappers.ImgObsWrapper(gym.make("MiniGrid-MemoryS7-v0")))


def repeat_previous():
    popgym = pytest.importorskip("popgym.envs.repeat_previous")
    return popgym.RepeatPreviousEasy()


def train(make_env, n_steps, total, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = VecNormalize(make_sb3_vec_env(make_env, 16, seed=0), norm_obs=False, gamma=kwargs["gamma"])
        policy_kwargs = {"core": "plastic", "core_kwargs": {"hidden_size": 64, "rule": "oja"}}
        model = PlasticPPO(
            "MlpPolicy", env, n_steps=n_steps, policy_kwargs=policy_kwargs, seed=0, device="cpu", **kwargs
        )
        before, _ = evaluate_policy(model, make_sb3_vec_env(make_env, 16, seed=1), 64, deterministic=False)
        model.learn(total)
        after, _ = evaluate_policy(model, make_sb3_vec_env(make_env, 16, seed=1), 64, deterministic=False)
    return before, after


def test_cartpole_without_velocities():
    before, after = train(cartpole, 128, 200_000, learning_rate=1e-3, n_epochs=8, gamma=0.98)
    assert after > max(200, 4 * before)  # 500 at most


def test_minigrid_memory():
    before, after = train(minigrid_memory, 128, 300_000, learning_rate=5e-4, ent_coef=0.01, gamma=0.99)
    assert after > before + 0.3


def test_popgym_repeat_previous():
    before, after = train(repeat_previous, 52, 300_000, learning_rate=1e-3, gamma=0.5, ent_coef=0.01)
    assert after > before + 0.5
