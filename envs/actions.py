"""Actions of many copies as arrays: whether they are in their space, and how an observation shows them."""

from typing import Any

import numpy as np
from gymnasium import Space, spaces


def check_actions(space: Space[Any], num_envs: int, actions: Any) -> np.ndarray:
    """Return the actions of all copies as an array of the action space's dtype.

    Raises:
        ValueError: they have another shape, or are outside the action space.
    """
    shape = (num_envs, *(space.shape or ()))
    try:
        given = np.asarray(actions)
    except (ValueError, TypeError) as error:
        raise ValueError(f"actions must be an array of shape {shape}: {error}") from None
    if given.dtype.kind not in "biuf":
        raise ValueError(f"actions must be numbers in {space}, got an array of {given.dtype}")
    if given.shape != shape:
        raise ValueError(f"actions must have shape {shape}, one in {space} for each copy; got shape {given.shape}")
    with np.errstate(invalid="ignore", over="ignore"):  # NaN has no integer: it is refused below
        taken = given.astype(space.dtype, copy=False)
    rounded = taken is not given and taken.dtype.kind != "f" and bool((taken != given).any())
    if rounded or not _inside(space, taken):
        raise ValueError(f"actions must be in {space} for every copy, got {given}")
    return taken


def _inside(space: Space[Any], actions: np.ndarray) -> bool:
    """Say whether actions of the right shape and dtype are all in the space."""
    if isinstance(space, spaces.Discrete):
        return bool(((actions >= space.start) & (actions < space.start + space.n)).all())
    if isinstance(space, spaces.MultiDiscrete):
        return bool(((actions >= space.start) & (actions < space.start + space.nvec)).all())
    if isinstance(space, spaces.MultiBinary):
        return bool(((actions == 0) | (actions == 1)).all())
    if isinstance(space, spaces.Box):  # false for NaN, too
        return bool(((actions >= space.low) & (actions <= space.high)).all())
    raise TypeError(f"action_space must be Discrete, MultiDiscrete, MultiBinary or Box, got {space}")


def encoded_space(space: Space[Any]) -> spaces.Box:
    """Return the space of one encoded action; it also has the zeros that stand for no action.

    Raises:
        TypeError: another action space than `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`.
    """
    if isinstance(space, spaces.Box):
        low, high = space.low.ravel().clip(max=0), space.high.ravel().clip(min=0)
        return spaces.Box(low.astype(np.float32), high.astype(np.float32))
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        return spaces.Box(0, 1, (spaces.flatdim(space),), np.float32)
    raise TypeError(f"actions must be Discrete, MultiDiscrete, MultiBinary or Box, got {space}")


def encode_actions(space: Space[Any], actions: np.ndarray) -> np.ndarray:
    """Return actions (B, *shape) as (B, K) float32, a new array: one-hot where they are choices, else flattened."""
    if isinstance(space, spaces.Discrete):
        return (actions[:, None] == np.arange(space.start, space.start + space.n)).astype(np.float32)
    if isinstance(space, spaces.MultiDiscrete):
        choices = (actions.astype(np.int64) - space.start).reshape(len(actions), -1)
        hot = [np.eye(n, dtype=np.float32)[choices[:, i]] for i, n in enumerate(space.nvec.ravel())]
        return np.concatenate(hot, axis=1)
    return np.array(actions.reshape(len(actions), -1), np.float32)
