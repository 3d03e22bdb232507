"""The options of `train`: RL Baselines3 Zoo's own parser, with our options, defaults and checks in it."""

import argparse
import ast
import inspect
import os
import pkgutil
import re
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import rl_zoo3
import rl_zoo3.exp_manager
import rl_zoo3.train
from rl_zoo3.hyperparams_opt import HYPERPARAMS_CONVERTER, HYPERPARAMS_SAMPLER

from plastic_rl import agents
from plastic_rl.arguments import LARGEST, check_flag, check_integer, check_name, check_number, suggestion
from plastic_rl.scripts import CommandParser, refuse, whole_number
from plastic_rl.scripts.runs.file import COMMAND, RunFileError, evaluated, read_command
from plastic_rl.scripts.runs.folder import ALGORITHMS, OURS
from plastic_rl.scripts.zoo.search import found_hyperparams, sample_hyperparams

DEFAULTS = {
    "--algo": "plastic_ppo",
    "--env": "plastic_rl/Maze-v0",
    "--log-folder": "runs",
    "--tensorboard-log": "runs/tb",
    "--num-threads": 1,
    "--eval-freq": -1,
    "--verbose": None,  # 0 beside a progress bar, which tables would tear
}
# What an expression in a hyperparameter file or on the command line may name: what it may in the Zoo, and our classes.
NAMES = {**vars(rl_zoo3.exp_manager), **vars(rl_zoo3.utils), "agents": agents}
SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")
ZOO_KEYS = ("normalize", "n_envs", "n_timesteps", "env_wrapper", "vec_env_wrapper", "frame_stack", "callback",
            "monitor_kwargs", "env_kwargs")  # fmt: skip
RESUMED_WITH = ("--progress", "--verbose", "--num-threads")  # options that may stand beside --resume
TORCHRUN = "torchrun_id"


def register_algorithms() -> None:
    """Put our algorithms into the Zoo's tables, which all of its commands share."""
    for name in OURS:
        rl_zoo3.ALGOS[name] = pkgutil.resolve_name(ALGORITHMS[name])
        HYPERPARAMS_SAMPLER[name] = sample_hyperparams
        HYPERPARAMS_CONVERTER[name] = found_hyperparams  # type: ignore[assignment]


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line of `train`, and check it as far as that is possible before anything is made.

    `resume` is the run folder to go on with, or None; `began` the command line that began the run.
    """
    parser, began, beside = make_parser(), list(argv), []
    args = parser.parse_args(began)
    if args.resume is None:
        args.resume = _unfinished_run(began, args.log_folder)
    else:
        beside = began
        changed = [a.option_strings[-1] for a in parser.actions() if getattr(args, a.dest) != a.default]
        if wrong := [option for option in changed if option not in ("--resume", *RESUMED_WITH)]:
            may = ", ".join(RESUMED_WITH)
            refuse(f"--resume goes on with the run's own settings; beside it stand only {may}, not {wrong[0]}")
    if (run := args.resume) is not None:
        began = _read_command(run)
        args = parser.parse_args([*began, *beside])
        args.resume = run
    args.began = began
    args.verbose = args.verbose if args.verbose is not None else int(not args.progress)
    _check(args)
    return args


class TrainParser(CommandParser):
    """The Zoo's parser: it declares its options here, some of which get another default or a check."""

    def add_argument(self, *flags: str, **how: Any) -> Any:
        """Add an option as the Zoo says, but with our default, if there is one."""
        name = flags[-1]
        if name in DEFAULTS:
            how["default"] = DEFAULTS[name]
        if name == "--algo":  # `parse` suggests the nearest
            how.pop("choices", None)
        if name in ("--n-timesteps", "--n-eval-envs"):
            how["type"] = whole_number
        if how.get("action") is rl_zoo3.train.StoreDict:
            how["action"] = StorePairs
        return super().add_argument(*flags, **how)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an option that is not known is said with the nearest one."""
        found, more = self.parse_known_args(args, namespace)
        if more:
            flag = more[0].partition("=")[0]
            known = [name for action in self.actions() for name in action.option_strings]
            refuse(f"option {flag!r} is not known; {suggestion(flag, known)}" if flag.startswith("-")
                   else f"unrecognized arguments: {' '.join(more)}")  # fmt: skip
        return found

    def actions(self) -> list[argparse.Action]:
        """Return all options but `--help`."""
        return [action for action in self._actions if action.dest != "help"]


class StorePairs(argparse.Action):
    """Stores `NAME:VALUE` pairs as a dict; values are Python expressions, but for a core also plain words."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Evaluate the pairs, each once."""
        option, found = self.option_strings[-1], {}
        for pair in values:
            key, colon, value = pair.partition(":")
            if not (colon and key.isidentifier()):
                refuse(f"{option} takes NAME:VALUE pairs such as hidden_size:100, not {pair!r}")
            try:
                found[key] = ast.literal_eval(value)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                try:
                    found[key] = value if self.dest == "core_kwargs" else evaluated(value, NAMES)
                except ValueError as error:
                    refuse(f"{option} {key}: {error}; quote strings: {key}:\"'...'\"")
        setattr(namespace, self.dest, found)


