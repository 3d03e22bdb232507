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
STATISTICS = "normalization.json"
TRUSTED = ("plastic_rl", "stable_baselines3", "sb3_contrib", "torch")


class RunFileError(ValueError):
    """A file of a run folder that cannot be read; the message says why."""


def write_run_file(folder: Path, facts: dict[str, Any]) -> None:
    """Write `run.json` into a folder.

    Args:
        folder: of the run's settings.
        facts: strings, numbers, lists and dicts; classes become their names, and what is nothing of these its text.
    """
    whole = {"format": FORMAT, "plastic_rl": version("plastic_rl"), **facts}
    write_whole(folder / NAME, json.dumps(_encoded(whole), indent=1, default=str) + "\n")


def read_run_file(folder: Path) -> dict[str, Any]:
    """Read `run.json`.

    Raises:
        RunFileError: it is damaged, of another version, or names a class from a package that is not trusted.
    """
    return _decoded(check_format(folder))


def check_format(folder: Path) -> dict[str, Any]:
    """Return what `run.json` says, with classes still as names.

    Raises:
        RunFileError: it is damaged, or of another version.
    """
    found = _read(folder / NAME)
    facts = found if isinstance(found, dict) else {}
    if facts.get("format") != FORMAT:
        raise RunFileError(
            f"{folder.name}/{NAME} is of another version: format {facts.get('format')!r}, written by plastic_rl "
            f"{facts.get('plastic_rl')}; this version reads format {FORMAT}"
        )
    return facts


def write_statistics(folder: Path, env: VecNormalize) -> None:
    """Write the statistics of observations that a policy was trained with."""
    if not env.norm_obs:
        return write_whole(folder / STATISTICS, "null\n")
    statistics = env.obs_rms if isinstance(env.obs_rms, dict) else {"": env.obs_rms}
    values = {key: [rms.mean.tolist(), rms.var.tolist(), rms.count] for key, rms in statistics.items()}
    facts = {"clip_obs": env.clip_obs, "epsilon": env.epsilon, "keys": env.norm_obs_keys, "statistics": values}
    write_whole(folder / STATISTICS, json.dumps(facts) + "\n")


def normalized(env: VecEnv, folder: Path) -> VecEnv:
    """Return an environment whose observations are normalized as in training, and whose rewards are its own.

    Raises:
        RunFileError: the statistics are damaged.
    """
    facts = _read(folder / STATISTICS)
    if facts is None:
        return env
    wrapped = VecNormalize(
        env, False, True, False, clip_obs=facts["clip_obs"], epsilon=facts["epsilon"], norm_obs_keys=facts["keys"]
    )
    statistics = {}
    for key, (mean, variance, count) in facts["statistics"].items():
        statistics[key] = RunningMeanStd(shape=np.shape(mean))
        vars(statistics[key]).update(mean=np.array(mean), var=np.array(variance), count=count)
    wrapped.obs_rms = statistics if isinstance(wrapped.obs_rms, dict) else statistics[""]
    return wrapped


def evaluated(value: Any, names: dict[str, Any] | None = None) -> Any:
    """Return what a setting means: a string of it is a Python expression, as RL Baselines3 Zoo's are.

    Settings of runs that are not one's own are never evaluated.

    Args:
        value: the setting.
        names: what the expression may name.

    Raises:
        ValueError: the string is no expression, or fails; the message says how.
    """
    if not isinstance(value, str):
        return value
    try:
        return eval(value, dict(names or {}))
    except Exception as error:
        raise ValueError(f"{value!r} is not a Python expression ({type(error).__name__}: {error})") from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise RunFileError(f"{path.parent.name}/{path.name} is missing") from None
    except ValueError as error:
        raise RunFileError(f"{path.parent.name}/{path.name} is cut off or damaged: {error}") from error


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _encoded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(entry) for entry in value]
    return {"class": f"{value.__module__}:{value.__qualname__}"} if isinstance(value, type) else value


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"class"}:
        return {key: _decoded(entry) for key, entry in value.items()}
    module, _, name = str(value["class"]).partition(":")
    if module.partition(".")[0] not in TRUSTED:
        raise RunFileError(f"{NAME} names a class of {module!r}, which is not loaded unasked; with --trust it is")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RunFileError(f"{NAME} names {value['class']!r}, which is not there: {error}") from error
