"""The one autograd function of the fused backends: tensors cross it by name."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from plastic_rl.ops import elman
from plastic_rl.ops.arguments import ScanArguments, State
from plastic_rl.ops.reference import activate
from plastic_rl.ops.rules import RULES, Rule


class Inputs(NamedTuple):
    """The tensors that a fused scan reads, and in the same form their gradients; what a layer does not have is None.

    Shapes are those of `ScanArguments`. `activity`, `trace` and `eligibility` are the state before the first step.
    """

    drive: Any = None
    weight: Any = None
    alpha: Any = None
    eta: Any = None
    modulation_weight: Any = None
    modulation_bias: Any = None
    fan_out: Any = None
    gain: Any = None
    bias: Any = None
    query: Any = None
    key: Any = None
    modulation: Any = None
    activity: Any = None
    trace: Any = None
    eligibility: Any = None

    @property
    def traces(self) -> State:
        """The traces that the rule has."""
        return tuple(trace for trace in (self.trace, self.eligibility) if trace is not None)


class Kernels(NamedTuple):
    """What a fused backend has to bring.

    Attributes:
        forward: `forward(rule, starts, inputs, trains) -> (activity, traces, saved)`: activity (T, B, N), the traces
            after the last step, and what the backward needs beside the inputs: tensors, which autograd keeps, where
            `trains`.
        backward: `backward(rule, starts, inputs, saved, activity, activity_gradient, trace_gradients) -> Inputs`: the
            gradients; one that no one asks for may be None. A gradient of a trace that is None stands for zeros.
    """

    forward: Callable[[Rule, Tensor, Inputs, bool], tuple[Tensor, State, tuple[Tensor, ...]]]
    backward: Callable[..., Inputs]


def obstacle(arguments: ScanArguments) -> str | None:
    """Say why no fused backend runs these arguments, or return None."""
    a, rule = arguments, arguments.rule
    if a.alpha is None:
        return None
    if not _is_known(rule):
        return f"it knows the rules {', '.join(RULES)}, not {rule.name!r}"
    if not a.recurrent and a.gain is not None:
        return "with a query it knows no layer normalization"
    if not a.recurrent and rule.is_modulated and a.modulation is None:
        return "with a query, modulation must be given"
    return None


def _is_known(rule: Rule) -> bool:
    """Say whether the kernels compute what a rule says. Field by field: torch.compile cannot compare dataclasses."""
    known = RULES.get(rule.name)
    return (
        known is not None
        and rule.code == known.code
        and rule.step is known.step
        and rule.traces == known.traces
        and rule.uses_eta == known.uses_eta
        and rule.limit == known.limit
    )


def scan(kernels: Kernels, arguments: ScanArguments) -> tuple[Tensor, State]:
    """Run a layer over a sequence with a fused backend's kernels.

    Returns:
        Activity (T, B, N), and the state after the last step.
    """
    a, p = arguments, arguments.parameters
    if a.recurrent and a.alpha is None:
        return elman.scan(a)
    drive = a.drive if a.query is None else a.drive + a.query @ a.weight  # known for all steps before the first
    if a.alpha is None:
        return activate(a, drive.flatten(0, 1)).view_as(drive), ()
    if drive.shape[1] == 0:
        return drive.clone(), tuple(s.clone() for s in a.state)
    inputs = Inputs(
        drive,
        a.weight if a.recurrent else None,
        a.alpha,
        a.eta,
        gain=a.gain,
        bias=a.bias,
        query=a.query,
        key=a.key,
        modulation=a.modulation,
        activity=a.state[0] if a.recurrent else None,
        **dict(zip(a.rule.traces, a.traces, strict=True)),
        **{name: p.get(name) for name in ("modulation_weight", "modulation_bias", "fan_out")},
    )
    trains = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)
    activity, *traces = _Scan.apply(kernels, a.rule, trains, a.episode_starts, *inputs)
    return activity, (activity[-1].clone(), *traces) if a.recurrent else tuple(traces)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernels: Kernels, rule: Rule, trains: bool, starts: Tensor, *tensors: Any) -> tuple:
        inputs = Inputs(*tensors)
        activity, traces, saved = kernels.forward(rule, starts, inputs, trains)
        ctx.save_for_backward(activity, starts, *inputs, *saved)
        ctx.set_materialize_grads(False)
        ctx.kernels, ctx.rule = kernels, rule
        return activity, *traces

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, activity_gradient: Tensor | None, *trace_gradients: Tensor | None) -> tuple[Any, ...]:
        activity, starts, *rest = ctx.saved_tensors
        inputs, saved = Inputs(*rest[: len(Inputs._fields)]), rest[len(Inputs._fields) :]
        if activity_gradient is None:
            activity_gradient = torch.zeros_like(activity)
        gradients = ctx.kernels.backward(
            ctx.rule, starts, inputs, saved, activity, activity_gradient, trace_gradients
        )
        shaped = (
            None if g is None or x is None else (g.sum() if x.dim() == 0 and g.dim() > 0 else g)  # one for all
            for g, x in zip(gradients, inputs, strict=True)
        )
        needed = ctx.needs_input_grad[-len(Inputs._fields) :]
        return (None,) * 4 + tuple(g if wanted else None for g, wanted in zip(shaped, needed, strict=True))
