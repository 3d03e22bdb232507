"""The fused scan on the CPU: autograd around the kernels."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops import kernels
from plastic_rl.ops.arguments import ScanArguments
from plastic_rl.ops.compiled import run
from plastic_rl.ops.packing import columns_of, pack, padded, unpack
from plastic_rl.ops.rules import RULES

CODES = {"decay": kernels.DECAY, "oja": kernels.OJA, "neuromodulated": kernels.MODULATED}
CLIPPED = ("neuromodulated",)


def obstacle(arguments: ScanArguments) -> str | None:
    """Say why these arguments cannot be run here, or return None."""
    if arguments.drive.device.type != "cpu":
        return f"it runs on the CPU, and the tensors are on {arguments.drive.device}"
    if arguments.drive.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 or float64, not {arguments.drive.dtype}"
    if arguments.rule.name not in CODES or arguments.rule != RULES[arguments.rule.name]:
        return f"it knows the rules {', '.join(CODES)}, and {arguments.rule.name!r} is none of them"
    return None


def scan(arguments: ScanArguments) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the layer over a sequence.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    a, p = arguments, arguments.parameters
    inputs = (
        a.drive, a.weight, a.alpha, a.eta, *(p.get(k) for k in ("modulation_weight", "modulation_bias", "fan_out"))
    )  # fmt: skip
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in a.tensors().values())
    activity, trace = _Scan.apply(a.rule.name, keep, a.episode_starts, *a.state, *inputs)
    return activity, (activity[-1].clone(), trace)


class _Scan(torch.autograd.Function):
    """Forward and adjoint of the rules with one trace.

    Every sqrt(T)-th trace is kept, and those between are computed again in the backward.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        rule: str,
        keep: bool,
        starts: Tensor,
        first: Tensor,
        trace: Tensor,
        drive: Tensor,
        weight: Tensor,
        alpha: Tensor,
        eta: Tensor | None,
        *modulation: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        n_steps, batch, n = drive.shape
        ctx.rule, ctx.every, ctx.eta_shape = rule, math.isqrt(n_steps - 1) + 1, getattr(eta, "shape", None)
        ctx.shared_alpha = alpha.dim() == 0
        layer = _layer(drive, weight, alpha, eta, *modulation)
        traces = pack(trace.detach())
        activity = torch.empty_like(drive, memory_format=torch.contiguous_format)
        n_segments = -(-n_steps // ctx.every) if keep else 0
        checkpoints = drive.new_empty(n_segments, batch, traces.shape[1])
        n_threads = max(1, min(torch.get_num_threads(), batch))
        vectors = drive.new_empty(n_threads, kernels.FORWARD_VECTORS, columns_of(n, drive.dtype))
        limit = 1.0 if rule in CLIPPED else None
        arrays = [x.detach().contiguous().numpy() for x in (drive, starts, first, traces)]
        outputs = [x.numpy() for x in (activity, checkpoints)]
        run(
            kernels.forward,
            n_threads,
            lambda thread: (
                *arrays, _arrays(layer), CODES[rule], limit, *outputs, ctx.every, vectors.numpy(), thread, n_threads
            ),
        )  # fmt: skip
        ctx.save_for_backward(activity, starts, first, checkpoints, *layer)
        ctx.set_materialize_grads(False)
        final = unpack(traces, n)
        return activity, final if limit is None else final.clamp_(-limit, limit)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor | None, trace_gradient: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        activity, starts, first, checkpoints, *tensors = ctx.saved_tensors
        layer = kernels.Layer(*tensors)
        n = activity.shape[2]
        if activity_gradient is None:
            activity_gradient = torch.zeros_like(activity)
        shape = checkpoints.shape[1:]
        adjoints = checkpoints.new_zeros(shape) if trace_gradient is None else pack(trace_gradient)
        drive_gradient, first_gradient = torch.empty_like(activity), activity.new_empty(first.shape)
        gradients = _run_backward(
            ctx, activity, starts, first, activity_gradient, checkpoints, layer, adjoints, trace_gradient is not None,
            drive_gradient, first_gradient,
        )  # fmt: skip
        needed = ctx.needs_input_grad
        alpha, eta = unpack(gradients.alpha, n), gradients.eta[:n]
        results = (
            None, None, None, first_gradient, unpack(adjoints, n), drive_gradient,
            _weight_gradient(activity, starts, first, drive_gradient) if needed[6] else None,
            alpha.sum() if ctx.shared_alpha else alpha,
            eta.sum() if ctx.eta_shape == () else eta,
            gradients.modulation_weight[:n], gradients.modulation_bias[0], gradients.fan_out[:n],
        )  # fmt: skip
        return tuple(result if wanted else None for result, wanted in zip(results, needed, strict=True))


def _layer(drive: Tensor, weight: Tensor, alpha: Tensor, eta: Tensor | None, *modulation: Tensor | None) -> Any:
    vector, bias, fan_out = modulation
    return kernels.Layer(
        pack(weight.detach()),
        pack(alpha.detach().expand_as(weight)),
        padded(None if eta is None else eta.detach(), drive),
        padded(None if vector is None else vector.detach(), drive),
        drive.new_zeros(1) if bias is None else bias.detach().reshape(1).clone(),
        padded(drive.new_ones(()) if fan_out is None else fan_out.detach(), drive),
    )


def _arrays(tensors: Any) -> Any:
    return type(tensors)(*(t.numpy() for t in tensors))


def _run_backward(
    ctx: Any,
    activity: Tensor,
    starts: Tensor,
    first: Tensor,
    activity_gradient: Tensor,
    checkpoints: Tensor,
    layer: Any,
    adjoints: Tensor,
    has_final: bool,
    drive_gradient: Tensor,
    first_gradient: Tensor,
) -> Any:
    """Run the kernel and return the sums of the threads' gradients."""
    batch, size = adjoints.shape
    columns = layer.eta.shape[0]
    n_threads = max(1, min(torch.get_num_threads(), batch))
    gradients = kernels.Gradients(
        activity.new_zeros(n_threads, size), *(activity.new_zeros(n_threads, k) for k in (columns, columns, 1, columns))
    )
    segments = activity.new_empty(n_threads, ctx.every + 1, size)
    rows = activity.new_empty(n_threads, 4, ctx.every + 1, columns)
    vectors = activity.new_empty(n_threads, kernels.BACKWARD_VECTORS, columns)
    before = [x.detach().contiguous().numpy() for x in (activity, starts, first, activity_gradient, checkpoints)]
    rule, limit = CODES[ctx.rule], 1.0 if ctx.rule in CLIPPED else None
    run(
        kernels.backward,
        n_threads,
        lambda thread: (
            *before, ctx.every, _arrays(layer), rule, limit, adjoints.numpy(), has_final, drive_gradient.numpy(),
            first_gradient.numpy(), _arrays(gradients), segments.numpy(), rows.numpy(), vectors.numpy(), thread, n_threads,
        ),
    )  # fmt: skip
    return kernels.Gradients(*(g.sum(0) for g in gradients))


def _weight_gradient(activity: Tensor, starts: Tensor, first: Tensor, drive_gradient: Tensor) -> Tensor:
    pre = torch.cat([first.unsqueeze(0), activity[:-1]])
    pre = pre.masked_fill(starts.unsqueeze(2), 0)
    return pre.flatten(0, 1).T @ drive_gradient.flatten(0, 1)
