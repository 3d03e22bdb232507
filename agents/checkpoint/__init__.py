"""Checkpoints: files from which a training that was stopped or killed goes on as if it had never stopped."""

from plastic_rl.agents.checkpoint.callback import CheckpointCallback
from plastic_rl.agents.checkpoint.environments import LAYERS, Layer
from plastic_rl.agents.checkpoint.file import DamagedCheckpointError, OtherFormatError, checkpoints, read

__all__ = [
    "LAYERS",
    "CheckpointCallback",
    "DamagedCheckpointError",
    "Layer",
    "OtherFormatError",
    "checkpoints",
    "read",
]
