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

import os
import random
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

from plastic_rl.scripts import command
from plastic_rl.scripts.runs.process import end_with_parent, keep_freed_memory


@command
def main(argv: Sequence[str]) -> None:
    """Train as the command line says."""
    end_with_parent()
    keep_freed_memory()
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


if __name__ == "__main__":
    main()
