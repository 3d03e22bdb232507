"""Small trainings, by one process or as one of many."""

import os
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, distributed, make_vec_env
from plastic_rl.agents.averaged_gradients import AveragedGradients
from tests.agents.memory_envs import Asked, Echo

N_ENVS = 4
STEPS = 10


def answers(core, env_of, **kwargs):
    """Learn from right answers; copy i is the same life whichever process lives it."""
    n = N_ENVS // distributed.world_size()
    seed = distributed.rank() * n
    policy_kwargs = {"core": core, "core_kwargs": {"hidden_size": 8}}
    model = PlasticBPTT("MlpPolicy", env_of(n, seed), n_steps=STEPS, seed=seed, policy_kwargs=policy_kwargs, **kwargs)
    model.learn(STEPS * N_ENVS * 5, callback=AveragedGradients())
    logged = {name: model.logger.name_to_value.get(f"train/{name}") for name in ("loss", "accuracy", "grad_norm")}
    return {**outcome(model), **logged}


class Seen(BaseCallback):
    """Remembers every observation before it is normalized."""

    def _on_training_start(self):
        self.observations = [self.model.get_vec_normalize_env().get_original_obs()]

    def _on_step(self):
        self.observations.append(self.model.get_vec_normalize_env().get_original_obs())
        return True


def rewards(algorithm):
    """Learn from rewards with normalized observations."""
    n = N_ENVS // distributed.world_size()
    seed = distributed.rank() * n
    env = VecNormalize(make_sb3_vec_env(Echo, n, seed=seed))
    few = {"n_epochs": 2} if algorithm is PlasticPPO else {}
    policy_kwargs = {"core_kwargs": {"hidden_size": 8}}
    model = algorithm("MlpPolicy", env, n_steps=STEPS, seed=seed, policy_kwargs=policy_kwargs, **few)
    together, seen = AveragedGradients(), Seen()
    model.learn(STEPS * N_ENVS * 3, callback=[together, seen])
    together.on_rollout_start()
    return {**outcome(model), "seen": np.stack(seen.observations), "mean": env.obs_rms.mean, "var": env.obs_rms.var}


def outcome(model):
    return {
        "parameters": {name: value.clone() for name, value in model.policy.state_dict().items()},
        "steps": model.num_timesteps,
        "updates": model._n_updates,
    }


def maze(n, seed):
    return make_vec_env("plastic_rl/Maze-v0", n, seed, env_kwargs={"size": 5, "episode_steps": 10})


def asked(asking):
    return lambda n, seed: make_sb3_vec_env(Asked, n, seed=seed, env_kwargs={"asking": asking})


def all_of_them():
    return {
        "maze": answers("plastic", maze, acting="oracle"),
        "half of the lives are asked": answers("lstm", asked(2)),
        "some are asked": answers("lstm", asked(3)),
        "a2c": rewards(PlasticA2C),
        "ppo": rewards(PlasticPPO),
    }


def as_one_of_many(folder: Path, **variables: str):
    """Join processes with the environment variables that `torchrun` gives one; leave what was learned in the folder."""
    os.environ |= variables
    torch.set_num_threads(1)
    with distributed.process_group():
        torch.save(all_of_them(), folder / f"{distributed.rank()}.pt")
