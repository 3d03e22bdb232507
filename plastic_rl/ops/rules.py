"""The plasticity rules: how a trace is written from the activity before and after it.

A rule is a value. The four of the literature are in `RULES`; one of your own is a `Rule` with a step function, and
every device and dtype runs it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from plastic_rl.arguments import suggestion

Traces = tuple[Tensor, ...]
StepFunction = Callable[[Traces, Tensor, Tensor, Tensor | None, Mapping[str, Tensor]], Traces]


@dataclass(frozen=True)
class Rule:
    """A plasticity rule.

    Args:
        name: what the rule is called in errors and logs.
        step: a pure function `step(traces, pre, post, eta, parameters) -> traces` with `traces` a tuple of (B, I, J)
            tensors, `pre` (B, I) the presynaptic activity of the step before, `post` (B, J) the postsynaptic activity
            of this step, `eta` () or (J,), or None where the rule uses none, and `parameters` the rule's tensors by
            name. It must not write into what it is given.
        traces: names of the tensors it keeps, of which the first is added to the weights.
        parameters: names of the tensors it cannot do without.
        optional_parameters: names of the tensors it takes as well.
        uses_eta: whether it reads `eta`.
        limit: the first trace stays in [-limit, limit]; None for a rule that does not clip.
        code: the rule's number in the fused kernels; None for a rule that they do not know.
        initial: for each parameter, a function from N to its initial value.

    Example:
        >>> from plastic_rl import Rule, make_core
        >>> def step(traces, pre, post, eta, parameters):
        ...     (trace,) = traces
        ...     return (0.9 * trace + eta * pre[:, :, None] * post[:, None, :],)
        >>> core = make_core("plastic", input_size=10, hidden_size=16, rule=Rule("leaky", step))
    """

    name: str
    step: StepFunction
    traces: tuple[str, ...] = ("trace",)
    parameters: tuple[str, ...] = ()
    optional_parameters: tuple[str, ...] = ()
    uses_eta: bool = True
    limit: float | None = None
    code: int | None = None
    initial: Mapping[str, Callable[[int], Tensor]] = field(default_factory=dict, hash=False)

    @property
    def is_modulated(self) -> bool:
        """Whether the rule reads a neuromodulatory signal M(t)."""
        return "modulation_weight" in self.parameters

    def make_parameters(self, n: int, names: tuple[str, ...] | None = None) -> dict[str, torch.nn.Parameter]:
        """Return new parameters of the rule for n postsynaptic neurons, by default those that it cannot do without.

        Raises:
            ValueError: the rule does not say how one of them begins.
        """
        names = self.parameters if names is None else names
        if missing := [name for name in names if name not in self.initial]:
            raise ValueError(
                f"initial of rule {self.name!r} must say how its parameter {missing[0]!r} begins: a function from the "
                "number of neurons to a tensor"
            )
        return {name: torch.nn.Parameter(self.initial[name](n)) for name in names}

    def __post_init__(self) -> None:
        if not self.traces:
            raise ValueError(f"traces of rule {self.name!r} must name at least one trace")


def decay_step(
    traces: Traces, pre: Tensor, post: Tensor, eta: Tensor | None, parameters: Mapping[str, Tensor]
) -> Traces:
    """Advance the decaying Hebbian trace by one time step.

        trace[b, i, j] <- (1 - eta[j]) * trace[b, i, j] + eta[j] * pre[b, i] * post[b, j]

    Args:
        traces: one (B, I, J) trace before the step; zero at the start of an episode.
        pre: (B, I) presynaptic activity x_i(t-1), in [-1, 1] for tanh cores.
        post: (B, J) postsynaptic activity x_j(t).
        eta: () or (J,) rate per time step, in [0, 1].
        parameters: none.

    Returns:
        The new trace; never aliases the input.

    Source: Miconi, Clune & Stanley (2018), equation 2.
    """
    (trace,) = traces
    assert eta is not None
    return ((1 - eta) * trace + pre.unsqueeze(2) * (eta * post).unsqueeze(1),)


def oja_step(traces: Traces, pre: Tensor, post: Tensor, eta: Tensor | None, parameters: Mapping[str, Tensor]) -> Traces:
    """Advance the trace by one time step of Oja's rule, which needs no decay to stay bounded.

        trace[b, i, j] <- trace[b, i, j] + eta[j] * post[b, j] * (pre[b, i] - post[b, j] * trace[b, i, j])

    Args:
        traces: one (B, I, J) trace before the step; zero at the start of an episode.
        pre: (B, I) presynaptic activity x_i(t-1).
        post: (B, J) postsynaptic activity x_j(t).
        eta: () or (J,) rate per time step, in [0, 1].
        parameters: none.

    Returns:
        The new trace; never aliases the input.

    Source: Miconi, Clune & Stanley (2018), equation 3; Oja (2008).
    """
    (trace,) = traces
    assert eta is not None
    rate = (eta * post).unsqueeze(1)
    return (trace + rate * (pre.unsqueeze(2) - post.unsqueeze(1) * trace),)


def modulation(post: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """Return the neuromodulatory signal of a step for each postsynaptic neuron.

        M[b, j] = tanh(post[b] . modulation_weight + modulation_bias) * fan_out[j]

    Args:
        post: (B, J) activity of this step.
        parameters: `modulation_weight` (J,) and `modulation_bias` (), or in their place the signal itself, `modulation`
            (B,); and, if given, `fan_out` (J,).

    Returns:
        (B, J), or (B, 1) where there is no `fan_out`.
    """
    signal = parameters.get("modulation")
    if signal is None:
        signal = torch.tanh(post @ parameters["modulation_weight"] + parameters["modulation_bias"])
    signal = signal.unsqueeze(1)
    fan_out = parameters.get("fan_out")
    return signal if fan_out is None else signal * fan_out


def neuromodulated_step(
    traces: Traces, pre: Tensor, post: Tensor, eta: Tensor | None, parameters: Mapping[str, Tensor]
) -> Traces:
    """Advance the trace by one time step of simple neuromodulation.

        trace[b, i, j] <- clip(trace[b, i, j] + M[b, j] * pre[b, i] * post[b, j], -1, 1)

    Args:
        traces: one (B, I, J) trace before the step, in [-1, 1].
        pre: (B, I) presynaptic activity x_i(t-1).
        post: (B, J) postsynaptic activity x_j(t), from which M(t) is computed (`modulation`).
        eta: not used.
        parameters: `modulation_weight` (J,), `modulation_bias` () and, if given, `fan_out` (J,).

    Returns:
        The new trace; never aliases the input.

    Source: Miconi et al. (2019), equation 3.
    """
    (trace,) = traces
    written = (modulation(post, parameters) * post).unsqueeze(1)
    return ((trace + pre.unsqueeze(2) * written).clamp(-1, 1),)


def retroactive_step(
    traces: Traces, pre: Tensor, post: Tensor, eta: Tensor | None, parameters: Mapping[str, Tensor]
) -> Traces:
    """Advance trace and eligibility by one time step of retroactive neuromodulation.

        trace[b, i, j]       <- clip(trace[b, i, j] + M[b, j] * eligibility[b, i, j], -1, 1)
        eligibility[b, i, j] <- (1 - eta[j]) * eligibility[b, i, j] + eta[j] * pre[b, i] * post[b, j]

    The trace reads the eligibility of before the step.

    Args:
        traces: the trace, in [-1, 1], and the eligibility, (B, I, J) each.
        pre: (B, I) presynaptic activity x_i(t-1).
        post: (B, J) postsynaptic activity x_j(t), from which M(t) is computed (`modulation`).
        eta: () or (J,) rate of the eligibility, in [0, 1].
        parameters: `modulation_weight` (J,), `modulation_bias` () and, if given, `fan_out` (J,).

    Returns:
        The new trace and eligibility; neither aliases the input.

    Source: Miconi et al. (2019), equations 4 and 5.
    """
    trace, eligibility = traces
    written = (trace + modulation(post, parameters).unsqueeze(1) * eligibility).clamp(-1, 1)
    return (written, *decay_step((eligibility,), pre, post, eta, {}))


def _uniform(n: int) -> Tensor:
    return torch.empty(n).uniform_(-1 / math.sqrt(n), 1 / math.sqrt(n))


def _zero(n: int) -> Tensor:
    return torch.zeros(())


_MODULATED: dict = {
    "parameters": ("modulation_weight", "modulation_bias"),
    "optional_parameters": ("fan_out",),
    "limit": 1.0,
    "initial": {"modulation_weight": _uniform, "modulation_bias": _zero, "fan_out": torch.ones},
}
DECAY, OJA, NEUROMODULATED, RETROACTIVE = range(4)

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("decay", decay_step, code=DECAY),
        Rule("oja", oja_step, code=OJA),
        Rule("neuromodulated", neuromodulated_step, uses_eta=False, code=NEUROMODULATED, **_MODULATED),
        Rule("retroactive", retroactive_step, ("trace", "eligibility"), code=RETROACTIVE, **_MODULATED),
    )
}


def get_rule(rule: str | Rule) -> Rule:
    """Return a rule by its name; a `Rule` is returned as it is.

    Raises:
        ValueError: no rule has that name.
        TypeError: neither a name nor a `Rule`.
    """
    if isinstance(rule, Rule):
        return rule
    if not isinstance(rule, str):
        raise TypeError(f"rule must be a name or a Rule, not {type(rule).__name__}")
    if rule not in RULES:
        raise ValueError(f"rule must be a Rule or the name of one, not {rule!r}; {suggestion(rule, RULES)}")
    return RULES[rule]
