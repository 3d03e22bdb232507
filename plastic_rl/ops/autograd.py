"""What the fused backends share: from a scan's arguments to a function of autograd, and back."""

import torch
from torch import Tensor

from plastic_rl.ops import elman
from plastic_rl.ops.arguments import ScanArguments


def scan(function: type[torch.autograd.Function], arguments: ScanArguments) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a layer over a sequence with a function of autograd that returns activity and traces.

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
    activity, *traces = function.apply(
        a.rule.name, trains, a.episode_starts, a.drive, a.weight, a.alpha, a.eta, *modulation, a.gain, a.bias, *a.state
    )
    return activity, (activity[-1].clone(), *traces)
