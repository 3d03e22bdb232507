"""Checks of an algorithm's arguments, before Stable-Baselines3 computes with them."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from plastic_rl.arguments import LARGEST, check_flag, check_integer, check_number

Check = Callable[[str, Any], Any]


def check_hyperparameters(**given: Any) -> None:
    """Check the arguments of an algorithm that have a known name; others are left to what they are passed on to.

    Raises:
        TypeError: one is of another type than it must be; the message names it.
        ValueError: one is out of its range; the message names it, and says which.
    """
    for name, check in _CHECKS.items():
        if name in given and not (given[name] is None and name in _OPTIONAL):
            check(name, given[name])


def _number_or_schedule(name: str, value: Any) -> None:
    if callable(value):
        return
    if not isinstance(value, int | float):  # Stable-Baselines3 takes no number of another library
        raise TypeError(f"{name} must be a number or a schedule, got {value!r}")
    check_number(name, value, 0, LARGEST)


def check_dict(name: str, value: Any) -> None:
    """Check that a value is a dict with names as keys.

    Raises:
        TypeError: it is not.
    """
    if not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise TypeError(f"{name} must be a dict with names as keys, got {value!r}")


def _class(name: str, value: Any) -> None:
    if not isinstance(value, type):
        raise TypeError(f"{name} must be a class or None, got {value!r}")


def _path(name: str, value: Any) -> None:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path or None, got {value!r}")


def _device(name: str, value: Any) -> None:
    try:
        torch.device("cpu" if str(value) == "auto" else str(value))
    except RuntimeError as error:
        raise ValueError(f"{name} must be 'auto' or a device of torch, got {value!r}") from error


_POSITIVE: Check = partial(check_integer, minimum=1)
_FRACTION: Check = partial(check_number, minimum=0, maximum=1)
_AT_LEAST_0: Check = partial(check_number, minimum=0, maximum=LARGEST)

_OPTIONAL = (
    *("batch_size", "seed", "policy_kwargs", "tensorboard_log"),
    *("ent_coef_final", "clip_range_vf", "target_kl", "rollout_buffer_kwargs", "rollout_buffer_class"),
)
_CHECKS: dict[str, Check] = {
    **dict.fromkeys(("n_steps", "batch_size", "n_epochs", "stats_window_size"), _POSITIVE),
    **dict.fromkeys(("gamma", "gae_lambda"), _FRACTION),
    **dict.fromkeys(("vf_coef", "max_grad_norm", "target_kl"), _AT_LEAST_0),
    **dict.fromkeys(("ent_coef", "ent_coef_final"), partial(check_number, minimum=-LARGEST, maximum=LARGEST)),
    **dict.fromkeys(("normalize_advantage", "normalize_reward", "use_sde", "use_rms_prop"), check_flag),
    "sde_sample_freq": partial(check_integer, minimum=-1),
    "seed": partial(check_integer, minimum=0, maximum=2**32 - 1),
    "rms_prop_eps": partial(check_number, minimum=1e-12, maximum=1),  # what is divided by, where a gradient is 0
    "verbose": partial(check_integer, minimum=0),
    **dict.fromkeys(("learning_rate", "clip_range", "clip_range_vf"), _number_or_schedule),
    **dict.fromkeys(("policy_kwargs", "rollout_buffer_kwargs"), check_dict),
    "rollout_buffer_class": _class,
    "tensorboard_log": _path,
    "device": _device,
}
