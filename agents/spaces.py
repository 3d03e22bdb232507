"""Which observations and actions the policy can read and give."""

import numpy as np
from gymnasium import Space, spaces

KINDS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
_NAMES = "Box, Discrete, MultiDiscrete or MultiBinary"


def check_spaces(observation_space: Space, action_space: Space) -> None:
    """Check that an environment has observations and actions that the policy can deal with.

    Raises:
        ValueError: it has not; the message says which, what they are, and what they may be.
    """
    entries = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {"": observation_space}
    if not entries:
        raise ValueError("env must have observations, not an empty Dict")
    for key, space in entries.items():
        what = f"observations {key!r}" if key else "observations"
        if not isinstance(space, KINDS):
            flatten = "gymnasium.wrappers.FlattenObservation makes one vector of it"
            hint = f"; {flatten}" if isinstance(space, spaces.Tuple | spaces.Dict) else ""
            raise ValueError(f"env must have {what} in a {_NAMES} or a Dict of these, not in {space}{hint}")
        _check_choices(what, space)
        if isinstance(space, spaces.Box) and (not space.shape or 0 in space.shape):
            raise ValueError(f"env must have {what} of at least one number in a row, not of shape {space.shape}")
    if not isinstance(action_space, KINDS):
        raise ValueError(f"env must have actions in a {_NAMES}, not in {action_space}")
    _check_choices("actions", action_space)
    _check_actions(action_space)


def _check_choices(what: str, space: Space) -> None:
    """Refuse choices that do not begin at 0 or lie in a table, which Stable-Baselines3 would read as others."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) and np.any(space.start):
        raise ValueError(f"env must have {what} that start at 0, not at {space.start}: wrap it to subtract that")
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim != 1:
        raise ValueError(f"env must have {what} in one row, not of shape {space.nvec.shape}: wrap it to flatten them")


def _check_actions(space: Space) -> None:
    if isinstance(space, spaces.MultiBinary) and len(space.shape) != 1:
        raise ValueError(f"env must have actions in one row of bits, not of shape {space.shape}: wrap it to flatten it")
    if isinstance(space, spaces.Box):
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise ValueError(f"env must have actions with finite bounds, not {space}: gymnasium.wrappers.RescaleAction")
        if space.dtype.kind != "f":
            raise ValueError(f"env must have floating-point actions in a Box, not {space.dtype}")
        if 0 in space.shape:
            raise ValueError(f"env must have actions of at least one number, not of shape {space.shape}")
