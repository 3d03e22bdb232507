"""The learners: policy, sequence buffer, A2C, PPO, BPTT, callbacks, on Stable-Baselines3."""

from plastic_rl.agents.a2c import PlasticA2C
from plastic_rl.agents.bptt import PlasticBPTT
from plastic_rl.agents.export import SingleStep, export_policy
from plastic_rl.agents.extractors import SmallImageExtractor
from plastic_rl.agents.hyperparams import hyperparameters
from plastic_rl.agents.muon import Muon
from plastic_rl.agents.policy import CnnPolicy, MlpPolicy, MultiInputPolicy, PlasticActorCriticPolicy
from plastic_rl.agents.ppo import PlasticPPO
from plastic_rl.agents.vec_env import GymVectorEnv, make_vec_env

__all__ = [
    "CnnPolicy",
    "GymVectorEnv",
    "MlpPolicy",
    "MultiInputPolicy",
    "Muon",
    "PlasticA2C",
    "PlasticActorCriticPolicy",
    "PlasticBPTT",
    "PlasticPPO",
    "SingleStep",
    "SmallImageExtractor",
    "export_policy",
    "hyperparameters",
    "make_vec_env",
]
