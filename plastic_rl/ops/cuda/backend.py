"""The fused scan on CUDA: what the Triton kernels are given, and what becomes of their results.

With TRITON_INTERPRET=1 the kernels run on the CPU, slowly, for tests.
"""

import math
import os
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from plastic_rl.ops import autograd
from plastic_rl.ops.arguments import ScanArguments, State
from plastic_rl.ops.autograd import Inputs
from plastic_rl.ops.cuda.graphs import graphed
from plastic_rl.ops.rules import Rule

# Elements of the tile that a program works on at a time, and of each of its warps: the fastest of some on an H100. A
# larger tile does not fit in the registers of a multiprocessor.
TILE_ELEMENTS, WARP_ELEMENTS = 64 * 64, 512
# A program of a memory layer takes samples together up to so many elements; not yet tuned on a GPU.
SMALL_ELEMENTS = 1024


@cache
def _missing() -> str | None:
    if find_spec("triton") is None:
        return "the package triton is not installed"
    import triton

    if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3):
        return f"it needs triton 3.3 or later, not {triton.__version__}"
    return None


def obstacle(arguments: ScanArguments) -> str | None:
    """Say why these arguments cannot be run here, or return None."""
    device, dtype = arguments.drive.device.type, arguments.drive.dtype
    if device != "cuda" and not (device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"it runs on CUDA, and the tensors are on {arguments.drive.device}"
    if (missing := _missing()) is not None:
        return missing
    if dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 or float64, not {dtype}"
    return autograd.obstacle(arguments)


def scan(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run the layer over a sequence; see `autograd.scan`."""
    return autograd.scan(RECURRENT if arguments.recurrent else MEMORY, arguments)


def _tiling(n: int, batch: int, device: torch.device) -> dict[str, int]:
    """Return the tiles' rows and columns, how many a program has, and the number of programs of each sample."""
    rows = 1 << (n - 1).bit_length()
    cols = max(1, min(rows, TILE_ELEMENTS // rows))
    n_tiles = -(-n // cols)
    tiles = -(-n_tiles // min(n_tiles, _programs(batch, device)))
    return {"ROWS": rows, "COLS": cols, "TILES": tiles, "PROGRAMS": -(-n_tiles // tiles)}


def _programs(batch: int, device: torch.device) -> int:
    """Return how many programs each sample may have, so that all run at once and can wait for one another."""
    if device.type != "cuda":
        return 1
    return max(1, torch.cuda.get_device_properties(device).multi_processor_count // max(1, batch))


def _options(tiling: dict[str, int]) -> dict[str, Any]:
    """Return what Triton is told of a launch; a cooperative one fails where not all its programs run at once."""
    options: dict[str, Any] = {"num_warps": max(1, min(8, tiling["ROWS"] * tiling["COLS"] // WARP_ELEMENTS))}
    if tiling.get("PROGRAMS", 1) > 1:
        options["launch_cooperative_grid"] = True
    return options


def _forward(rule: Rule, starts: Tensor, x: Inputs, trains: bool) -> tuple[Tensor, State, State]:
    from plastic_rl.ops.cuda import kernels

    n_steps, batch, n = x.drive.shape
    every = _segment(n_steps)
    n_segments = -(-n_steps // every) if trains else 0
    traces = torch.stack(x.traces).contiguous()
    sequences = [tensor.contiguous() for tensor in (x.drive, starts.to(torch.int8), x.activity)]
    activity, signals = torch.empty_like(sequences[0]), x.drive.new_empty(n_steps, batch)
    received = activity if x.gain is None else torch.empty_like(activity)
    checkpoints = x.drive.new_empty(len(traces), n_segments, batch, n, n)
    tiling = _tiling(n, batch, x.drive.device)
    counters = torch.zeros(batch, dtype=torch.int32, device=x.drive.device)
    with torch.cuda.device_of(x.drive):
        kernels.forward[(batch, tiling["PROGRAMS"])](
            *sequences, traces, *_layer(x), activity, received, signals, checkpoints, counters,
            n_steps, batch, n, every, n_segments,
            RULE=rule.code, NORM=x.gain is not None, **tiling, **_options(tiling),
        )  # fmt: skip
    unclipped = traces[0] if rule.limit is not None else traces[0, :0]
    finals = [trace.clone() for trace in traces]
    if rule.limit is not None:
        finals[0].clamp_(-rule.limit, rule.limit)
    return activity, tuple(finals), (received, signals, checkpoints, unclipped)


def _segment(n_steps: int) -> int:
    return math.isqrt(n_steps - 1) + 1


def _backward(
    rule: Rule,
    starts: Tensor,
    x: Inputs,
    saved: tuple[Tensor, ...],
    activity: Tensor,
    activity_gradient: Tensor,
    trace_gradients: tuple[Tensor | None, ...],
) -> Inputs:
    """Run the segments from the last to the first."""
    from plastic_rl.ops.cuda import kernels

    received, signals, checkpoints, unclipped = saved
    n_steps, batch, n = activity.shape
    every = _segment(n_steps)
    adjoints = torch.stack([activity.new_zeros(batch, n, n) if g is None else g for g in trace_gradients])
    if rule.limit is not None:
        adjoints[0].masked_fill_(~(unclipped.abs() <= rule.limit), 0)
    flags, first = starts.to(torch.int8).contiguous(), x.activity.contiguous()
    carried, drive_gradient = torch.zeros_like(first), torch.empty_like(activity)
    weight, alpha, eta, modulation_weight, _, fan_out, gain, _ = _layer(x)
    gradients = tuple(activity.new_zeros(batch, *shape) for shape in ((n, n), (n,), (n,), (), (n,), (n,), (n,)))
    traces = activity.new_empty(len(adjoints), every, batch, n, n)
    tiling = _tiling(n, batch, activity.device)
    tile = {"ROWS": tiling["ROWS"], "COLS": tiling["COLS"]}
    sums, parts = activity.new_empty(batch, 3, n), activity.new_empty(batch, tiling["PROGRAMS"], n)
    counters = torch.zeros(checkpoints.shape[1], batch, dtype=torch.int32, device=activity.device)
    with torch.cuda.device_of(activity):
        for segment in range(checkpoints.shape[1] - 1, -1, -1):
            begin = segment * every
            span = (begin, min(every, n_steps - begin), every, batch, n)
            kernels.rebuild[(batch, tiling["TILES"] * tiling["PROGRAMS"])](
                checkpoints[0, segment], checkpoints[-1, segment], traces, activity, first, flags, eta, fan_out,
                signals, *span, RULE=rule.code, **tile, **_options(tile),
            )  # fmt: skip
            kernels.backward[(batch, tiling["PROGRAMS"])](
                activity, received, flags, first, signals, traces, adjoints, activity_gradient.contiguous(),
                drive_gradient, carried, sums, weight, alpha, eta, modulation_weight, fan_out, gain, *gradients, parts,
                counters[segment], *span, RULE=rule.code, NORM=x.gain is not None, **tiling, **_options(tiling),
            )  # fmt: skip
    alpha, eta, modulation_weight, modulation_bias, fan_out, gain, bias = (g.sum(0) for g in gradients)
    return Inputs(
        drive_gradient, _weight_gradient(activity, starts, first, drive_gradient), alpha, eta, modulation_weight,
        modulation_bias, fan_out, gain, bias, activity=carried,
        **dict(zip(rule.traces, adjoints, strict=True)),
    )  # fmt: skip


def _memory_launch(batch: int, k: int, n: int) -> tuple[tuple[int, int], dict[str, int]]:
    """Return the grid, groups of samples by parts of the columns, and a program's share of each, as Triton takes it."""
    rows, width, samples = (1 << (size - 1).bit_length() for size in (k, n, batch))
    cols = max(1, min(width, TILE_ELEMENTS // rows))
    samples = max(1, min(samples, SMALL_ELEMENTS // (rows * cols)))
    n_warps = max(1, min(8, samples * rows * cols // WARP_ELEMENTS))
    tiling = {"SAMPLES": samples, "ROWS": rows, "COLS": cols, "num_warps": n_warps}
    return (-(-batch // samples), -(-n // cols)), tiling


def _memory_inputs(starts: Tensor, x: Inputs) -> tuple[list[Tensor], list[Tensor]]:
    """Return query, key, signals and episode starts, and alpha, eta and fan_out, each as the kernels want it."""
    n_steps, batch, n = x.drive.shape
    signals = x.drive.new_zeros(n_steps, batch) if x.modulation is None else x.modulation
    sequences = [x.query, x.key, signals, starts.to(torch.int8)]
    layer = [x.alpha.expand(x.query.shape[2], n).contiguous(), _vector(x, x.eta), _vector(x, x.fan_out, 1.0)]
    return [s.contiguous() for s in sequences], layer


def _memory_forward(rule: Rule, starts: Tensor, x: Inputs, trains: bool) -> tuple[Tensor, State, State]:
    from plastic_rl.ops.cuda import memory

    (n_steps, batch, n), k = x.drive.shape, x.query.shape[2]
    every = _segment(n_steps)
    n_segments = -(-n_steps // every) if trains else 0
    initial = torch.stack(x.traces)
    final, activity = torch.empty_like(initial), x.drive.new_empty(x.drive.shape)
    checkpoints = x.drive.new_empty(len(initial), n_segments, batch, k, n)
    sequences, layer = _memory_inputs(starts, x)
    grid, options = _memory_launch(batch, k, n)
    with torch.cuda.device_of(x.drive):
        memory.forward[grid](
            x.drive.contiguous(), *sequences, initial, final, *layer, activity, checkpoints,
            n_steps, batch, k, n, every, n_segments, RULE=rule.code, **options,
        )  # fmt: skip
    return activity, tuple(trace.clone() for trace in final), (checkpoints,)


def _memory_backward(
    rule: Rule,
    starts: Tensor,
    x: Inputs,
    saved: tuple[Tensor, ...],
    activity: Tensor,
    activity_gradient: Tensor,
    trace_gradients: tuple[Tensor | None, ...],
) -> Inputs:
    """Run the segments from the last to the first."""
    from plastic_rl.ops.cuda import memory

    (checkpoints,) = saved
    (n_steps, batch, n), k = activity.shape, x.query.shape[2]
    every = _segment(n_steps)
    adjoints = torch.stack([activity.new_zeros(batch, k, n) if g is None else g for g in trace_gradients])
    sequences, layer = _memory_inputs(starts, x)
    grid, options = _memory_launch(batch, k, n)
    groups, parts = grid
    traces, drive_gradient = activity.new_empty(len(adjoints), every, batch, k, n), torch.empty_like(activity)
    of_steps = tuple(activity.new_empty(parts, n_steps, batch, *shape) for shape in ((k,), (k,), ()))
    of_layer = tuple(activity.new_zeros(groups, *shape) for shape in ((k, n), (n,), (n,)))
    activity_gradient = activity_gradient.contiguous()
    with torch.cuda.device_of(activity):
        for segment in range(checkpoints.shape[1] - 1, -1, -1):
            begin = segment * every
            memory.backward[grid](
                activity, *sequences, activity_gradient, checkpoints[0, segment], checkpoints[-1, segment], *layer,
                traces, adjoints, drive_gradient, *of_steps, *of_layer,
                begin, min(every, n_steps - begin), every, n_steps, batch, k, n, RULE=rule.code, **options,
            )  # fmt: skip
    query, key, signal, alpha, eta, fan_out = (g.sum(0) for g in (*of_steps, *of_layer))
    return Inputs(
        drive_gradient, alpha=alpha, eta=eta, fan_out=fan_out, query=query, key=key, modulation=signal,
        **dict(zip(rule.traces, adjoints, strict=True)),
    )  # fmt: skip


RECURRENT = autograd.Kernels(graphed(_forward), graphed(_backward))
MEMORY = autograd.Kernels(graphed(_memory_forward), graphed(_memory_backward))


def _vector(x: Inputs, tensor: Tensor | None, missing: float = 0.0) -> Tensor:
    """Return one number for each neuron, (N,)."""
    n = x.drive.shape[2]
    return x.drive.new_full((n,), missing) if tensor is None else tensor.expand(n).contiguous()


def _layer(x: Inputs) -> tuple[Tensor, ...]:
    return (
        x.weight.contiguous(),
        x.alpha.expand_as(x.weight).contiguous(),
        _vector(x, x.eta),
        _vector(x, x.modulation_weight),
        x.drive.new_zeros(()) if x.modulation_bias is None else x.modulation_bias,
        _vector(x, x.fan_out, 1.0),
        _vector(x, x.gain),
        _vector(x, x.bias),
    )


def _weight_gradient(activity: Tensor, starts: Tensor, first: Tensor, drive_gradient: Tensor) -> Tensor:
    pre = torch.cat([first.unsqueeze(0), activity[:-1]]).masked_fill_(starts.unsqueeze(2), 0)
    return pre.flatten(0, 1).T @ drive_gradient.flatten(0, 1)
