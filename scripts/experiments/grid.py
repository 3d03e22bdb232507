"""Grids in YAML: each combination of settings is a run of `train`. `sweep` reads them, and so do the paper's claims."""

import hashlib
import json
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml

from plastic_rl.arguments import check_integer, check_name, check_number
from plastic_rl.scripts import refuse

AXES = ("algo", "env", "core")
GROUPS = {"env_kwargs": "--env-kwargs", "core_kwargs": "--core-kwargs", "hyperparams": "-params"}
SETTINGS: dict[str, Any] = {"seeds": 1, "n_timesteps": None, "flags": [], "cpus": 1, "gpus": 0, "retries": 3}
NAMED = ("arms", "tasks")
DEFAULTS = {"algo": "plastic_ppo", "env": "plastic_rl/Maze-v0"}
OWN_FLAGS = (
    *("--algo", "--env", "--core", "--env-kwargs", "--core-kwargs", "-params", "--hyperparams", "--seed", "-n"),
    *("--n-timesteps", "--device", "--num-threads", "-f", "--log-folder", "-tb", "--tensorboard-log", "--resume"),
)


@dataclass(frozen=True)
class Run:
    """One run of a grid: the values that tell it from others, such as `arm` and `seed`, and the flags of `train`."""

    values: dict[str, Any]
    argv: list[str]
    cpus: float = 1
    gpus: float = 0
    retries: int = 3
    claim: str = ""

    @property
    def name(self) -> str:
        """The name of its folder; a run with other flags of `train` has another one."""
        digest = hashlib.sha256(json.dumps(self.argv).encode()).hexdigest()[:8]
        if self.claim:
            return f"{self.result}-{digest}"
        words = [str(self.values[key]).rpartition("/")[2] for key in ("arm", *AXES) if key in self.values]
        return "-".join([*words, f"seed{self.values['seed']}", digest]).replace(":", ".").replace(" ", "-")

    @property
    def result(self) -> str:
        """Where a claim keeps its result, without the ending: `CLAIM/ARM-SEED`."""
        return f"{self.claim}/{file_name(self.values['arm'])}-{self.values['seed']}"


def file_name(arm: str) -> str:
    """Return an arm's name as part of a file's name."""
    return "".join(c if c.isalnum() else "-" for c in arm)


def read_yaml(file: str, what: str) -> Any:
    """Read a YAML file; raises `UsageError` where it is none."""
    try:
        return yaml.safe_load(Path(file).read_text())
    except OSError as error:
        refuse(f"{what} {file!r} cannot be read: {error.strerror}")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        refuse(f"{what} {file!r} is no YAML: {error}")


def read_sweep(file: str) -> list[Run]:
    """Return the runs of a file: one grid, or a list of grids, each run once; `UsageError` where it is none."""
    content = read_yaml(file, "sweep")
    grids = content if isinstance(content, list) else [content]
    if not grids or not all(isinstance(grid, dict) and grid for grid in grids):
        refuse(f"sweep {file!r} must be a mapping such as `env: plastic_rl/Maze-v0`, or a list of mappings")
    runs = list({run.name: run for grid in grids for run in expand(grid)}.values())
    check_runs(runs)
    return runs


def expand(grid: dict[str, Any], claim: str = "") -> list[Run]:
    """Return the runs of one grid: every combination of the values in lists, all seeds of one before the next.

    With `arms` or `tasks`, named settings over the common ones, there is such a grid for each arm in each task.
    """
    common = {key: value for key, value in grid.items() if key not in NAMED}
    for key in NAMED:
        named = grid.get(key, {"": {}})
        if not (isinstance(named, dict) and named and all(isinstance(part, dict) for part in named.values())):
            refuse(f"{key} must be a mapping of names to settings, not {named!r}")
    return [
        run
        for arm, settings in grid.get("arms", {"": {}}).items()
        for task, more in grid.get("tasks", {"": {}}).items()
        for run in _combinations(merged(common, more, settings), full_name(str(arm), str(task)), claim)
    ]


def full_name(arm: str, task: str) -> str:
    """Return the name of an arm in a task, which may be empty where there is but one."""
    return f"{arm}, {task}" if arm and task else arm or task