@cache
def make_parser() -> TrainParser:
    """Return the parser. The Zoo makes its own inside of a function, so this calls it up to where it would parse."""
    parser = TrainParser("train", allow_abbrev=False)
    declared = SimpleNamespace(ArgumentParser=lambda: parser)
    here = patch.object(parser, "parse_args", side_effect=StopIteration)
    with patch.object(rl_zoo3.train, "argparse", declared), here, suppress(StopIteration):
        rl_zoo3.train.train()
    parser.add_argument("--core", help="plastic, gru, lstm, ..., or my_module:MyCore; `plastic-rl list cores`")
    parser.add_argument("--core-kwargs", nargs="+", action=StorePairs, default={}, metavar="NAME:VALUE",
                        help="arguments of the core, such as hidden_size:100 rule:oja")  # fmt: skip
    parser.add_argument("--resume", metavar="RUN", help="go on from the last checkpoint of a run that was stopped")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0, metavar="S",
                        help="time between checkpoints; 0: after every rollout; -1: none")  # fmt: skip
    return parser


def _check(args: argparse.Namespace) -> None:
    """Refuse names that are not known and values that cannot be; of their own values, environment and core say so."""
    for package in args.gym_packages:
        try:
            import_module(package)
        except ImportError as error:
            refuse(f"--gym-packages {package!r} cannot be imported: {error}")
    check_name("algorithm", args.algo, rl_zoo3.ALGOS)
    check_name("environment", args.env, gym.registry)
    known = known_hyperparams(args.algo)
    for name in args.hyperparams or {}:
        check_name("hyperparameter", name, known)
    if (args.core or args.core_kwargs) and args.algo not in OURS:
        refuse(f"--core is for {', '.join(OURS)}; {args.algo} has none")
    if args.seed >= 2**32:
        refuse(f"--seed must be below 2**32, or negative for a random one, not {args.seed}")
    if args.trained_agent and not (args.trained_agent.endswith(".zip") and Path(args.trained_agent).is_file()):
        refuse(f"--trained-agent must be a .zip file, not {args.trained_agent!r}")
    if args.track and find_spec("wandb") is None:
        refuse("--track needs wandb: pip install wandb")


def known_hyperparams(algo: str) -> list[str]:
    """Return the names that `--hyperparams` may set: the algorithm's arguments and the Zoo's own keys."""
    return sorted({*inspect.signature(rl_zoo3.ALGOS[algo]).parameters, *ZOO_KEYS} - {"env", "_init_setup_model"})


def check_settings(settings: Any) -> None:
    """Check those settings of an environment that the Zoo does not, and evaluate those that are strings of Python."""
    if not (isinstance(settings, dict) and all(isinstance(key, str) for key in settings)):
        raise TypeError(f"those of an environment must be names with values, not {settings!r}")
    check_number("n_timesteps", settings.get("n_timesteps"), 1)
    check_integer("n_envs", settings.get("n_envs", 1), 1)
    if settings.get("frame_stack") is not None:
        check_integer("frame_stack", settings["frame_stack"], 1, 1000)
    for name in SCHEDULES:
        if isinstance(value := settings.get(name), str):
            if not re.fullmatch(r"lin_\d+\.?\d*([eE][+-]?\d+)?", value):
                raise ValueError(f"{name} must be a number, or lin_ and a number, as in lin_3e-4, not {value!r}")
            check_number(name, float(value[4:]), 0, LARGEST)
    dicts = ["env_kwargs", "monitor_kwargs", "policy_kwargs"]
    if isinstance(settings.get("normalize", False), dict | str):
        dicts.append("normalize")
    else:
        check_flag("normalize", settings.get("normalize", False))
    for name in [name for name in dicts if name in settings]:
        settings[name] = evaluated(settings[name], NAMES)
        if not isinstance(settings[name], dict):
            raise TypeError(f"{name} must be a dict, or a string of Python that is one, not {settings[name]!r}")


def _unfinished_run(argv: list[str], log_folder: str) -> str | None:
    """Return the run folder that this `torchrun`, or one of its `--rdzv-id`, began with this command line."""
    if (name := os.environ.get("TORCHELASTIC_RUN_ID")) is None:
        return None
    found = [file for file in Path(log_folder).glob(f"*/*/*/{TORCHRUN}") if file.read_text() == name]
    runs = [str(file.parents[1]) for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)]
    return next((run for run in runs if _read_command(run)[: len(argv)] == argv), None)


def _read_command(run: str) -> list[str]:
    """Return the command line that began a run, whose hyperparameters are Python expressions."""
    found = sorted(Path(run).glob(f"*/{COMMAND}"))
    if not found:
        refuse(f"--resume {run!r} is no run folder that can go on: it holds no */{COMMAND}")
    try:
        return read_command(found[0].parent)
    except RunFileError as error:
        refuse(f"--resume {run!r}: {error}")
