"""The reference with its memory cut to the square root: any rule, any device, any dtype."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from plastic_rl.ops.arguments import ScanArguments, State
from plastic_rl.ops.reference import scan_steps


def scan(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run the layer over a sequence with the state kept every ~sqrt(T) steps and recomputed between in the backward.

    The tensors alive take O(sqrt(T) * B * K * N), the time is a third to a half more than the reference's. On the CPU,
    some versions of glibc do not reuse what is freed here and the process grows with T all the same; to start it with
    MALLOC_MMAP_THRESHOLD_=1048576 in the environment helps.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    return in_segments(partial(scan_steps, arguments), arguments.state, arguments.drive.shape[0])


def in_segments(
    run: Callable[[State, int, int], tuple[Tensor, State]], state: State, n_steps: int, random: bool = False
) -> tuple[Tensor, State]:
    """Run a recurrent function over a sequence in segments of ~sqrt(T) steps, each run again in the backward.

    Args:
        run: `run(state, begin, end)` runs steps `begin` to `end` (exclusive) and returns their outputs, (end - begin,
            ...), and the state after them.
        state: before the first step.
        n_steps: T.
        random: whether it draws random numbers, which must be the same when it runs again.

    Returns:
        The outputs (T, ...), and the state after the last step.
    """
    if not torch.is_grad_enabled() or n_steps < 2:
        return run(state, 0, n_steps)
    length = math.ceil(math.sqrt(n_steps))
    pieces = []
    for begin in range(0, n_steps, length):
        end = min(begin + length, n_steps)
        piece, state = checkpoint(run, state, begin, end, use_reentrant=False, preserve_rng_state=random)
        pieces.append(piece)
    return torch.cat(pieces), state
