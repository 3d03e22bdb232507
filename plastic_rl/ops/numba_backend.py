"""The fused scan on the CPU: autograd around the kernels."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops import elman, kernels, retroactive
from plastic_rl.ops.arguments import ScanArguments
from plastic_rl.ops.compiled import run
from plastic_rl.ops.packing import columns_of, fresh, pack, padded, unpack
from plastic_rl.ops.rules import RULES

VECTORS, ROWS_OF_A_SEGMENT = 8, 5
_CACHE_BYTES = 12 * 2**20


class Fused(NamedTuple):
    """The kernels of a rule, its number in them, and where its trace is clipped."""

    forward: Callable
    backward: Callable
    code: int
    limit: float | None


FUSED = {
    "decay": Fused(kernels.forward, kernels.backward, kernels.DECAY, None),
    "oja": Fused(kernels.forward, kernels.backward, kernels.OJA, None),
    "neuromodulated": Fused(kernels.forward, kernels.backward, kernels.MODULATED, 1.0),
    "retroactive": Fused(retroactive.forward, retroactive.backward, kernels.DECAY, 1.0),
}


def obstacle(arguments: ScanArguments) -> str | None:
    """Say why these arguments cannot be run here, or return None."""
    rule = arguments.rule
    if arguments.drive.device.type != "cpu":
        return f"it runs on the CPU, and the tensors are on {arguments.drive.device}"
    if arguments.drive.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 or float64, not {arguments.drive.dtype}"
    if arguments.alpha is not None and (rule.name not in FUSED or rule != RULES[rule.name]):
        return f"it knows the rules {', '.join(FUSED)}, not {rule.name!r}"
    return None


def scan(arguments: ScanArguments) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the layer over a sequence.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    if arguments.alpha is None:
        return elman.scan(arguments)
    if arguments.drive.shape[1] == 0:
        return arguments.drive.clone(), tuple(s.clone() for s in arguments.state)
    a, p = arguments, arguments.parameters
    modulation = (p.get(name) for name in ("modulation_weight", "modulation_bias", "fan_out"))
    trains = torch.is_grad_enabled() and any(t.requires_grad for t in a.tensors().values())
    activity, *traces = _Scan.apply(
        a.rule.name, trains, a.episode_starts, a.drive, a.weight, a.alpha, a.eta, *modulation, *a.state
    )
    return activity, (activity[-1].clone(), *traces)


def segment_length(n_steps: int, batch: int, n_threads: int, trace_bytes: int) -> int:
    """Return how many steps to recompute at a time, at least sqrt(T).

    A thread holds the traces of one segment, and every sample those between segments. Memory is least where both are
    equal, but the segments of all threads should also fit into the last cache.
    """
    least_memory = math.isqrt(max(0, n_steps * batch // n_threads - 1)) + 1
    in_cache = _CACHE_BYTES // (n_threads * trace_bytes)
    length = max(math.isqrt(n_steps - 1) + 1, min(least_memory, in_cache))
    return -(-n_steps // -(-n_steps // length))


def _n_threads(batch: int) -> int:
    return max(1, min(torch.get_num_threads(), batch))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rule: str,
        trains: bool,
        starts: Tensor,
        drive: Tensor,
        weight: Tensor,
        alpha: Tensor,
        eta: Tensor | None,
        modulation_weight: Tensor | None,
        modulation_bias: Tensor | None,
        fan_out: Tensor | None,
        first: Tensor,
        *traces: Tensor,
    ) -> tuple[Tensor, ...]:
        n_steps, batch, n = drive.shape
        fused, n_threads = FUSED[rule], _n_threads(batch)
        layer = _layer(drive, weight, alpha, eta, modulation_weight, modulation_bias, fan_out)
        packed = torch.stack([pack(trace) for trace in traces])
        every = segment_length(n_steps, batch, n_threads, packed[:, 0].nbytes)
        checkpoints = fresh(drive, len(traces), -(-n_steps // every) if trains else 0, *packed.shape[1:])
        activity = torch.empty_like(drive, memory_format=torch.contiguous_format)
        vectors = drive.new_empty(n_threads, VECTORS, columns_of(n, drive.dtype))
        arguments = (
            *_arrays(drive, starts, first, packed), kernels.Layer(*_arrays(*layer)), fused.code, fused.limit,
            *_arrays(activity, checkpoints), every, *_arrays(vectors),
        )  # fmt: skip
        run(fused.forward, n_threads, lambda thread: (*arguments, thread, n_threads))
        ctx.save_for_backward(activity, starts, first, checkpoints, *layer)
        ctx.set_materialize_grads(False)
        ctx.fused, ctx.every, ctx.alpha_shape, ctx.eta_shape = fused, every, alpha.shape, getattr(eta, "shape", None)
        final = [unpack(trace, n) for trace in packed]
        if fused.limit is not None:
            final[0].clamp_(-fused.limit, fused.limit)
        return activity, *final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor | None, *trace_gradients: Tensor | None) -> tuple[Any, ...]:
        activity, starts, first, checkpoints, *layer = ctx.saved_tensors
        n = activity.shape[2]
        adjoints = torch.stack(
            [checkpoints.new_zeros(checkpoints.shape[2:]) if g is None else pack(g) for g in trace_gradients]
        )
        drive_gradient, first_gradient = torch.empty_like(activity), torch.empty_like(activity[0])
        if activity_gradient is None:
            activity_gradient = torch.zeros_like(activity)
        sequences = (activity, starts, first, activity_gradient)
        gradients = _run_backward(ctx, sequences, checkpoints, layer, adjoints, drive_gradient, first_gradient)
        alpha, eta = unpack(gradients.alpha, n), gradients.eta[:n]
        results = (
            None, None, None, drive_gradient,
            _weight_gradient(activity, starts, first, drive_gradient) if ctx.needs_input_grad[4] else None,
            alpha.sum() if ctx.alpha_shape == () else alpha,
            eta.sum() if ctx.eta_shape == () else eta,
            gradients.modulation_weight[:n], gradients.modulation_bias[0], gradients.fan_out[:n],
            first_gradient, *unpack(adjoints, n),
        )  # fmt: skip
        return tuple(r if needed else None for r, needed in zip(results, ctx.needs_input_grad, strict=True))


def _run_backward(
    ctx: Any,
    sequences: tuple[Tensor, ...],
    checkpoints: Tensor,
    layer: list[Tensor],
    adjoints: Tensor,
    drive_gradient: Tensor,
    first_gradient: Tensor,
) -> kernels.Gradients:
    """Run the backward kernel and return the layer's gradients, summed over threads."""
    n_traces, batch, size = adjoints.shape
    columns, n_threads = len(layer[2]), _n_threads(batch)
    own = (drive_gradient.new_zeros(n_threads, k) for k in (size, columns, columns, 1, columns))
    gradients = kernels.Gradients(*own)
    segments = fresh(adjoints, n_threads, n_traces, ctx.every + 1, size)
    rows = adjoints.new_empty(n_threads, ROWS_OF_A_SEGMENT, ctx.every + 1, columns)
    vectors = adjoints.new_empty(n_threads, VECTORS, columns)
    arguments = (
        *_arrays(*sequences, checkpoints), ctx.every, kernels.Layer(*_arrays(*layer)), ctx.fused.code, ctx.fused.limit,
        *_arrays(adjoints, drive_gradient, first_gradient), kernels.Gradients(*_arrays(*gradients)),
        *_arrays(segments, rows, vectors),
    )  # fmt: skip
    run(ctx.fused.backward, n_threads, lambda thread: (*arguments, thread, n_threads))
    return kernels.Gradients(*(g.sum(0) for g in gradients))


def _layer(drive: Tensor, weight: Tensor, alpha: Tensor, *vectors: Tensor | None) -> tuple[Tensor, ...]:
    """Return the tensors of a `kernels.Layer`."""
    eta, modulation_weight, modulation_bias, fan_out = vectors
    return (
        pack(weight),
        pack(alpha.expand_as(weight)),
        padded(eta, drive),
        padded(modulation_weight, drive),
        drive.new_zeros(1) if modulation_bias is None else modulation_bias.reshape(1).clone(),
        padded(drive.new_ones(()) if fan_out is None else fan_out, drive),
    )


def _arrays(*tensors: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _weight_gradient(activity: Tensor, starts: Tensor, first: Tensor, drive_gradient: Tensor) -> Tensor:
    pre = fresh(activity, *activity.shape)
    pre[0], pre[1:] = first, activity[:-1]
    pre.masked_fill_(starts.unsqueeze(2), 0)
    return pre.flatten(0, 1).T @ drive_gradient.flatten(0, 1)
