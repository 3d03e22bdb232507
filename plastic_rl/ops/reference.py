"""The definition of the scan: a plain autograd loop over the rule. Every other backend is tested against it."""

import torch
from torch import Tensor
from torch.nn import functional

from plastic_rl.ops.arguments import ScanArguments

State = tuple[Tensor, ...]
EPSILON = 1e-5  # added to the variance that layer normalisation divides by, as in torch


def scan(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run the layer over a sequence, keeping everything that autograd wants: O(T * B * N^2) memory.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    return scan_steps(arguments, arguments.state, 0, arguments.drive.shape[0])


def scan_steps(arguments: ScanArguments, state: State, begin: int, end: int) -> tuple[Tensor, State]:
    """Run steps `begin` to `end` (exclusive) from a state; see `scan`."""
    activity = []
    for t in range(begin, end):
        state = advance(arguments, arguments.drive[t], state, arguments.episode_starts[t])
        activity.append(state[0])
    return (torch.stack(activity) if activity else torch.empty_like(arguments.drive[begin:end])), state


def advance(arguments: ScanArguments, drive: Tensor, state: State, episode_starts: Tensor) -> State:
    """Return the state after one step with drive (B, N) and episode_starts (B,).

    The state is zeroed by selection: an infinite trace times zero would stay NaN for good.
    """
    pre, *traces = (torch.where(_like(episode_starts, s), torch.zeros_like(s), s) for s in state)
    if arguments.alpha is None:
        return (activate(arguments, drive + pre @ arguments.weight),)
    connection = arguments.weight + arguments.alpha * traces[0]
    post = activate(arguments, drive + (pre.unsqueeze(1) @ connection).squeeze(1))
    return (post, *arguments.rule.step(tuple(traces), pre, post, arguments.eta, arguments.parameters))


def activate(arguments: ScanArguments, received: Tensor) -> Tensor:
    """Return the activity of neurons that received (B, N), normalised first if the layer normalises."""
    if arguments.gain is not None:
        received = functional.layer_norm(received, received.shape[1:], arguments.gain, arguments.bias, EPSILON)
    return torch.tanh(received)


def _like(episode_starts: Tensor, tensor: Tensor) -> Tensor:
    return episode_starts.view(-1, *[1] * (tensor.dim() - 1))
