"""A snapshot of a training: parameters, optimizer, counters, random generators and environments."""

import random
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plastic_rl.agents.checkpoint.environments import (
    environment_state,
    lost_layers,
    set_environment_state,
    unknown_layers,
)
from plastic_rl.agents.checkpoint.file import arrays
from plastic_rl.agents.rollouts import RecurrentRollouts

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "ent_coef", "_ent_coef_start")


def capture(model: RecurrentRollouts) -> dict[str, Any]:
    """Return all that changes while a model learns, between two rollouts, `process_state` among it."""
    return {
        "algorithm": type(model).__name__,
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "logger": Path(model.logger.dir).name if model.logger.dir else None,
        "counters": {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
        "episodes": list(model.ep_info_buffer or []),
        "return_scale": None if model.return_scale is None else vars(model.return_scale.statistics),
        **process_state(model),
    }


def process_state(model: RecurrentRollouts) -> dict[str, Any]:
    """Return what each process of a training has for itself: running episodes, random generators, environments."""
    assert model.env is not None
    return {
        "rollout": model.rollout_state(),
        "generators": _generators(model.device),
        "environment": environment_state(model.env),
    }


def restore(
    model: RecurrentRollouts, state: dict[str, Any], own: dict[str, Any] | None, monitors: Path | None = None
) -> list[str]:
    """Put what `capture` returned into a model that was set up the same way and whose environments were reset.

    Args:
        model: made with the same arguments.
        state: of the same algorithm, policy and environments.
        own: what `process_state` returned for this process, in `state` for the first one; None begins new episodes.
        monitors: the folder of the monitor files, which go on where they were; without it none is written.

    Returns:
        The layers of the environments that cannot go on where they were; none where all go on.

    Raises:
        ValueError: the state is of another algorithm.
        RuntimeError: its parameters do not fit.
    """
    assert model.env is not None
    if state["algorithm"] != type(model).__name__:
        raise ValueError(f"the checkpoint is of {state['algorithm']}, not of {type(model).__name__}")
    model.policy.load_state_dict(state["policy"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    for name, value in arrays(state["counters"]).items():
        setattr(model, name, value)
    model._num_timesteps_at_start = model.num_timesteps  # for steps per second
    model.ep_info_buffer = deque(arrays(state["episodes"]), maxlen=model._stats_window_size)
    if model.return_scale is not None and state["return_scale"] is not None:
        vars(model.return_scale.statistics).update(arrays(state["return_scale"]))
    layers = arrays((own or state)["environment"])
    goes_on = set_environment_state(model.env, layers, monitors, goes_on=own is not None)
    if own is None:
        return []
    if goes_on:
        model.set_rollout_state(arrays(own["rollout"]))
    _set_generators(own["generators"], model.device)
    return [] if goes_on else unknown_layers(model.env) + lost_layers(layers) or ["other layers than before"]


def _generators(device: torch.device) -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (SB3 draws from it)
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(keys, np.int64), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def _set_generators(state: dict[str, Any], device: torch.device) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
