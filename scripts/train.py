"""Train a policy."""

import ctypes
import os
import random
import signal
import sys
from contextlib import redirect_stdout, suppress
from importlib.resources import files

from plastic_rl.scripts import command
from plastic_rl.scripts.runs.process import PARENT


@command
def main(argv: list[str]) -> None:
    """Train as the command line says."""
    _end_with_parent()
    _keep_freed_memory()
    if "-h" in argv or "--help" in argv:
        return print(files("plastic_rl.scripts.zoo").joinpath("train.txt").read_text())
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
    """In a process that a sweep started: be killed with it, and not write into one run folder with a successor."""
    parent = os.environ.pop(PARENT, None)
    if parent is not None and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: set the signal that its parent's death sends
        if os.getppid() != int(parent):  # it went before
            os.kill(os.getpid(), signal.SIGKILL)


def _keep_freed_memory() -> None:
    """Use freed memory again: the system clears every page anew, a third of the time of a training of convolutions."""
    with suppress(OSError, AttributeError):  # another C library than glibc
        for parameter, value in ((-4, 0), (-1, -1)):  # the most mmaps, and the trim threshold, in glibc's malloc.h
            ctypes.CDLL("libc.so.6").mallopt(parameter, value)


if __name__ == "__main__":
    main()
