"""What equal settings for all arms, RecurrentPPO among them, take: no hyperparameters but a claim's, and float actions.

`train -conf plastic_rl.scripts.experiments.baseline` has all hyperparameters from its command line.
"""

import copy

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

hyperparams = {"default": {"n_timesteps": 1_000_000}}


def float_actions(env: VecEnv) -> VecEnv:
    """Store binary actions as floats: sb3-contrib's buffer keeps them as int8, which torch's Bernoulli refuses."""
    env.action_space = copy.copy(env.action_space)
    env.action_space.dtype = np.dtype(np.float32)
    return env


FloatActions = float_actions  # as the runs on file call it
