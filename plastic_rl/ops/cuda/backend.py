"""The fused scan on CUDA: autograd around the Triton kernels.

With TRITON_INTERPRET=1 the kernels run on the CPU, slowly, for tests.
"""

import math
import os
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops import autograd as fused
from plastic_rl.ops.arguments import ScanArguments
from plastic_rl.ops.rules import RULES

CODES = {"decay": 0, "oja": 1, "neuromodulated": 2, "retroactive": 3}
CLIPPED = ("neuromodulated", "retroactive")
# Elements of the tile that a program works on at a time, and of each of its warps: the fastest of some on an H100. A
# larger tile does not fit in the registers of a multiprocessor.
TILE_ELEMENTS, WARP_ELEMENTS = 64 * 64, 512


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
    device, dtype, rule = arguments.drive.device.type, arguments.drive.dtype, arguments.rule
    if device != "cuda" and not (device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"it runs on CUDA, and the tensors are on {arguments.drive.device}"
    if (missing := _missing()) is not None:
        return missing
    if dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 or float64, not {dtype}"
    if arguments.alpha is not None and (rule.name not in CODES or rule != RULES[rule.name]):
        return f"it knows the rules {', '.join(CODES)}, not {rule.name!r}"
    return None


def scan(arguments: ScanArguments) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the layer over a sequence; see `fused.scan`."""
    return fused.scan(_Scan, arguments)


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
        from plastic_rl.ops.cuda import kernels as triton_kernels

        n_steps, batch, n = drive.shape
        every = math.isqrt(n_steps - 1) + 1
        n_segments = -(-n_steps // every) if trains else 0
        layer = _layer(drive, weight, alpha, eta, modulation_weight, modulation_bias, fan_out, gain, bias)
        traces = torch.stack(initial).contiguous()
        sequences = [x.contiguous() for x in (drive, starts.to(torch.int8), first)]
        activity, signals = torch.empty_like(sequences[0]), drive.new_empty(n_steps, batch)
        received = activity if gain is None else torch.empty_like(activity)
        checkpoints = drive.new_empty(len(initial), n_segments, batch, n, n)
        tiling = _tiling(n, batch, drive.device)
        counters = torch.zeros(batch, dtype=torch.int32, device=drive.device)
        with torch.cuda.device_of(drive):
            triton_kernels.forward[(batch, tiling["PROGRAMS"])](
                *sequences, traces, *layer, activity, received, signals, checkpoints, counters,
                n_steps, batch, n, every, n_segments,
                RULE=CODES[rule], NORM=gain is not None, **tiling, **_options(tiling),
            )  # fmt: skip
        clipped = rule in CLIPPED
        ctx.save_for_backward(
            activity, received, *sequences[1:], signals, checkpoints, traces[0] if clipped else traces[0, :0], *layer
        )
        ctx.set_materialize_grads(False)
        ctx.rule, ctx.norm, ctx.every = rule, gain is not None, every
        ctx.alpha_shape, ctx.eta_shape = alpha.shape, getattr(eta, "shape", None)
        finals = [trace.clone() for trace in traces]
        if clipped:
            finals[0].clamp_(-1, 1)
        return activity, *finals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor | None, *trace_gradients: Tensor | None) -> tuple[Any, ...]:
        activity, received, starts, first, signals, checkpoints, unclipped, *layer = ctx.saved_tensors
        if activity_gradient is None:
            activity_gradient = torch.zeros_like(activity)
        adjoints = torch.stack([activity.new_zeros(checkpoints.shape[2:]) if g is None else g for g in trace_gradients])
        if ctx.rule in CLIPPED:
            adjoints[0].masked_fill_(~(unclipped.abs() <= 1), 0)
        carried, drive_gradient = torch.zeros_like(first), torch.empty_like(activity)
        sequences = (activity, received, starts, first, signals)
        gradients = _run_backward(
            ctx, sequences, checkpoints, adjoints, activity_gradient.contiguous(), drive_gradient, carried, layer
        )
        alpha, eta, *vectors = (g.sum(0) for g in gradients)
        results = (
            None, None, None, drive_gradient,
            _weight_gradient(activity, starts, first, drive_gradient) if ctx.needs_input_grad[4] else None,
            alpha.sum() if ctx.alpha_shape == () else alpha,
            eta.sum() if ctx.eta_shape == () else eta,
            *vectors, carried, *adjoints,
        )  # fmt: skip
        return tuple(r if needed else None for r, needed in zip(results, ctx.needs_input_grad, strict=True))


def _run_backward(
    ctx: Any,
    sequences: tuple[Tensor, ...],
    checkpoints: Tensor,
    adjoints: Tensor,
    activity_gradient: Tensor,
    drive_gradient: Tensor,
    carried: Tensor,
    layer: list[Tensor],
) -> tuple[Tensor, ...]:
    """Run the segments from the last to the first, and return the layer's gradients for each sample."""
    from plastic_rl.ops.cuda import kernels as triton_kernels

    activity, received, starts, first, signals = sequences
    n_steps, batch, n = activity.shape
    weight, alpha, eta, modulation_weight, _, fan_out, gain, _ = layer
    gradients = tuple(activity.new_zeros(batch, *shape) for shape in ((n, n), (n,), (n,), (), (n,), (n,), (n,)))
    traces = activity.new_empty(len(adjoints), ctx.every, batch, n, n)
    tiling, code = _tiling(n, batch, activity.device), CODES[ctx.rule]
    tile = {"ROWS": tiling["ROWS"], "COLS": tiling["COLS"]}
    sums, parts = activity.new_empty(batch, 3, n), activity.new_empty(batch, tiling["PROGRAMS"], n)
    counters = torch.zeros(checkpoints.shape[1], batch, dtype=torch.int32, device=activity.device)
    with torch.cuda.device_of(activity):
        for segment in range(checkpoints.shape[1] - 1, -1, -1):
            begin = segment * ctx.every
            span = (begin, min(ctx.every, n_steps - begin), ctx.every, batch, n)
            triton_kernels.rebuild[(batch, tiling["TILES"] * tiling["PROGRAMS"])](
                checkpoints[0, segment], checkpoints[-1, segment], traces, activity, first, starts, eta, fan_out,
                signals, *span, RULE=code, **tile, **_options(tile),
            )  # fmt: skip
            triton_kernels.backward[(batch, tiling["PROGRAMS"])](
                activity, received, starts, first, signals, traces, adjoints, activity_gradient, drive_gradient,
                carried, sums, weight, alpha, eta, modulation_weight, fan_out, gain, *gradients, parts,
                counters[segment], *span, RULE=code, NORM=ctx.norm, **tiling, **_options(tiling),
            )  # fmt: skip
    return gradients


def _layer(drive: Tensor, weight: Tensor, alpha: Tensor, *vectors: Tensor | None) -> tuple[Tensor, ...]:
    n = drive.shape[2]
    eta, modulation_weight, modulation_bias, fan_out, gain, bias = vectors
    return (
        weight.contiguous(),
        alpha.expand(n, n).contiguous(),
        drive.new_zeros(n) if eta is None else eta.expand(n).contiguous(),
        drive.new_zeros(n) if modulation_weight is None else modulation_weight.contiguous(),
        drive.new_zeros(()) if modulation_bias is None else modulation_bias,
        drive.new_ones(n) if fan_out is None else fan_out.contiguous(),
        drive.new_zeros(n) if gain is None else gain.contiguous(),
        drive.new_zeros(n) if bias is None else bias.contiguous(),
    )


def _weight_gradient(activity: Tensor, starts: Tensor, first: Tensor, drive_gradient: Tensor) -> Tensor:
    pre = torch.cat([first.unsqueeze(0), activity[:-1]]).masked_fill_(starts.bool().unsqueeze(2), 0)
    return pre.flatten(0, 1).T @ drive_gradient.flatten(0, 1)
