"""Hyperparameters for an algorithm and an environment: files in RL Baselines3 Zoo's format, and their reader."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from stable_baselines3.common.utils import LinearSchedule

FOLDER = files(__name__)  # not a path: the package may be imported from a zip
ALGORITHMS = tuple(sorted(file.name.removesuffix(".yml") for file in FOLDER.iterdir() if file.name.endswith(".yml")))
# Settings of a training that are no arguments of an algorithm's constructor.
_OF_A_TRAINING = ("n_timesteps", "n_envs", "env_kwargs")
# What a constructor has beside hyperparameters.
_NO_HYPERPARAMETERS = ("self", "__class__", "policy", "env", "_init_setup_model")


def hyperparameters(algorithm: str, env_id: str) -> dict[str, Any]:
    """Return the tuned hyperparameters of an algorithm for an environment, as arguments of its constructor.

        PlasticPPO(env=env, **hyperparameters("plastic_ppo", "plastic_rl/Maze-v0"))

    Args:
        algorithm: `"plastic_ppo"`, `"plastic_a2c"` or `"plastic_bptt"`.
        env_id: an environment's id; one without a row of its own has those of the row `default`.

    Returns:
        Arguments by name, `policy` among them for the environments of this package.

    Raises:
        ValueError: there is no such algorithm.
    """
    return {name: _value(name, value) for name, value in row(algorithm, env_id).items() if name not in _OF_A_TRAINING}


def fill_in(algorithm: str, env: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters among an algorithm's arguments (its constructor's locals), with a value for None.

    It is that of the environment's row, if `env` is an id that has one, else that of the row `default`, else None.
    """
    tuned = hyperparameters(algorithm, "default")
    if isinstance(env, str):
        tuned |= hyperparameters(algorithm, env)
    if given["n_steps"] is not None:
        tuned.pop("batch_size", None)  # which was a multiple of another length
    return {
        name: tuned.get(name) if value is None else value
        for name, value in given.items()
        if name not in _NO_HYPERPARAMETERS
    }


def row(algorithm: str, env_id: str) -> dict[str, Any]:
    """Return an environment's row of the file as it is written, `n_envs` and `n_timesteps` among it; or the default."""
    rows = _read(algorithm)
    return dict(rows.get(env_id.rpartition(":")[2], rows["default"]))


@cache
def _read(algorithm: str) -> dict[str, dict[str, Any]]:
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(map(repr, ALGORITHMS))}, not {algorithm!r}")
    return yaml.safe_load((FOLDER / f"{algorithm}.yml").read_text())


def _value(name: str, value: Any) -> Any:
    if name in ("learning_rate", "clip_range", "clip_range_vf") and isinstance(value, str):
        return LinearSchedule(float(value.removeprefix("lin_")), 0.0, 1.0)
    if name == "policy_kwargs" and isinstance(value, str):  # Python, as in the Zoo; the file is this package's own
        from plastic_rl import agents

        return eval(value, {"agents": agents})
    return value
