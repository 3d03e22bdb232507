"""`plastic_scan` and `plastic_step`, and which backend runs them. The one place that knows backends exist."""

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from plastic_rl.ops import cpu, cuda, recompute, reference
from plastic_rl.ops.arguments import MOST_FORMS, ScanArguments, State, checked_arguments, compute_dtype
from plastic_rl.ops.rules import Rule, get_rule

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
    "numba": Backend(cpu.scan, cpu.obstacle, cpu.step),
    "triton": Backend(cuda.scan, cuda.obstacle, reference.scan),
    "recompute": Backend(recompute.scan, _none),
    "reference": Backend(reference.scan, _none),
}


# What was chosen, by all that decides it. Looked up in place: a step of a rollout asks again each time.
_chosen: dict[tuple[Any, ...], Backend] = {}


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
    check_backend(asked, source)
    if asked is None:
        return next(candidate for candidate in BACKENDS.values() if candidate.obstacle(arguments) is None)
    obstacle = BACKENDS[asked].obstacle(arguments)
    if obstacle is not None:
        raise ValueError(f"{source} {asked!r} cannot be used here: {obstacle}")
    return BACKENDS[asked]


def _choose_once(choice: tuple[Any, ...], arguments: ScanArguments) -> Backend:
    """Choose a backend and remember it under a key of (backend, environment variable, form)."""
    backend, _, form = choice
    chosen = choose_backend(arguments, backend)
    if form is not None:
        if len(_chosen) >= MOST_FORMS:
            _chosen.clear()
        _chosen[choice] = chosen
    return chosen


def _own_precision(drive: Tensor) -> Any:
    """Return a context without autocast, which would round weights and reads, and backends would not agree."""
    if not isinstance(drive, Tensor):  # it is refused within
        return nullcontext()
    device = drive.device.type
    # To switch it off takes as long as a small matrix product, also where it is off.
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


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
    *,
    query: Tensor | None = None,
    key: Tensor | None = None,
    modulation: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Run a plastic layer over a whole sequence.

    At each step the state is zeroed where an episode starts. Then the presynaptic neurons are read, and the rule writes
    the traces from `key` and `post`:

        received[b, j] = drive[t, b, j] + sum_i query[t, b, i] * (weight[i, j] + alpha[i, j] * trace[b, i, j])
        post[b, j] = tanh(received[b, j])

    Without `query` the layer is recurrent, as in the paper: query and key are both the layer's own activity one step
    before. With `query` it reads and writes with neurons that are given for the same step. With `layer_norm`, and mean
    and variance over the sample's N neurons at the step,

        post[b, j] = tanh(gain[j] * (received[b, j] - mean[b]) / sqrt(variance[b] + 1e-5) + bias[j])

    Differentiable in every floating-point argument, from the activity and from the final state.

    Args:
        drive: (T, B, N) input to the neurons, floating point. With bfloat16 or float16 the scan computes in float32 and
            returns a float32 state.
        weight: (K, N) from presynaptic row to postsynaptic column; K = N in a recurrent layer.
        alpha: (K, N) plasticity of each connection, () one for all, or None for a layer that is not plastic.
        eta: () or (N,) plasticity rate of each postsynaptic neuron, meant to lie in [0, 1]; None for a rule without.
        state: before the first step: in a recurrent layer the activity (B, N), then a (B, K, N) tensor for each of the
            rule's traces unless `alpha` is None.
        episode_starts: (T, B) bool.
        rule: `"decay"`, `"oja"`, `"neuromodulated"`, `"retroactive"`, or a `Rule` of one's own.
        parameters: the rule's tensors by name. `neuromodulated` and `retroactive` take `modulation_weight` (N,) and
            `modulation_bias` (), unless `modulation` is given, and optionally `fan_out` (N,).
        backend: a name to force one; by default PLASTIC_RL_BACKEND, and without it the fastest that can.
        layer_norm: gain and bias, (N,) each, of a layer that normalizes what its neurons receive; None for one that
            does not.
        query: (T, B, K) presynaptic activity that reads the connections; None for a recurrent layer.
        key: (T, B, K) presynaptic activity that the rule writes with; by default `query`.
        modulation: (T, B) the neuromodulatory signal M(t), for a layer with `query` and a modulated rule; by default
            it is computed from the activity of the step.

    Returns:
        Activity (T, B, N), and the state after the last step in the form of `state`.

    Raises:
        ValueError: shapes, dtypes or devices do not agree, or the backend cannot run this; the message says which.
        TypeError: an argument is of the wrong type.

    Source: Miconi, Clune & Stanley (2018), equations 1 to 3; Miconi et al. (2019), equations 3 to 5; Ba, Kiros & Hinton
    (2016), "Layer normalization", for `layer_norm`.
    """
    with _own_precision(drive):
        arguments = checked_arguments(
            drive, weight, alpha, eta, state, episode_starts, get_rule(rule), parameters, layer_norm, query, key,
            modulation,
        ).cast(compute_dtype(drive.dtype))  # fmt: skip
        choice = (backend, os.environ.get(ENVIRONMENT_VARIABLE), arguments.form)
        chosen = _chosen.get(choice) or _choose_once(choice, arguments)
        if drive.shape[0] == 0:
            return drive.clone(), tuple(s.clone() for s in arguments.state)
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
    *,
    query: Tensor | None = None,
    key: Tensor | None = None,
    modulation: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Advance a plastic layer by one step without gradients, as a rollout does.

    Arguments are those of `plastic_scan` without the time dimension: `drive` (B, N), `query` and `key` (B, K),
    `modulation` and `episode_starts` (B,).

    Returns:
        Activity (B, N) and the state after the step. The state handed in must not be used afterwards: its traces may
        have been updated in place.

    Raises:
        ValueError: as `plastic_scan`.
        TypeError: as `plastic_scan`.
    """
    if isinstance(drive, Tensor) and drive.dim() != 2:
        raise ValueError(f"drive must have shape (B, N), not {tuple(drive.shape)}")

    def one(x: Tensor | None) -> Tensor | None:
        return x.unsqueeze(0) if isinstance(x, Tensor) else x

    with _own_precision(drive):
        arguments = checked_arguments(
            one(drive), weight, alpha, eta, state, one(episode_starts),  # type: ignore[arg-type]
            rule if isinstance(rule, Rule) else get_rule(rule), parameters, layer_norm, one(query), one(key),
            one(modulation),
        ).cast(compute_dtype(drive.dtype))  # fmt: skip
        choice = (backend, os.environ.get(ENVIRONMENT_VARIABLE), arguments.form)
        chosen = _chosen.get(choice) or _choose_once(choice, arguments)
        activity, state = (chosen.step or chosen.scan)(arguments)
    return activity[0].to(drive.dtype), state
