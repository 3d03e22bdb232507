"""Stacks of layers around environments, and a short training in each."""

import gymnasium as gym
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from memory_envs import Echo
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from plastic_rl.agents import GymVectorEnv, PlasticPPO
from plastic_rl.agents.checkpoint import CheckpointCallback
from plastic_rl.envs.wrappers import PreviousActionReward, Trials, VectorPreviousActionReward, VectorTrials

STEPS = 256


class Resumable(Echo):
    """An environment of a user's own, entered in the table."""


def native(autoreset="SameStep", **kwargs):
    arguments = {"episode_steps": 20, "autoreset_mode": autoreset, **kwargs}
    return gym.make_vec("plastic_rl/Maze-v0", num_envs=4, vectorization_mode="vector_entry_point", **arguments)


def sync(*wrappers):
    def make():
        env = Resumable(length=7)
        for wrapper in wrappers:
            env = wrapper(env)
        return env

    return [make for _ in range(4)]


def flat(env):
    return VecMonitor(GymVectorEnv(env))


def single_trials():
    env = gym.make("plastic_rl/Maze-v0", episode_steps=12)
    return gym.wrappers.FlattenObservation(PreviousActionReward(Trials(env, 2)))


STACKS = {
    "native": lambda: flat(native()),
    "VecNormalize": lambda: VecNormalize(VecMonitor(GymVectorEnv(native()))),
    "VecFrameStack": lambda: VecFrameStack(VecMonitor(GymVectorEnv(native())), 3),
    "NormalizeReward": lambda: VecMonitor(GymVectorEnv(gym.wrappers.vector.NormalizeReward(native()))),
    "RecordEpisodeStatistics": lambda: GymVectorEnv(gym.wrappers.vector.RecordEpisodeStatistics(native())),
    "Monitor": lambda: DummyVecEnv(sync(Monitor)),
    "TimeLimit": lambda: VecMonitor(DummyVecEnv(sync(lambda env: gym.wrappers.TimeLimit(env, 5)))),
    "FrameStackObservation": lambda: VecMonitor(
        DummyVecEnv(sync(lambda env: gym.wrappers.FrameStackObservation(env, 3), gym.wrappers.FlattenObservation))
    ),
    "NormalizeObservation": lambda: DummyVecEnv(
        sync(gym.wrappers.NormalizeObservation, gym.wrappers.NormalizeReward, gym.wrappers.RecordEpisodeStatistics)
    ),
    "DelayObservation": lambda: DummyVecEnv(sync(lambda env: gym.wrappers.DelayObservation(env, 2), Monitor)),
    "TimeAwareObservation": lambda: DummyVecEnv(
        sync(lambda env: gym.wrappers.TimeLimit(env, 6), gym.wrappers.TimeAwareObservation)
    ),
    "VectorTrials": lambda: flat(VectorTrials(native("Disabled"), 2)),
    "VectorPreviousActionReward": lambda: flat(VectorPreviousActionReward(native())),
    "both": lambda: flat(VectorPreviousActionReward(VectorTrials(native("Disabled"), 2))),
    "TaskEnv": lambda: make_sb3_vec_env("plastic_rl/Maze-v0", 2, env_kwargs={"episode_steps": 20}),
    "Trials": lambda: make_sb3_vec_env(single_trials, 2),
    "SyncVectorEnv": lambda: GymVectorEnv(SyncVectorEnv(sync(), autoreset_mode=AutoresetMode.SAME_STEP)),
}


def learn(env, folder, resume=False, callbacks=(), steps=STEPS, **arguments):
    few = {"n_epochs": 1, "batch_size": 16 * getattr(env, "num_envs", 1)}
    arguments = {"policy_kwargs": {"core_kwargs": {"hidden_size": 6}}, **few, **arguments}
    policy = "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy"
    model = PlasticPPO(policy, env, n_steps=16, seed=1, device="cpu", **arguments)
    return model.learn(steps, callback=[CheckpointCallback(folder, seconds=0, resume=resume), *callbacks])


def parameters_of(model):
    return torch.cat([value.flatten() for value in model.policy.state_dict().values()])
