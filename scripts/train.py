"""Train a policy: `python -m plastic_rl.scripts.train --algo plastic_ppo --env plastic_rl/Maze-v0 -P`.

Every option of RL Baselines3 Zoo's `train` works, for our algorithms and for its own. Added or different here:

    --core NAME               recurrent core: plastic, homogeneous, rnn, gru, lstm, ..., or my_module:MyCore
    --core-kwargs KEY:VALUE   arguments of the core, such as hidden_size:100 rule:oja
    --resume RUN              go on from the last checkpoint of a run that was stopped or killed
    --checkpoint-seconds S    time between checkpoints; default: 60; 0: after every rollout; -1: none
    -f, --log-folder          default: runs
    -tb, --tensorboard-log    default: runs/tb
    --num-threads             default: 1, the fastest for networks of this size
    --eval-freq               default: -1, no evaluation while training

`torchrun --nproc-per-node N -m plastic_rl.scripts.train ...` is one training by N processes, each of which takes its
part of the environments and of a minibatch: see docs/sweeps.md.
"""

import argparse
import ast
import os
import random
import sys
from contextlib import redirect_stdout
from typing import Any

from plastic_rl.scripts.names import check_name, refuse
from plastic_rl.scripts.runs.process import end_with_parent
from plastic_rl.scripts.zoo.allocator import keep_freed_memory
from plastic_rl.scripts.zoo.resume import check_allowed, read_command, unfinished_run

DEFAULTS = {
    "--algo": "plastic_ppo",
    "--env": "plastic_rl/Maze-v0",
    "--log-folder": "runs",
    "--tensorboard-log": "runs/tb",
    "--num-threads": "1",
    "--eval-freq": "-1",
}
SHORT = {"-f": "--log-folder", "-tb": "--tensorboard-log"}


class StoreSettings(argparse.Action):
    """Store `key:value` pairs as a dict; a value that is no Python literal is a string."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Store the pairs."""
        setattr(namespace, self.dest, dict(_setting(value) for value in values))


def _setting(text: str) -> tuple[str, Any]:
    key, colon, value = text.partition(":")
    if not colon:
        refuse(f"--core-kwargs takes KEY:VALUE pairs such as hidden_size:100, not {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def own_parser() -> argparse.ArgumentParser:
    """Return a parser of what this command adds to the Zoo's, and of the names that are checked first."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--core")
    parser.add_argument("--core-kwargs", nargs="+", action=StoreSettings, default={})
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    parser.add_argument("--resume", metavar="RUN")
    return parser


def check_names(argv: list[str], core: str | None, core_kwargs: dict[str, Any]) -> None:
    """Leave with one line and exit code 2 where a name on the command line is not known.

    Args:
        argv: the Zoo's command line.
        core: as `--core` says.
        core_kwargs: as `--core-kwargs` says.
    """
    import gymnasium as gym
    import rl_zoo3

    from plastic_rl.cores import core_arguments
    from plastic_rl.scripts.zoo.manager import ALGORITHMS, known_hyperparams

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--algo", default=DEFAULTS["--algo"])
    parser.add_argument("--env", default=DEFAULTS["--env"])
    parser.add_argument("--gym-packages", nargs="+", default=[])
    parser.add_argument("-params", "--hyperparams", nargs="+", default=[])
    parser.add_argument("-conf", "--conf-file", default=None)
    names, _ = parser.parse_known_args(argv)
    for package in names.gym_packages:
        try:
            __import__(package)
        except ImportError as error:
            refuse(f"--gym-packages {package!r} cannot be imported: {error}")
    check_name("algorithm", names.algo, rl_zoo3.ALGOS)
    check_name("environment", names.env, gym.registry)
    for pair in names.hyperparams:
        key, _, value = pair.partition(":")
        check_name("hyperparameter", key, known_hyperparams(names.algo))
        try:
            eval(value)  # as the Zoo will
        except Exception:
            refuse(f"hyperparameter {key!r} must be a Python expression, not {value!r}; quote strings: {key}:\"'...'\"")
    if core is None and not core_kwargs:
        return
    if names.algo not in ALGORITHMS:
        refuse(f"--core is for {', '.join(ALGORITHMS)}; {names.algo} has none")
    try:
        known = core_arguments(core or "plastic")
    except ValueError as error:
        refuse(str(error))
    for name in core_kwargs:
        check_name("core argument", name, known)


def _command(argv: list[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Return our own options, the Zoo's command line, and the one that began the run."""
    own, more = own_parser().parse_known_args(argv)
    resume = own.resume
    if resume is not None:
        check_allowed(more)
        argv = [*read_command(resume), *more]
    elif (resume := unfinished_run(argv, DEFAULTS["--log-folder"])) is not None:
        argv = read_command(resume)
    own, zoo_argv = own_parser().parse_known_args(argv)
    own.resume = resume
    given = {SHORT.get(word, word).partition("=")[0] for word in zoo_argv}
    if given & {"-P", "--progress"} and "--verbose" not in given:
        zoo_argv += ["--verbose", "0"]  # tables would tear the progress bar
    zoo_argv = [part for name, value in DEFAULTS.items() if name not in given for part in (name, value)] + zoo_argv
    return own, zoo_argv, argv


def main(argv: list[str] | None = None) -> None:
    """Train as the command line says."""
    end_with_parent()
    keep_freed_memory()
    argv = sys.argv[1:] if argv is None else argv
    if "-h" in argv or "--help" in argv:
        print(__doc__)
    own, zoo_argv, argv = _command(argv)
    from plastic_rl.agents import distributed
    from plastic_rl.scripts.zoo import manager as zoo

    zoo.register_algorithms()
    check_names(zoo_argv, own.core, own.core_kwargs)
    with distributed.process_group(), open(os.devnull, "w") as nowhere:
        if distributed.world_size() > 1:  # one seed for all, from which each takes its own
            seed = ["--seed", str(random.randrange(2**32 - 1))]
            own, zoo_argv, argv = distributed.broadcast_object((own, [*seed, *zoo_argv], argv))
        settings = {"checkpoint_seconds": own.checkpoint_seconds, "resume": own.resume, "command": argv}
        with redirect_stdout(nowhere if distributed.rank() > 0 else sys.stdout):
            zoo.train(zoo_argv, own.core, own.core_kwargs, **settings)


if __name__ == "__main__":
    main()
