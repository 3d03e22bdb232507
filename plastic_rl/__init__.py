"""Differentiable plasticity for Stable-Baselines3: plastic recurrent cores, memory tasks and the training around them.

Importing this package registers the environments with Gymnasium and loads no torch, so that workers that only step
environments stay light. Everything that needs torch loads when it is first asked for.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    from plastic_rl.envs.registration import register_envs
except ModuleNotFoundError as error:
    if error.name != "plastic_rl.envs":
        raise
    raise ImportError(
        "plastic_rl/envs, plastic_rl/agents and plastic_rl/scripts must be symbolic links to ../envs, ../agents and "
        "../scripts, and this checkout has none. Make them with `git config core.symlinks true` and "
        "`git checkout -- plastic_rl` (on Windows in Developer Mode), or install the package with `pip install .`"
    ) from error

if TYPE_CHECKING:
    from plastic_rl.agents import (
        GymVectorEnv,
        Muon,
        PlasticA2C,
        PlasticActorCriticPolicy,
        PlasticBPTT,
        PlasticPPO,
        SmallImageExtractor,
        export_policy,
        hyperparameters,
        make_vec_env,
    )
    from plastic_rl.agents.averaged_gradients import AveragedGradients
    from plastic_rl.agents.callbacks import PlasticityCallback
    from plastic_rl.agents.checkpoint import CheckpointCallback
    from plastic_rl.cores import (
        LoopCore,
        RecurrentCore,
        SequenceLayer,
        make_core,
        register_core,
        registered_cores,
    )
    from plastic_rl.envs import Task, TaskEnv, TaskVectorEnv, score
    from plastic_rl.envs.wrappers import (
        PreviousActionReward,
        Trials,
        VectorPreviousActionReward,
        VectorTrials,
    )
    from plastic_rl.ops import Rule, plastic_scan
    from plastic_rl.scripts.runs.folder import load_run

__version__ = "0.2.0"

# Let idle OpenMP threads sleep instead of spinning: trainings side by side otherwise take each other's processors.
# OpenMP reads this when torch is loaded, and the number of threads stays as it is.
if "torch" not in sys.modules:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
_spins = "OMP_WAIT_POLICY" not in os.environ

_HOME = {
    "AveragedGradients": "plastic_rl.agents.averaged_gradients",
    "CheckpointCallback": "plastic_rl.agents.checkpoint",
    "GymVectorEnv": "plastic_rl.agents",
    "LoopCore": "plastic_rl.cores",
    "Muon": "plastic_rl.agents",
    "PlasticA2C": "plastic_rl.agents",
    "PlasticActorCriticPolicy": "plastic_rl.agents",
    "PlasticBPTT": "plastic_rl.agents",
    "PlasticPPO": "plastic_rl.agents",
    "PlasticityCallback": "plastic_rl.agents.callbacks",
    "PreviousActionReward": "plastic_rl.envs.wrappers",
    "RecurrentCore": "plastic_rl.cores",
    "Rule": "plastic_rl.ops",
    "SequenceLayer": "plastic_rl.cores",
    "SmallImageExtractor": "plastic_rl.agents",
    "Task": "plastic_rl.envs",
    "TaskEnv": "plastic_rl.envs",
    "TaskVectorEnv": "plastic_rl.envs",
    "Trials": "plastic_rl.envs.wrappers",
    "VectorPreviousActionReward": "plastic_rl.envs.wrappers",
    "VectorTrials": "plastic_rl.envs.wrappers",
    "export_policy": "plastic_rl.agents",
    "hyperparameters": "plastic_rl.agents",
    "load_run": "plastic_rl.scripts.runs.folder",
    "make_core": "plastic_rl.cores",
    "make_vec_env": "plastic_rl.agents",
    "plastic_scan": "plastic_rl.ops",
    "register_core": "plastic_rl.cores",
    "registered_cores": "plastic_rl.cores",
    "score": "plastic_rl.envs",
}

__all__ = [
    "AveragedGradients",
    "CheckpointCallback",
    "GymVectorEnv",
    "LoopCore",
    "Muon",
    "PlasticA2C",
    "PlasticActorCriticPolicy",
    "PlasticBPTT",
    "PlasticPPO",
    "PlasticityCallback",
    "PreviousActionReward",
    "RecurrentCore",
    "Rule",
    "SequenceLayer",
    "SmallImageExtractor",
    "Task",
    "TaskEnv",
    "TaskVectorEnv",
    "Trials",
    "VectorPreviousActionReward",
    "VectorTrials",
    "export_policy",
    "hyperparameters",
    "load_run",
    "make_core",
    "make_vec_env",
    "plastic_scan",
    "register_core",
    "registered_cores",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'plastic_rl' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])


register_envs()
