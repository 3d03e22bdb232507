"""The scan of a layer without plasticity, an Elman network: matrix products, on any device."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops.arguments import ScanArguments


def scan(arguments: ScanArguments) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer with `alpha=None` over a sequence.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    activity = _Scan.apply(arguments.drive, arguments.weight, arguments.state[0], arguments.episode_starts)
    return activity, (activity[-1].clone(),)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, weight: Tensor, first: Tensor, starts: Tensor) -> Tensor:
        activity = torch.empty_like(drive, memory_format=torch.contiguous_format)
        pre = torch.empty_like(activity)
        post = first
        for t in range(len(drive)):
            pre[t] = post.masked_fill(starts[t, :, None], 0)
            post = torch.addmm(drive[t], pre[t], weight, out=activity[t]).tanh_()
        ctx.save_for_backward(activity, pre, weight, starts)
        return activity

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor) -> tuple[Tensor | None, ...]:
        activity, pre, weight, starts = ctx.saved_tensors
        slope = 1 - activity * activity
        drive_gradient = torch.empty_like(activity)
        carried = torch.zeros_like(activity[0])
        for t in range(len(activity) - 1, -1, -1):
            torch.mul(activity_gradient[t] + carried, slope[t], out=drive_gradient[t])
            carried = (drive_gradient[t] @ weight.T).masked_fill_(starts[t, :, None], 0)
        weight_gradient = pre.flatten(0, 1).T @ drive_gradient.flatten(0, 1) if ctx.needs_input_grad[1] else None
        return drive_gradient, weight_gradient, carried, None