def merged(*settings: dict[str, Any]) -> dict[str, Any]:
    """Join settings, of which the later ones hold; those that are mappings are joined name by name."""
    joined: dict[str, Any] = {}
    for part in settings:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(joined.get(key), dict)
            joined[key] = {**joined[key], **value} if both else value
    return joined


def _combinations(grid: dict[str, Any], arm: str, claim: str) -> list[Run]:
    for key in grid:
        check_name("key of the sweep", str(key), (*AXES, *GROUPS, *SETTINGS, *NAMED))
    settings = {**SETTINGS, **grid}
    _check_settings(settings)
    axes = {**DEFAULTS, **{key: grid[key] for key in AXES if key in grid}}
    for group in GROUPS:
        if not isinstance(grid.get(group, {}), dict):
            refuse(f"{group} must be a mapping of names to values, not {grid[group]!r}")
        axes |= {f"{group}.{name}": value for name, value in grid.get(group, {}).items()}
    seeds = settings["seeds"]
    axes["seed"] = list(range(1, seeds + 1)) if isinstance(seeds, int) else seeds
    values = [list(map(_number, value if isinstance(value, list) else [value])) for value in axes.values()]
    if empty := [name for name, choices in zip(axes, values, strict=True) if not choices]:
        refuse(f"{empty[0]} must have at least one value, not []")
    found = [dict(zip(axes, choice, strict=True)) for choice in product(*values)]
    named, needs = {"arm": arm} if arm else {}, (settings["cpus"], settings["gpus"], settings["retries"])
    return [Run(named | combination, _flags(combination, settings), *needs, claim) for combination in found]


def _check_settings(settings: dict[str, Any]) -> None:
    flags = settings["flags"]
    if not (isinstance(flags, list) and all(isinstance(flag, str) for flag in flags)):
        refuse(f"flags must be a list of words of `train`'s command line, not {flags!r}")
    if own := [flag for flag in flags if flag.partition("=")[0] in OWN_FLAGS]:
        refuse(f"flags must not hold {own[0]}, which the sweep sets by its own keys")
    try:
        check_integer("retries", settings["retries"], 0)
        for key, least in (("cpus", 0.01), ("gpus", 0)):
            if check_number(key, settings[key], least) > 1:  # Ray shares out parts of one, and no others
                check_integer(key, settings[key], 1)
    except (TypeError, ValueError) as error:
        refuse(str(error))


def _number(value: Any) -> Any:
    """Return the number that YAML takes for a word: 1e-3, without a point."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value) else value


def _flags(combination: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    flags = [word for key in AXES if key in combination for word in (f"--{key}", str(combination[key]))]
    for group, flag in GROUPS.items():
        pairs = [(name.partition(".")[2], value) for name, value in combination.items() if name.startswith(f"{group}.")]
        flags += [flag, *(f"{name}:{value!r}" for name, value in pairs)] if pairs else []  # `train` evaluates it
    if (steps := _number(settings["n_timesteps"])) is not None:
        flags += ["-n", f"{steps:.0f}" if isinstance(steps, float) else str(steps)]
    device = ["--device", "cuda" if settings["gpus"] else "cpu"]
    return [*flags, *device, *settings["flags"], "--seed", str(combination["seed"])]


def check_runs(runs: list[Run]) -> None:
    """Raise `UsageError` where `train` would refuse a name, or the environment or the core an argument."""
    from plastic_rl.cores.registry import check_core
    from plastic_rl.scripts.zoo import options

    options.register_algorithms()
    wanted = [options.parse(run.argv) for run in runs]
    for args in {str((a.env, a.env_kwargs, a.core, a.core_kwargs)): a for a in wanted}.values():
        try:
            if args.core:
                check_core(args.core, args.core_kwargs)
        except (TypeError, ValueError) as error:
            refuse(str(error))
        if args.env_kwargs or args.env.startswith("plastic_rl/"):  # others' may want what a hyperparameter file says
            check_environment(args.env, args.env_kwargs or {})


def check_environment(env_id: str, env_kwargs: dict[str, Any]) -> None:
    """Raise `UsageError` where an environment cannot be made, without its data set, say."""
    try:
        gym.make(env_id, **env_kwargs).close()
    except (TypeError, ValueError, FileNotFoundError, gym.error.Error) as error:
        refuse(f"{env_id} cannot be made: {error}")
