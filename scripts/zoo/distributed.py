"""What `train` minds where `torchrun` starts many processes of it."""

import os
from typing import Any

import torch
from stable_baselines3.common.callbacks import ProgressBarCallback
from stable_baselines3.common.utils import get_device

from plastic_rl.agents import distributed
from plastic_rl.scripts import refuse


def check_shares(n_envs: int, hyperparams: dict[str, Any], device: torch.device | str) -> None:
    """Leave with one line where a training cannot be shared out among the processes.

    Args:
        n_envs: environments of all.
        hyperparams: of the algorithm.
        device: as `--device` says.
    """
    n = distributed.world_size()
    for name, value in (("n_envs", n_envs), ("batch_size", hyperparams.get("batch_size", n))):
        if value % n:
            refuse(f"{name} must be a multiple of the {n} processes, not {value}")
    if (target := hyperparams.get("target_kl")) is not None:
        refuse(f"target_kl must be None in a training over many processes, not {target}")
    here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if get_device(device).type == "cuda" and here > gpus:
        refuse(f"--device {device} wants a GPU for each of {here} processes, and here are {gpus}; it may be cpu")


class WholeProgress(ProgressBarCallback):
    """SB3's progress bar over the steps of all processes."""

    def _on_step(self) -> bool:
        self.pbar.update(self.training_env.num_envs * distributed.world_size())
        return True
