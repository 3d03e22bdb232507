"""Short-term plasticity neurons: every synapse has its own decay and rate."""

import math

import torch
from torch import Tensor, nn

from plastic_rl.arguments import check_integer
from plastic_rl.cores.base import MOST_UNITS, State
from plastic_rl.cores.loop import LoopCore


class STPNCore(LoopCore):
    """A recurrent tanh layer whose input and recurrent weights both have a short-term part, learned for each synapse.

        h(t) = tanh( u (W + F(t)) + b ),    u = [x(t), h(t-1)]
        F(t+1) = Lambda * F(t) + Gamma * (u outer h(t))        elementwise in Lambda and Gamma

    Args:
        input_size: I.
        hidden_size: N.
        decay_init: upper end of the initial Lambda, which is uniform between 0 and it.
        rate_init: standard deviation of the initial Gamma.
        layer_norm: whether what is in the brackets of h(t) is normalized over the neurons (Ba, Kiros & Hinton, 2016),
            with a trained gain and bias, 1 and 0 at first.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Garcia Rodriguez, Guo & Moraitis (2022), "Short-term plasticity neurons learning to learn and forget".

    Example:
        >>> import torch
        >>> from plastic_rl.cores import STPNCore
        >>> core = STPNCore(input_size=3, hidden_size=8)
        >>> outputs, state = core(torch.zeros(5, 2, 3))
        >>> outputs.shape
        torch.Size([5, 2, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 100,
        decay_init: float = 1.0,
        rate_init: float = 0.01,
        layer_norm: bool = False,
    ) -> None:
        super().__init__(input_size, check_integer("hidden_size", hidden_size, 1, MOST_UNITS))
        if not 0 <= decay_init <= 1:
            raise ValueError(f"decay_init must be in [0, 1], not {decay_init}")
        if rate_init < 0:
            raise ValueError(f"rate_init must be a standard deviation of at least 0, not {rate_init}")
        bound, shape = 1 / math.sqrt(hidden_size), (input_size + hidden_size, hidden_size)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self.decay = nn.Parameter(torch.rand(shape) * decay_init)
        self.rate = nn.Parameter(rate_init * torch.randn(shape))
        self.norm = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        self.state_shapes = ((hidden_size,), shape)

    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see `LoopCore.advance`."""
        before, fast = state
        pre = torch.cat([inputs, before], dim=1)
        hidden = torch.tanh(self.norm(torch.bmm(pre.unsqueeze(1), fast).squeeze(1) + pre @ self.weight + self.bias))
        # Beyond 1 in magnitude a synapse would grow for ever.
        decay = self.decay + (self.decay.clamp(-1, 1) - self.decay).detach()
        fast = decay * fast + self.rate * (pre.unsqueeze(2) * hidden.unsqueeze(1))
        return hidden, (hidden, fast)

    def plasticity(self) -> dict[str, Tensor]:
        """Return `weight`, (I + N, N), and the rates as `alpha`, of the same shape."""
        return {"weight": self.weight.detach(), "alpha": self.rate.detach()}

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the short-term weights, (B, I + N, N)."""
        return {"trace": state[1]}
