"""Entries that a wrapper adds to observations, whatever they are."""

from typing import Any

from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, VectorEnv


def as_dict(observation: Any) -> dict[str, Any]:
    """Return an observation as a new dict: its entries, or itself as the entry `observation`."""
    return dict(observation) if isinstance(observation, dict) else {"observation": observation}


def add_entries(space: Space[Any], entries: dict[str, Space[Any]]) -> spaces.Dict:
    """Return the space of such a dict with more entries.

    Raises:
        ValueError: the observation has an entry of such a name already.
    """
    own = dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}
    taken = sorted(own.keys() & entries.keys())
    if taken:
        raise ValueError(f"the observation has entries of these names already: {', '.join(taken)}")
    return spaces.Dict(own | entries)


def autoreset_mode_of(env: VectorEnv) -> AutoresetMode:
    """Return the autoreset mode of a vector environment.

    Raises:
        ValueError: its metadata does not say.
    """
    mode = env.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise ValueError(f"env.metadata['autoreset_mode'] must be an AutoresetMode, got {mode!r}")
    return mode
