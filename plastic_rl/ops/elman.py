"""The scan of a layer without plasticity, an Elman network: matrix products, on any device."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops.arguments import ScanArguments
from plastic_rl.ops.reference import EPSILON


def scan(arguments: ScanArguments) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer with `alpha=None` over a sequence.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    a = arguments
    activity = _Scan.apply(a.drive, a.weight, a.state[0], a.gain, a.bias, a.episode_starts)
    return activity, (activity[-1].clone(),)


_norm_backward = torch.ops.aten.native_layer_norm_backward


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, weight: Tensor, first: Tensor, gain: Tensor | None, bias: Tensor | None, starts: Tensor
    ) -> Tensor:
        activity = torch.empty_like(drive, memory_format=torch.contiguous_format)
        pre = torch.empty_like(activity)
        received = activity if gain is None else torch.empty_like(activity)
        post = first
        for t in range(len(drive)):
            pre[t] = post.masked_fill(starts[t, :, None], 0)
            normed = torch.addmm(drive[t], pre[t], weight, out=received[t])
            if gain is not None:
                normed, _, _ = torch.native_layer_norm(normed, weight.shape[1:], gain, bias, EPSILON)
            post = torch.tanh(normed, out=activity[t])
        ctx.save_for_backward(activity, received, pre, weight, gain, bias, starts)
        return activity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor) -> tuple[Tensor | None, ...]:
        activity, received, pre, weight, gain, bias, starts = ctx.saved_tensors
        size = weight.shape[1:]
        slope = 1 - activity * activity
        drive_gradient = torch.empty_like(activity)
        normed_gradient = drive_gradient if gain is None else torch.empty_like(activity)
        gain_gradient = bias_gradient = None
        if gain is not None:
            _, mean, scale = torch.native_layer_norm(received, size, gain, bias, EPSILON)
        carried = torch.zeros_like(activity[0])
        for t in range(len(activity) - 1, -1, -1):
            delta = torch.mul(activity_gradient[t] + carried, slope[t], out=normed_gradient[t])
            if gain is not None:
                now = (delta, received[t], size, mean[t], scale[t], gain, bias)
                drive_gradient[t], _, _ = _norm_backward(*now, (True, False, False))
            carried = (drive_gradient[t] @ weight.T).masked_fill_(starts[t, :, None], 0)
        if gain is not None:
            whole = (normed_gradient, received, size, mean, scale, gain, bias)
            _, gain_gradient, bias_gradient = _norm_backward(*whole, (False, True, True))
        weight_gradient = pre.flatten(0, 1).T @ drive_gradient.flatten(0, 1) if ctx.needs_input_grad[1] else None
        return drive_gradient, weight_gradient, carried, gain_gradient, bias_gradient, None
