"""An LSTM with plastic connections into its cells."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from plastic_rl.arguments import check_integer
from plastic_rl.cores.base import MOST_UNITS, State, clamped_rate
from plastic_rl.cores.loop import LoopCore
from plastic_rl.ops import Rule, get_rule


class PlasticLSTM(LoopCore):
    """An LSTM whose recurrent connections into the cell input are plastic.

        i, f, o = sigmoid(U x(t) + V h(t-1) + b)                          the gates
        g_j = tanh( (U_g x(t) + b_g)_j + sum_i h_i(t-1) * (w_ij + alpha_ij * Hebb_ij(t)) )
        c(t) = f * c(t-1) + i * g,    h(t) = o * tanh(c(t))
        Hebb(t+1) = rule(Hebb(t), h(t-1), g)

    With the `"neuromodulated"` rule, M(t) is a trained function of g; see `plastic_rl.ops.rules`.

    Args:
        input_size: I.
        hidden_size: N.
        rule: `"decay"`, `"oja"`, `"neuromodulated"`, `"retroactive"`, or a `Rule`.
        alpha_init: standard deviation of the initial alpha.
        eta_init: initial plasticity rate, in [0, 1].
        forget_bias: initial bias of the forget gate.
        layer_norm: whether what each gate and g receive, the brackets, is normalized over its N neurons (Ba, Kiros &
            Hinton, 2016), with a trained gain and bias, 1 and 0 at first; the forget gate's bias is `forget_bias`.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Miconi et al. (2019), "Backpropamine", section 3.3, there for language.

    Example:
        >>> import torch
        >>> from plastic_rl.cores import PlasticLSTM
        >>> core = PlasticLSTM(input_size=3, hidden_size=8)
        >>> outputs, state = core(torch.zeros(5, 2, 3))
        >>> outputs.shape
        torch.Size([5, 2, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 100,
        rule: str | Rule = "oja",
        alpha_init: float = 0.01,
        eta_init: float = 0.03,
        forget_bias: float = 1.0,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, check_integer("hidden_size", hidden_size, 1, MOST_UNITS))
        if not 0 <= eta_init <= 1:
            raise ValueError(f"eta_init must be a rate in [0, 1], not {eta_init}")
        if alpha_init < 0:
            raise ValueError(f"alpha_init must be a standard deviation of at least 0, not {alpha_init}")
        if layer_norm and hidden_size == 1:
            raise ValueError("hidden_size must be at least 2 with layer_norm, not 1: nothing is left to normalize")
        self.rule = get_rule(rule)
        bound = 1 / math.sqrt(hidden_size)
        self.input_map = nn.Linear(input_size, 4 * hidden_size)
        self.gates = nn.Linear(hidden_size, 3 * hidden_size, bias=False)
        self.weight = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-bound, bound))
        self.alpha = nn.Parameter(alpha_init * torch.randn(hidden_size, hidden_size))
        self.eta = nn.Parameter(torch.tensor(float(eta_init))) if self.rule.uses_eta else None
        self.rule_parameters = nn.ParameterDict(self.rule.make_parameters(hidden_size))
        self.norm = nn.GroupNorm(4, 4 * hidden_size) if layer_norm else nn.Identity()
        biased: Any = self.norm if layer_norm else self.input_map  # what all neurons share is normalized away
        with torch.no_grad():
            biased.bias[hidden_size : 2 * hidden_size] = float(forget_bias)
        self.state_shapes = ((hidden_size,), (hidden_size,), *[(hidden_size, hidden_size)] * len(self.rule.traces))

    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see `LoopCore.advance`."""
        hidden, cell, *traces = state
        plastic = torch.baddbmm((hidden @ self.weight).unsqueeze(1), hidden.unsqueeze(1), self.alpha * traces[0])
        recurrent = torch.cat([self.gates(hidden), plastic.squeeze(1)], dim=1)
        *gates, candidate = self.norm(self.input_map(inputs) + recurrent).chunk(4, dim=1)
        into, forget, out = map(torch.sigmoid, gates)
        candidate = torch.tanh(candidate)
        cell = forget * cell + into * candidate
        parameters = dict(self.rule_parameters.items())
        rate = None if self.eta is None else clamped_rate(self.eta)
        written = self.rule.step(tuple(traces), hidden, candidate, rate, parameters)
        hidden = out * torch.tanh(cell)
        return hidden, (hidden, cell, *written)

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the rule's traces by name, (B, N, N) each."""
        return dict(zip(self.rule.traces, state[2:], strict=True))
