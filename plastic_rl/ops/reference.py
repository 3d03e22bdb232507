"""The definition of the scan: a plain autograd loop over the rule. Every other backend is tested against it."""

import torch
from torch import Tensor
from torch.nn import functional

from plastic_rl.ops.arguments import ScanArguments, State

EPSILON = 1e-5  # added to the variance that layer normalization divides by, as in torch


def scan(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run the layer over a sequence, keeping everything that autograd wants: O(T * B * K * N) memory.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    return scan_steps(arguments, arguments.state, 0, arguments.drive.shape[0])


def scan_steps(arguments: ScanArguments, state: State, begin: int, end: int) -> tuple[Tensor, State]:
    """Run steps `begin` to `end` (exclusive) from a state; see `scan`."""
    activity = []
    for t in range(begin, end):
        post, state = advance(arguments, state, t)
        activity.append(post)
    return (torch.stack(activity) if activity else torch.empty_like(arguments.drive[begin:end])), state


def advance(arguments: ScanArguments, state: State, t: int) -> tuple[Tensor, State]:
    """Return the activity (B, N) of step t, and the state after it.

    The state is zeroed by selection: an infinite trace times zero would stay NaN for good.
    """
    a, starts = arguments, arguments.episode_starts[t]
    state = tuple(torch.where(starts.view(-1, *[1] * (s.dim() - 1)), torch.zeros_like(s), s) for s in state)
    if a.query is None or a.key is None:
        query = key = state[0]
        traces = state[1:]
    else:
        query, key, traces = a.query[t], a.key[t], state
    if a.alpha is None:
        post = activate(a, a.drive[t] + query @ a.weight)
        return post, (post,) if a.recurrent else ()
    connection = a.weight + a.alpha * traces[0]
    post = activate(a, a.drive[t] + (query.unsqueeze(1) @ connection).squeeze(1))
    parameters = a.parameters if a.modulation is None else {**a.parameters, "modulation": a.modulation[t]}
    traces = a.rule.step(traces, key, post, a.eta, parameters)
    return post, (post, *traces) if a.recurrent else traces


def activate(arguments: ScanArguments, received: Tensor) -> Tensor:
    """Return the activity of neurons that received (B, N), normalized first if the layer normalizes."""
    if arguments.gain is not None:
        received = functional.layer_norm(received, received.shape[1:], arguments.gain, arguments.bias, EPSILON)
    return torch.tanh(received)
