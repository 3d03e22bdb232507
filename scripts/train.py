"""Train a policy.

    plastic-rl train                                    PlasticPPO in the maze
    plastic-rl train --env plastic_rl/CueReward-v0 --core lstm --core-kwargs hidden_size:48 -n 1e6 --seed 1 -P

    --algo NAME                    default: plastic_ppo; also plastic_a2c, plastic_bptt and those of Stable-Baselines3
    --env ID                       default: plastic_rl/Maze-v0; `plastic-rl list` shows all
    --env-kwargs NAME:VALUE        arguments of the environment, such as size:11
    --core NAME                    recurrent core, such as plastic, gru, lstm, or my_module:MyCore
    --core-kwargs NAME:VALUE       arguments of the core, such as hidden_size:100
    -params NAME:VALUE             hyperparameters in place of the file's, such as n_steps:100 gamma:0.9
    -conf FILE                     hyperparameter file; default: the one of the algorithm in this package
    -n STEPS                       environment steps, such as 1e6; default: the file's
    --seed N                       default: a random one
    -P                             show a progress bar
    -f, --log-folder FOLDER        where the run folder goes; default: runs
    -tb FOLDER                     where TensorBoard's events go; default: runs/tb
    --device NAME                  cpu or cuda; default: auto
    --num-threads N                default: 1, the fastest for networks of this size
    --gym-packages MODULE          modules to import, which register environments
    -i, --trained-agent FILE       go on training a saved model, a .zip file
    --resume RUN                   go on from the last checkpoint of a run that was stopped or killed
    --checkpoint-seconds S         time between checkpoints; default: 60; 0: after every rollout; -1: none
    --eval-freq N                  evaluate every N steps; default: -1, not at all
    -optimize --n-trials N         search hyperparameters with Optuna
    --help-all                     every option, with all those of RL Baselines3 Zoo

`torchrun --nproc-per-node N -m plastic_rl.scripts.train ...` is one training by N processes: see docs/sweeps.md.
"""

import ctypes
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress

from plastic_rl.scripts import command
from plastic_rl.scripts.runs.process import PARENT


@command
def main(argv: Sequence[str]) -> None:
    """Train as the command line says."""
    _end_with_parent()
    _keep_freed_memory()
    if "-h" in argv or "--help" in argv:
        return print(__doc__)
    from plastic_rl.agents import distributed
    from plastic_rl.scripts.zoo import manager, options

    options.register_algorithms()
    if "--help-all" in argv:
        return options.make_parser().print_help()
    args = options.parse(argv)
    with distributed.process_group(), open(os.devnull, "w") as nowhere:
        if distributed.world_size() > 1:  # one seed for all, from which each takes its own
            args.seed = args.seed if args.seed >= 0 else random.randrange(2**32 - 1)
            args = distributed.broadcast_object(args)
        args.rank, args.world_size = distributed.rank(), distributed.world_size()
        with redirect_stdout(nowhere if args.rank > 0 else sys.stdout):
            manager.train(args)


def _end_with_parent() -> None:
    """In a process that a sweep started: be killed when the one that started it is gone.

    Otherwise it would go on beside its successor, and both would write into one run folder. On Linux only.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != int(parent):  # it went before
        os.kill(os.getpid(), signal.SIGKILL)


def _keep_freed_memory() -> None:
    """Let freed memory be used again instead of giving it back to the system, which clears every page of it anew.

    A training allocates and frees the same tens of megabytes at each of its steps: with convolutions a third of its
    time went into that. Does nothing where the C library is not glibc.
    """
    trim_threshold, mmap_max = -1, -4  # of glibc's malloc.h
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, -1)


if __name__ == "__main__":
    main()
