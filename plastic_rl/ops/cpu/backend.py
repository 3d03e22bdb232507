"""The fused scan on the CPU: what the kernels are given, and what becomes of their results."""

import math
from typing import Any

import numba
import torch
from torch import Tensor

from plastic_rl.ops import autograd
from plastic_rl.ops.arguments import ScanArguments, State
from plastic_rl.ops.autograd import Inputs
from plastic_rl.ops.cpu import kernels, memory
from plastic_rl.ops.cpu.compiled import run
from plastic_rl.ops.cpu.layer import Layer
from plastic_rl.ops.cpu.packing import blocked, columns_of, fresh, in_blocks, pack, padded, size_of, unblocked, unpack
from plastic_rl.ops.rules import Rule

VECTORS, ROWS_OF_A_SEGMENT = 8, 6
_CACHE_BYTES = 6 * 2**20


def obstacle(arguments: ScanArguments) -> str | None:
    """Say why these arguments cannot be run here, or return None."""
    a = arguments
    if numba.config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, and nothing is compiled"
    if a.drive.device.type != "cpu":
        return f"it runs on the CPU, and the tensors are on {a.drive.device}"
    if a.drive.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 or float64, not {a.drive.dtype}"
    return autograd.obstacle(a)


def scan(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run the layer over a sequence; see `autograd.scan`."""
    return autograd.scan(RECURRENT if arguments.recurrent else MEMORY, arguments)


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


def _recurrent_forward(rule: Rule, starts: Tensor, x: Inputs, trains: bool) -> tuple[Tensor, State, State]:
    n_steps, batch, n = x.drive.shape
    n_jobs = number_of_jobs(n_steps, batch, n)
    n_threads, size = _n_threads(n_jobs), size_of(x.drive)
    layer, initial = _layer(x), x.traces
    every = _segment_of_recurrent(rule, x)
    checkpoints = fresh(x.drive, len(initial), -(-n_steps // every) + 1 if trains else 0, batch, size)
    activity = fresh(x.drive, *x.drive.shape)
    received = fresh(x.drive, *((0, 0, 0) if x.gain is None else x.drive.shape))
    final = tuple(fresh(trace, *trace.shape) for trace in initial)
    packed = fresh(x.drive, n_threads, 2, size)
    vectors = fresh(x.drive, n_threads, 2, VECTORS, columns_of(x.drive))
    arguments = (
        *_arrays(x.drive, starts, x.activity), *_flat(initial), *_flat(final), Layer(*_arrays(*layer)), rule.code,
        rule.limit, *_arrays(activity, received, checkpoints), every, *_arrays(packed, vectors),
    )  # fmt: skip
    run(kernels.forward, n_threads, n_jobs, lambda job, thread: (*arguments, job, n_jobs, thread))
    return activity, final, (received, checkpoints, *layer)


def _segment_of_recurrent(rule: Rule, x: Inputs) -> int:
    trace_bytes = len(x.traces) * size_of(x.drive) * x.drive.dtype.itemsize
    n_steps, batch, _ = x.drive.shape
    return segment_length(n_steps, batch, trace_bytes, rule.limit is not None)


def _recurrent_backward(
    rule: Rule,
    starts: Tensor,
    x: Inputs,
    saved: tuple[Tensor, ...],
    activity: Tensor,
    activity_gradient: Tensor,
    trace_gradients: tuple[Tensor | None, ...],
) -> Inputs:
    received, checkpoints, *layer = saved
    n_steps, batch, n = activity.shape
    n_traces, columns, size = len(trace_gradients), columns_of(activity), size_of(activity)
    n_jobs, every = number_of_jobs(n_steps, batch, n), _segment_of_recurrent(rule, x)
    n_threads = _n_threads(n_jobs)
    missing = activity.new_empty(0, 0, 0)
    final_gradients = [missing if g is None else g for g in trace_gradients]
    initial_gradients = [fresh(activity, batch, n, n) for _ in trace_gradients]
    drive_gradient, first_gradient = fresh(activity, *activity.shape), fresh(x.activity, *x.activity.shape)
    shapes = ((n_jobs, k) for k in (size, size, columns, columns, 1, columns, columns, columns))
    gradients = [activity.new_zeros(shape) for shape in shapes]
    space = (
        fresh(activity, n_threads, n_traces, every + 1, size),
        fresh(activity, n_threads, n_traces, size),
        fresh(activity, n_threads, ROWS_OF_A_SEGMENT, every + 1, columns),
        fresh(activity, n_threads, VECTORS, columns),
        torch.empty(n_threads, every, dtype=torch.int64),
    )
    arguments = (
        *_arrays(activity, received, starts, x.activity, activity_gradient, checkpoints), every,
        Layer(*_arrays(*layer)), rule.code, rule.limit, *_flat(final_gradients), *_flat(initial_gradients),
        *_arrays(drive_gradient, first_gradient, *space),
    )  # fmt: skip
    own = [Layer(*_arrays(*of_job)) for of_job in zip(*gradients, strict=True)]
    run(kernels.backward, n_threads, n_jobs, lambda job, thread: (*arguments, own[job], job, n_jobs, thread))
    total = Layer(*(g.sum(0) for g in gradients))
    return Inputs(
        drive_gradient, unpack(total.weight, n), unpack(total.alpha, n), total.eta[:n], total.modulation_weight[:n],
        total.modulation_bias[0], total.fan_out[:n], total.gain[:n], total.bias[:n],
        None, None, None, first_gradient, *initial_gradients,
    )  # fmt: skip


def _segment_of_memory(n_steps: int) -> int:
    """Return sqrt(T): a block's traces of so many steps, and as many checkpoints of all."""
    return math.isqrt(n_steps - 1) + 1


def _memory_forward(rule: Rule, starts: Tensor, x: Inputs, trains: bool) -> tuple[Tensor, State, State]:
    n_steps, batch, n = x.drive.shape
    initial = x.traces
    alpha = blocked(x.alpha.expand(initial[0].shape[1:]))
    n_blocks, block = alpha.shape
    n_jobs, every = number_of_jobs(n_steps, batch, n), _segment_of_memory(n_steps)
    n_threads, width = _n_threads(n_jobs), in_blocks(x.drive)
    checkpoints = fresh(x.drive, len(initial), -(-n_steps // every) if trains else 0, batch, n_blocks, block)
    activity, final = fresh(x.drive, *x.drive.shape), tuple(fresh(trace, *trace.shape) for trace in initial)
    arguments = (
        *_arrays(x.drive, *_presynaptic(x), _signals(x), starts), *_flat(initial), *_flat(final),
        *_arrays(alpha, *_rates(x, n_blocks)), rule.code, rule.limit, *_arrays(activity, checkpoints), every,
        *_each(fresh(x.drive, len(initial), n_threads, block)),
        *_arrays(fresh(x.drive, n_threads, memory.GATE_SUM + 1, width)),
    )  # fmt: skip
    run(memory.forward, n_threads, n_jobs, lambda job, thread: (*arguments, job, n_jobs, thread))
    return activity, final, (checkpoints,)


def _memory_backward(
    rule: Rule,
    starts: Tensor,
    x: Inputs,
    saved: tuple[Tensor, ...],
    activity: Tensor,
    activity_gradient: Tensor,
    trace_gradients: tuple[Tensor | None, ...],
) -> Inputs:
    (checkpoints,) = saved
    n_steps, batch, n = activity.shape
    k = x.query.shape[2]
    alpha, (query, key) = blocked(x.alpha.expand(k, n)), _presynaptic(x)
    n_blocks, block = alpha.shape
    n_jobs, every = number_of_jobs(n_steps, batch, n), _segment_of_memory(n_steps)
    n_threads, width, n_traces = _n_threads(n_jobs), in_blocks(activity), len(trace_gradients)
    nothing = activity.new_empty(0, 0, 0)
    final = [nothing if g is None else g for g in trace_gradients]
    initial = [fresh(activity, batch, k, n) if trace.requires_grad else nothing for trace in x.traces]
    drive = fresh(activity, *activity.shape)
    query_gradient, key_gradient = torch.zeros_like(query), torch.zeros_like(key)
    signal = activity.new_zeros(n_steps, batch)
    sums = [activity.new_zeros(n_jobs, *shape) for shape in ((n_blocks, block), (n_blocks * width,))]
    sums.append(torch.zeros_like(sums[1]))
    space = (
        fresh(activity, n_threads, 5, every, width),
        fresh(activity, n_threads, memory.GATE_SUM + 1, width),
        torch.empty(n_threads, every, dtype=torch.bool),
    )
    arguments = (
        *_arrays(activity, query, key, _signals(x), starts, activity_gradient, checkpoints), every,
        *_arrays(alpha, *_rates(x, n_blocks)), rule.code, rule.limit, *_flat(final), *_flat(initial),
        *_arrays(drive, query_gradient, key_gradient, signal, *sums),
        *_each(fresh(activity, n_traces, n_threads, every, block)),
        *_each(fresh(activity, n_traces, n_threads, block)), *_arrays(*space),
    )  # fmt: skip
    run(memory.backward, n_threads, n_jobs, lambda job, thread: (*arguments, job, n_jobs, thread))
    alpha_gradient, eta_gradient, fan_out_gradient = (g.sum(0) for g in sums)
    return Inputs(
        drive=drive, alpha=unblocked(alpha_gradient, k, n), eta=eta_gradient[:n], fan_out=fan_out_gradient[:n],
        query=query_gradient[..., :k], key=key_gradient[..., :k], modulation=signal,
        **dict(zip(rule.traces, initial, strict=True)),
    )  # fmt: skip


RECURRENT = autograd.Kernels(_recurrent_forward, _recurrent_backward)
MEMORY = autograd.Kernels(_memory_forward, _memory_backward)


def _presynaptic(x: Inputs) -> tuple[Tensor, Tensor]:
    """Return query and key with whole groups of rows."""
    missing = -x.query.shape[2] % memory.ROWS
    query, key = (torch.nn.functional.pad(p.detach(), (0, missing)) if missing else p for p in (x.query, x.key))
    return query, key


def _signals(x: Inputs) -> Tensor:
    return x.drive.new_zeros(x.drive.shape[:2]) if x.modulation is None else x.modulation


def _rates(x: Inputs, n_blocks: int) -> tuple[Tensor, Tensor]:
    size = n_blocks * in_blocks(x.drive)
    return padded(x.eta, x.drive, size), padded(_fan_out(x), x.drive, size)


def _fan_out(x: Inputs) -> Tensor:
    return x.drive.new_ones(()) if x.fan_out is None else x.fan_out


def _layer(x: Inputs) -> tuple[Tensor, ...]:
    """Return the tensors of a `Layer`."""
    size = columns_of(x.drive)
    return (
        pack(x.weight),
        pack(x.alpha.expand_as(x.weight)),
        padded(x.eta, x.drive, size),
        padded(x.modulation_weight, x.drive, size),
        x.drive.new_zeros(1) if x.modulation_bias is None else x.modulation_bias.reshape(1).clone(),
        padded(_fan_out(x), x.drive, size),
        padded(x.gain, x.drive, size),
        padded(x.bias, x.drive, size),
    )


def _arrays(*tensors: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _each(traces: Any) -> tuple[Any, Any]:
    """Return the array of the trace, and that of the eligibility or None for a rule without."""
    trace, *eligibility = _arrays(*traces)
    return trace, eligibility[0] if eligibility else None


def _flat(matrices: Any) -> tuple[Any, Any]:
    """Return `_each` of (B, K, N) tensors as (B, K * N) arrays."""
    return _each([matrix.flatten(1) for matrix in matrices])
