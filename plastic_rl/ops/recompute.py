"""The reference with its memory cut to the square root: any rule, any device, any dtype."""

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from plastic_rl.ops.arguments import ScanArguments
from plastic_rl.ops.reference import State, scan_steps


def scan(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run the layer over a sequence with the state kept every ~sqrt(T) steps and recomputed between in the backward.

    The tensors alive take O(sqrt(T) * B * N^2), the time is a third to a half more than the reference's. On the CPU,
    some versions of glibc do not reuse what is freed here and the process grows with T all the same; to start it with
    MALLOC_MMAP_THRESHOLD_=1048576 in the environment helps.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    n_steps = arguments.drive.shape[0]
    if not torch.is_grad_enabled() or n_steps < 2:
        return scan_steps(arguments, arguments.state, 0, n_steps)
    length = math.ceil(math.sqrt(n_steps))
    state, pieces = arguments.state, []
    for begin in range(0, n_steps, length):
        end = min(begin + length, n_steps)
        activity, state = checkpoint(
            scan_steps, arguments, state, begin, end, use_reentrant=False, preserve_rng_state=False
        )
        pieces.append(activity)
    return torch.cat(pieces), state
