"""Fast weights that are written by the delta rule."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from plastic_rl.arguments import check_integer
from plastic_rl.cores.base import MOST_UNITS, State
from plastic_rl.cores.loop import LoopCore


class DeltaCore(LoopCore):
    """A layer whose slow weights write a matrix of fast ones, replacing what a key held before.

        k, q = softmax(K u), softmax(Q u),    v = V u,    beta = sigmoid(b . u)
        F(t) = F(t-1) + beta * k (v - F(t-1)^T k)^T
        h(t) = tanh(u' + F(t)^T q)

    with u = [x(t), h(t-1)], so that what is written and read may depend on what was read before, and u' a linear map of
    it.

    Args:
        input_size: I.
        hidden_size: N, outputs and values; keys have as many elements.
        layer_norm: whether what is in the brackets of h(t) is normalized over the neurons (Ba, Kiros & Hinton, 2016),
            with a trained gain and bias, 1 and 0 at first.

    Source: Schlag, Irie & Schmidhuber (2021), "Linear transformers are secretly fast weight programmers"; the recurrent
    form is that of Irie et al. (2021), "Going beyond linear transformers with recurrent fast weight programmers".
    """

    def __init__(self, input_size: int, hidden_size: int = 100, layer_norm: bool = False) -> None:
        super().__init__(input_size, check_integer("hidden_size", hidden_size, 1, MOST_UNITS))
        self.norm = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        self.slow = nn.Linear(input_size + hidden_size, 4 * hidden_size + 1)
        self.state_shapes = ((hidden_size,), (hidden_size, hidden_size))

    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see `LoopCore.advance`."""
        hidden, fast = state
        n = hidden.shape[1]
        key, query, value, direct, beta = self.slow(torch.cat([inputs, hidden], dim=1)).split([n, n, n, n, 1], dim=1)
        key, query = functional.softmax(key, dim=1), functional.softmax(query, dim=1)
        old = torch.bmm(key.unsqueeze(1), fast).squeeze(1)
        fast = torch.baddbmm(fast, key.unsqueeze(2), (torch.sigmoid(beta) * (value - old)).unsqueeze(1))
        hidden = torch.tanh(self.norm(direct + torch.bmm(query.unsqueeze(1), fast).squeeze(1)))
        return hidden, (hidden, fast)

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the fast weights, (B, N, N), from keys to values."""
        return {"trace": state[1]}
