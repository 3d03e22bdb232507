"""Checks of a training's settings, from a hyperparameter file and from the command line, before the Zoo uses them."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from plastic_rl.arguments import LARGEST, check_flag, check_integer, check_number
from plastic_rl.scripts.names import refuse

PAIRS = ("--env-kwargs", "--eval-env-kwargs")
SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")


def check_command(argv: list[str]) -> None:
    """Leave with one line and exit code 2 where the Zoo's command line says what it cannot mean.

    Args:
        argv: the words.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in PAIRS:
        parser.add_argument(option, nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-threads", type=int, default=-1)
    parser.add_argument("-i", "--trained-agent", default="")
    parser.add_argument("--n-eval-envs", type=int, default=1)
    given, _ = parser.parse_known_args(argv)
    for option in PAIRS:
        for pair in getattr(given, option.strip("-").replace("-", "_")):
            _check_pair(option, pair)
    if given.seed >= 2**32:
        refuse(f"--seed must be below 2**32, or negative for a random one, not {given.seed}")
    if given.trained_agent and not (given.trained_agent.endswith(".zip") and Path(given.trained_agent).is_file()):
        refuse(f"--trained-agent must be a .zip file, not {given.trained_agent!r}")
    if given.n_eval_envs < 1:
        refuse(f"--n-eval-envs must be at least 1, not {given.n_eval_envs}")


def _check_pair(option: str, pair: str) -> None:
    key, _, value = pair.partition(":")
    try:
        eval(value)  # as the Zoo will
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        refuse(f"{option} takes NAME:VALUE pairs with Python expressions as values, not {pair!r} ({reason})")
    if not key.isidentifier():
        refuse(f"{option} takes NAME:VALUE pairs such as size:9, not {pair!r}")


@contextmanager
def settings_of(source: str) -> Iterator[None]:
    """Turn what reading and evaluating settings may raise into an error of one line that names where they are.

    Raises:
        ValueError: anything went wrong.
    """
    try:
        yield
    except Exception as error:  # the Zoo evaluates some of them as Python
        reason = str(error).strip().partition("\n")[0]
        kind = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"hyperparameters, from {source} or the command line: {kind}{reason}") from error


def check_file(path: str) -> None:
    """Check that a YAML file, if it is one, holds settings under the ids of environments.

    Raises:
        TypeError: it holds something else.
        OSError, yaml.YAMLError: it cannot be read.
    """
    if not path.endswith((".yml", ".yaml")):
        return
    content = yaml.safe_load(Path(path).read_text())
    if not isinstance(content, dict):
        raise TypeError(f"the file must hold settings under the ids of environments, not {content!r}")


def check_settings(settings: Any) -> None:
    """Check those settings that are the Zoo's own; an algorithm checks its arguments itself.

    Args:
        settings: by name, as a file and the command line give them.

    Raises:
        TypeError, ValueError: one cannot be; the message names it.
    """
    if not (isinstance(settings, dict) and all(isinstance(key, str) for key in settings)):
        raise TypeError(f"those of an environment must be names with values, not {settings!r}")
    if "n_timesteps" not in settings:
        raise ValueError("n_timesteps is missing")
    check_number("n_timesteps", settings["n_timesteps"], 1)
    check_integer("n_envs", settings.get("n_envs", 1), 1)
    if settings.get("frame_stack") is not None:
        check_integer("frame_stack", settings["frame_stack"], 1, 1000)
    for name in SCHEDULES:
        if isinstance(settings.get(name), str):
            _check_schedule(name, settings[name])
    for name in ("env_kwargs", "monitor_kwargs"):
        _check_dict(name, settings.get(name, {}))
    if isinstance(settings.get("normalize", False), dict | str):
        _check_dict("normalize", settings["normalize"])
    else:
        check_flag("normalize", settings.get("normalize", False))
    for name in ("env_wrapper", "vec_env_wrapper", "callback"):
        if not isinstance(settings.get(name), str | list | dict | None):
            raise TypeError(f"{name} must be the name of a class, or a list of such, not {settings[name]!r}")
    if not isinstance(settings.get("policy", ""), str):
        raise TypeError(f"policy must be a name, not {settings['policy']!r}")


def _check_dict(name: str, value: Any) -> None:
    try:
        evaluated = eval(value) if isinstance(value, str) else value  # as the Zoo will
    except Exception as error:
        raise ValueError(f"{name} must be a Python expression, not {value!r} ({type(error).__name__})") from error
    if not isinstance(evaluated, dict):
        raise TypeError(f"{name} must be a dict, or a string of Python that is one, not {value!r}")


def _check_schedule(name: str, text: str) -> None:
    kind, _, start = text.partition("_")
    try:
        check_number(name, float(start), 0, LARGEST)
    except ValueError:
        start = ""
    if kind != "lin" or not start:
        raise ValueError(f"{name} must be a number, or lin_ and a number, as in lin_3e-4, not {text!r}")
