"""The fused scan on the CPU: autograd around the kernels."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops import autograd as fused
from plastic_rl.ops.arguments import ScanArguments
from plastic_rl.ops.cpu import kernels, retroactive
from plastic_rl.ops.cpu.compiled import run
from plastic_rl.ops.cpu.layer import DECAY, MODULATED, OJA, Gradients, Layer
from plastic_rl.ops.cpu.packing import columns_of, fresh, pack, padded, size_of, unpack
from plastic_rl.ops.rules import RULES

VECTORS, ROWS_OF_A_SEGMENT = 8, 6
_CACHE_BYTES = 6 * 2**20


class Fused(NamedTuple):
    """The kernels of a rule, its number in them, and where its trace is clipped."""

    forward: Callable
    backward: Callable
    code: int
    limit: float | None


FUSED = {
    "decay": Fused(kernels.forward, kernels.backward, DECAY, None),
    "oja": Fused(kernels.forward, kernels.backward, OJA, None),
    "neuromodulated": Fused(kernels.forward, kernels.backward, MODULATED, 1.0),
    "retroactive": Fused(retroactive.forward, retroactive.backward, DECAY, 1.0),
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
    """Run the layer over a sequence; see `fused.scan`."""
    return fused.scan(_Scan, arguments)


def segment_length(n_steps: int, batch: int, trace_bytes: int, clipped: bool) -> int:
    """Return how many steps to recompute at a time, at least sqrt(T).

    Every sample keeps the traces between segments, and a thread has room for those of one segment: memory is least
    where both are equal. A clipped rule does use that room, which should also fit into the thread's share of the last
    cache.
    """
    length = math.isqrt(max(0, n_steps * batch - 1)) + 1
    if clipped:
        length = min(length, _CACHE_BYTES // trace_bytes)
    length = max(length, math.isqrt(n_steps - 1) + 1)
    return -(-n_steps // -(-n_steps // length))


def number_of_jobs(n_steps: int, batch: int, n: int) -> int:
    """Return into how many parts to cut a batch: enough to share out, each worth its own call and gradients.

    The forward sweep is faster with two samples at a time. The number of threads plays no part in it, so that they all
    give the same sums to the last bit.
    """
    return max(1, min(batch if batch < 16 else batch // 2, 16, n_steps * batch * n * n // 1_000_000))


def _n_threads(n_jobs: int) -> int:
    return max(1, min(torch.get_num_threads(), n_jobs))


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
        gain: Tensor | None,
        bias: Tensor | None,
        first: Tensor,
        *initial: Tensor,
    ) -> tuple[Tensor, ...]:
        n_steps, batch, n = drive.shape
        fused, n_jobs = FUSED[rule], number_of_jobs(n_steps, batch, n)
        n_threads, size = _n_threads(n_jobs), size_of(drive)
        layer = _layer(drive, weight, alpha, eta, modulation_weight, modulation_bias, fan_out, gain, bias)
        trace_bytes = len(initial) * size * drive.dtype.itemsize
        every = segment_length(n_steps, batch, trace_bytes, fused.limit is not None)
        checkpoints = fresh(drive, len(initial), -(-n_steps // every) + 1 if trains else 0, batch, size)
        activity = fresh(drive, *drive.shape)
        received = fresh(drive, *((0, 0, 0) if gain is None else drive.shape))
        final = tuple(fresh(trace, *trace.shape) for trace in initial)
        packed = fresh(drive, n_threads, 2, size)  # one trace of two samples, or two of one
        vectors = fresh(drive, n_threads, 2, VECTORS, columns_of(drive))
        arguments = (
            *_arrays(drive, starts, first), _flat(initial), _flat(final), Layer(*_arrays(*layer)), fused.code,
            fused.limit, *_arrays(activity, received, checkpoints), every, *_arrays(packed, vectors),
        )  # fmt: skip
        run(fused.forward, n_threads, n_jobs, lambda job, thread: (*arguments, job, n_jobs, thread))
        ctx.save_for_backward(activity, received, starts, first, checkpoints, *layer)
        ctx.set_materialize_grads(False)
        ctx.fused, ctx.every, ctx.alpha_shape, ctx.eta_shape = fused, every, alpha.shape, getattr(eta, "shape", None)
        return activity, *final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor | None, *final_gradients: Tensor | None) -> tuple[Any, ...]:
        activity, received, starts, first, checkpoints, *layer = ctx.saved_tensors
        _, batch, n = activity.shape
        if activity_gradient is None:
            activity_gradient = torch.zeros_like(activity)
        missing = activity.new_empty(0, 0, 0)
        needed = ctx.needs_input_grad
        initial_gradients = [fresh(activity, batch, n, n) if wanted else missing for wanted in needed[13:]]
        drive_gradient, first_gradient = fresh(activity, *activity.shape), fresh(first, *first.shape)
        gradients = _run_backward(
            ctx,
            (activity, received, starts, first, activity_gradient, checkpoints),
            layer,
            [missing if g is None else g for g in final_gradients],
            (initial_gradients, drive_gradient, first_gradient),
        )
        alpha, eta = unpack(gradients.alpha, n), gradients.eta[:n]
        results = (
            None, None, None, drive_gradient,
            unpack(gradients.weight, n),
            alpha.sum() if ctx.alpha_shape == () else alpha,
            eta.sum() if ctx.eta_shape == () else eta,
            gradients.modulation_weight[:n], gradients.modulation_bias[0], gradients.fan_out[:n],
            gradients.gain[:n], gradients.bias[:n], first_gradient, *initial_gradients,
        )  # fmt: skip
        return tuple(result if wanted else None for result, wanted in zip(results, needed, strict=True))


def _run_backward(
    ctx: Any,
    sequences: tuple[Any, ...],
    layer: list[Tensor],
    final_gradients: list[Tensor],
    results: tuple[list[Tensor], Tensor, Tensor],
) -> Gradients:
    """Run the backward kernel, which writes the results, and return the layer's gradients, summed over jobs."""
    activity = sequences[0]
    n_traces, columns, size = len(final_gradients), columns_of(activity), size_of(activity)
    n_jobs = number_of_jobs(*activity.shape)
    n_threads = _n_threads(n_jobs)
    shapes = ((n_jobs, k) for k in (size, size, columns, columns, 1, columns, columns, columns))
    gradients = Gradients(*(np.zeros(shape, _dtype(activity)) for shape in shapes))
    space = (
        fresh(activity, n_threads, n_traces, ctx.every + 1, size),
        fresh(activity, n_threads, n_traces, size),
        fresh(activity, n_threads, ROWS_OF_A_SEGMENT, ctx.every + 1, columns),
        fresh(activity, n_threads, VECTORS, columns),
    )
    initial_gradients, *written = results
    arguments = (
        *_arrays(*sequences), ctx.every, Layer(*_arrays(*layer)), ctx.fused.code, ctx.fused.limit,
        _flat(final_gradients), _flat(initial_gradients), *_arrays(*written), gradients, *_arrays(*space),
    )  # fmt: skip
    run(ctx.fused.backward, n_threads, n_jobs, lambda job, thread: (*arguments, job, n_jobs, thread))
    return Gradients(*(torch.from_numpy(g.sum(0)) for g in gradients))


def _layer(drive: Tensor, weight: Tensor, alpha: Tensor, *vectors: Tensor | None) -> tuple[Tensor, ...]:
    """Return the tensors of a `Layer`."""
    eta, modulation_weight, modulation_bias, fan_out, gain, bias = vectors
    return (
        pack(weight),
        pack(alpha.expand_as(weight)),
        padded(eta, drive),
        padded(modulation_weight, drive),
        drive.new_zeros(1) if modulation_bias is None else modulation_bias.reshape(1).clone(),
        padded(drive.new_ones(()) if fan_out is None else fan_out, drive),
        padded(gain, drive),
        padded(bias, drive),
    )


def _dtype(tensor: Tensor) -> Any:
    return tensor.detach().numpy().dtype


def _arrays(*tensors: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _flat(matrices: Sequence[Tensor]) -> tuple[Any, ...]:
    """Return (B, N, N) tensors as (B, N * N) arrays."""
    return _arrays(*(matrix.flatten(1) for matrix in matrices))
