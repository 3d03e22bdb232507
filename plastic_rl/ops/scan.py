"""Which backend runs a scan. The one place in the project that knows backends exist."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from plastic_rl.ops import recompute, reference
from plastic_rl.ops.arguments import ScanArguments, checked_arguments, compute_dtype
from plastic_rl.ops.cpu import backend as numba_backend
from plastic_rl.ops.cpu import step as stepping
from plastic_rl.ops.cuda import backend as triton_backend
from plastic_rl.ops.rules import Rule, get_rule

State = tuple[Tensor, ...]
ENVIRONMENT_VARIABLE = "PLASTIC_RL_BACKEND"


class Backend(NamedTuple):
    """One way to run a scan.

    `obstacle` says why it cannot run these arguments, or returns None. `step`, if it has one, advances one step
    without gradients and may write into the traces it is given.
    """

    scan: Callable[[ScanArguments], tuple[Tensor, State]]
    obstacle: Callable[[ScanArguments], str | None]
    step: Callable[[ScanArguments], tuple[Tensor, State]] | None = None


def _none(arguments: ScanArguments) -> str | None:
    return None


# In order of preference: the first without an obstacle is chosen. The reference is chosen by name only.
BACKENDS: dict[str, Backend] = {
    "numba": Backend(numba_backend.scan, numba_backend.obstacle, stepping.step),
    "triton": Backend(triton_backend.scan, triton_backend.obstacle, reference.scan),
    "recompute": Backend(recompute.scan, _none),
    "reference": Backend(reference.scan, _none),
}


def check_backend(backend: str | None, source: str = "backend") -> str | None:
    """Return the name of a backend, or None for the fastest.

    Raises:
        ValueError: no backend has that name.
    """
    if backend is not None and not (isinstance(backend, str) and backend in BACKENDS):
        raise ValueError(f"{source} must be one of {', '.join(BACKENDS)}, not {backend!r}")
    return backend


def choose_backend(arguments: ScanArguments, backend: str | None = None) -> Backend:
    """Return the backend that was asked for, or else the fastest that can run the arguments.

    Args:
        arguments: what is to be run.
        backend: a name; by default the environment variable PLASTIC_RL_BACKEND, and without it the first that can.

    Raises:
        ValueError: no backend has that name, or it cannot run these arguments; the message says why.
    """
    asked, source = backend, "backend"
    if asked is None and os.environ.get(ENVIRONMENT_VARIABLE):
        asked, source = os.environ[ENVIRONMENT_VARIABLE], f"environment variable {ENVIRONMENT_VARIABLE}"
    if asked is None:
        return next(candidate for candidate in BACKENDS.values() if candidate.obstacle(arguments) is None)
    check_backend(asked, source)
    obstacle = BACKENDS[asked].obstacle(arguments)
    if obstacle is not None:
        raise ValueError(f"{source} {asked!r} cannot be used here: {obstacle}")
    return BACKENDS[asked]


def plastic_scan(
    drive: Tensor,
    weight: Tensor,
    alpha: Tensor | None,
    eta: Tensor | None,
    state: State,
    episode_starts: Tensor,
    rule: str | Rule = "decay",
    parameters: Mapping[str, Tensor] | None = None,
    backend: str | None = None,
    layer_norm: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, State]:
    """Run a plastic layer over a whole sequence.

    At each step the state is zeroed where an episode starts; then, with `pre` the activity of the step before,

        received[b, j] = drive[t, b, j] + sum_i pre[b, i] * (weight[i, j] + alpha[i, j] * trace[b, i, j])
        post[b, j] = tanh(received[b, j])

    and the rule writes the traces from `pre` and `post`. With `layer_norm`, and mean and variance over the sample's N
    neurons at the step,

        post[b, j] = tanh(gain[j] * (received[b, j] - mean[b]) / sqrt(variance[b] + 1e-5) + bias[j])

    Differentiable in every floating-point argument, from the
    activity and from the final state.

    Args:
        drive: (T, B, N) input to the neurons, floating point. With bfloat16 or float16 the scan computes in float32 and
            returns a float32 state.
        weight: (N, N) from presynaptic row to postsynaptic column.
        alpha: (N, N) plasticity of each connection, () one for all, or None for a layer that is not plastic.
        eta: () or (N,) plasticity rate of each postsynaptic neuron, meant to lie in [0, 1]; None for a rule without.
        state: before the first step: activity (B, N), then a (B, N, N) tensor for each of the rule's traces. With
            `alpha=None` the activity alone.
        episode_starts: (T, B) bool.
        rule: `"decay"`, `"oja"`, `"neuromodulated"`, `"retroactive"`, or a `Rule` of one's own.
        parameters: the rule's tensors by name. `neuromodulated` and `retroactive` take `modulation_weight` (N,),
            `modulation_bias` () and optionally `fan_out` (N,).
        backend: a name to force one; by default PLASTIC_RL_BACKEND, and without it the fastest that can.
        layer_norm: gain and bias, (N,) each, of a layer that normalises what its neurons receive; None for one that
            does not.

    Returns:
        Activity (T, B, N), and the state after the last step in the form of `state`.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend cannot run this; the message says which.
        TypeError: an argument is of the wrong type.

    Source: Miconi, Clune & Stanley (2018), equations 1 to 3; Miconi et al. (2019), equations 3 to 5; Ba, Kiros & Hinton
    (2016), "Layer normalization", for `layer_norm`.
    """
    arguments = checked_arguments(
        drive, weight, alpha, eta, state, episode_starts, get_rule(rule), parameters, layer_norm
    )
    arguments = arguments.cast(compute_dtype(drive.dtype))
    chosen = choose_backend(arguments, backend)
    if drive.shape[0] == 0:
        return drive.clone(), tuple(s.clone() for s in arguments.state)
    # Mixed precision would round the weights and the trace's read, and the backends would no longer agree.
    with torch.autocast(drive.device.type, enabled=False):
        activity, state = chosen.scan(arguments)
    return activity.to(drive.dtype), state


@torch.no_grad()
def plastic_step(
    drive: Tensor,
    weight: Tensor,
    alpha: Tensor | None,
    eta: Tensor | None,
    state: State,
    episode_starts: Tensor,
    rule: str | Rule = "decay",
    parameters: Mapping[str, Tensor] | None = None,
    backend: str | None = None,
    layer_norm: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, State]:
    """Advance a plastic layer by one step without gradients, as a rollout does.

    Args:
        drive: (B, N).
        weight: (N, N).
        alpha: (N, N), () or None.
        eta: (), (N,) or None.
        state: as in `plastic_scan`. Not to be used afterwards: its traces may have been updated in place.
        episode_starts: (B,) bool.
        rule: as in `plastic_scan`.
        parameters: as in `plastic_scan`.
        backend: as in `plastic_scan`.
        layer_norm: as in `plastic_scan`.

    Returns:
        Activity (B, N) and the state after the step.

    Raises:
        ValueError: as `plastic_scan`.
        TypeError: as `plastic_scan`.
    """
    if isinstance(drive, Tensor) and drive.dim() != 2:
        raise ValueError(f"drive must have shape (B, N), not {tuple(drive.shape)}")
    sequence, starts = (x.unsqueeze(0) if isinstance(x, Tensor) else x for x in (drive, episode_starts))
    arguments = checked_arguments(sequence, weight, alpha, eta, state, starts, get_rule(rule), parameters, layer_norm)
    arguments = arguments.cast(compute_dtype(drive.dtype))
    chosen = choose_backend(arguments, backend)
    with torch.autocast(drive.device.type, enabled=False):
        activity, state = (chosen.step or chosen.scan)(arguments)
    return activity[0].to(drive.dtype), state
