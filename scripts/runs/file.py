"""`run.json`: what a run folder says of itself, as plain JSON; reading it executes nothing."""

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from plastic_rl.files import write_whole

FORMAT = 1
NAME = "run.json"
COMMAND = "command.json"
STATISTICS = "normalization.json"
TRUSTED = ("plastic_rl", "stable_baselines3", "sb3_contrib", "torch")


class RunFileError(ValueError):
    """A file of a run folder that cannot be read; the message says why."""


def write_run_file(folder: Path, facts: dict[str, Any], command: list[str] | None = None) -> None:
    """Write `run.json`, in which classes are names, then the command line: where it is, a killed run can go on."""

    def encoded(value: Any) -> Any:
        return {"class": f"{value.__module__}:{value.__qualname__}"} if isinstance(value, type) else str(value)

    whole = {"format": FORMAT, "plastic_rl": version("plastic_rl"), **facts}
    write_whole(folder / NAME, json.dumps(whole, indent=1, default=encoded) + "\n")
    if command is not None:
        write_whole(folder / COMMAND, json.dumps(command))


def read_run_file(folder: Path) -> dict[str, Any]:
    """Read `run.json`; `RunFileError` where it is damaged, or names a class from a package that is not trusted."""
    _check_format(folder)
    return _read(folder / NAME, _decoded)


def read_command(folder: Path) -> list[str]:
    """Read the command line that began a run; `RunFileError` where it is damaged, or the run of another version."""
    _check_format(folder)
    argv = _read(folder / COMMAND)
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        raise RunFileError(f"{folder.name}/{COMMAND} must hold a list of words")
    return argv


def _check_format(folder: Path) -> None:
    found = _read(folder / NAME)
    number, writer = (found.get(key) if isinstance(found, dict) else None for key in ("format", "plastic_rl"))
    if number != FORMAT:
        what = f"format {number!r}, written by plastic_rl {writer}; this version reads format {FORMAT}"
        raise RunFileError(f"{folder.name}/{NAME} is of another version: {what}")


def write_statistics(folder: Path, env: VecNormalize) -> None:
    """Write the statistics of observations that a policy was trained with."""
    if not env.norm_obs:
        return write_whole(folder / STATISTICS, "null\n")
    statistics = env.obs_rms if isinstance(env.obs_rms, dict) else {"": env.obs_rms}
    values = {key: [rms.mean.tolist(), rms.var.tolist(), rms.count] for key, rms in statistics.items()}
    facts = {"clip_obs": env.clip_obs, "epsilon": env.epsilon, "keys": env.norm_obs_keys, "statistics": values}
    write_whole(folder / STATISTICS, json.dumps(facts) + "\n")


def normalized(env: VecEnv, folder: Path) -> VecEnv:
    """Return an environment whose observations are normalized as in training."""
    facts = _read(folder / STATISTICS)
    if facts is None:
        return env
    wrapped = VecNormalize(env, clip_obs=facts["clip_obs"], epsilon=facts["epsilon"], norm_obs_keys=facts["keys"])
    statistics = {}
    for key, (mean, variance, count) in facts["statistics"].items():
        statistics[key] = RunningMeanStd(shape=np.shape(mean))
        vars(statistics[key]).update(mean=np.array(mean), var=np.array(variance), count=count)
    wrapped.obs_rms = statistics if isinstance(wrapped.obs_rms, dict) else statistics[""]
    return wrapped


def evaluated(value: Any, names: dict[str, Any] | None = None) -> Any:
    """Return what a setting of one's own means: a string is a Python expression of some names; else `ValueError`."""
    if not isinstance(value, str):
        return value
    try:
        return eval(value, dict(names or {}))
    except Exception as error:
        raise ValueError(f"{value!r} is not a Python expression ({type(error).__name__}: {error})") from error


def _read(path: Path, decoded: Any = None) -> Any:
    try:
        return json.loads(path.read_text(), object_hook=decoded)
    except FileNotFoundError:
        raise RunFileError(f"{path.parent.name}/{path.name} is missing") from None
    except RunFileError:
        raise
    except ValueError as error:
        raise RunFileError(f"{path.parent.name}/{path.name} is cut off or damaged: {error}") from error


def _decoded(value: dict[str, Any]) -> Any:
    if set(value) != {"class"}:
        return value
    module, _, name = str(value["class"]).partition(":")
    if module.partition(".")[0] not in TRUSTED:
        raise RunFileError(f"{NAME} names a class of {module!r}, which is not loaded unasked; with --trust it is")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RunFileError(f"{NAME} names {value['class']!r}, which is not there: {error}") from error
