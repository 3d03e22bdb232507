"""What equal settings for all arms, RecurrentPPO among them, take: no hyperparameters but a claim's, and float actions.

`train -conf plastic_rl.scripts.experiments.baseline` has all hyperparameters from its command line.
"""

import copy

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

hyperparams = {"default": {"n_timesteps": 1_000_000}}


class FloatActions(VecEnvWrapper):
    """Stores binary actions as floats: sb3-contrib's buffer keeps them as int8, which torch's Bernoulli refuses."""

    def __init__(self, venv: VecEnv) -> None:
        space = copy.copy(venv.action_space)
        space.dtype = np.dtype(np.float32)
        super().__init__(venv, action_space=space)

    def reset(self) -> VecEnvObs:
        """Reset the environments."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Step the environments."""
        return self.venv.step_wait()
