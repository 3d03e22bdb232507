"""The paper's auto-associative network: its input lies on its neurons, and their activity is its answer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from plastic_rl.cores.plastic import PlasticCore


class AssociativeCore(PlasticCore):
    """A plastic layer with a neuron for each element of a pattern, and one more that is always driven.

        x_j(t) = tanh( gain * pattern_j(t) + sum_i x_i(t-1) * (w_ij + alpha_ij * Hebb_ij(t)) )

    The pattern is added onto the neurons with a fixed gain, large enough to clamp those that are shown; those that are
    not (0) are left to the recurrent connections. There are no trained input weights.

    Args:
        input_size: I.
        n_elements: how many of the first features are a pattern's elements; all by default. It is the number of
            outputs, too; the layer has one neuron more.
        gain: what the pattern is multiplied with.
        kwargs: as in `PlasticCore`, without `hidden_size`.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Miconi, Clune & Stanley (2018), sections 4.1 and 4.3.

    Example:
        >>> import torch
        >>> from plastic_rl import make_core
        >>> core = make_core("associative", input_size=12)
        >>> answers, state = core(torch.randn(20, 4, 12).sign())  # (T, B, I): the answers are the neurons themselves
        >>> answers.shape
        torch.Size([20, 4, 12])
    """

    def __init__(
        self,
        input_size: int,
        n_elements: int | None = None,
        gain: float = 20.0,
        rule: Any = "decay",
        alpha: Any = "per_connection",
        alpha_init: float = 0.01,
        eta_init: float = 0.01,
        weight_init: float = 0.01,
        backend: str | None = None,
    ) -> None:
        n_elements = input_size if n_elements is None else n_elements
        if not 1 <= n_elements <= input_size:
            raise ValueError(f"n_elements must be between 1 and the {input_size} features there are, not {n_elements}")
        if weight_init < 0:
            raise ValueError(f"weight_init must be a standard deviation of at least 0, not {weight_init}")
        super().__init__(input_size, n_elements + 1, rule, alpha, alpha_init, eta_init, backend=backend)
        nn.init.normal_(self.weight, std=weight_init)
        self.n_elements, self.gain = n_elements, gain
        self.output_size = n_elements
        self.input_map = _Clamp(n_elements, gain)  # type: ignore[assignment]

    def forward(self, inputs: Tensor, state: Any, episode_starts: Tensor) -> Any:
        """Run the layer over a sequence; outputs are (T, B, n_elements). See `RecurrentCore.forward`."""
        outputs, state = super().forward(inputs, state, episode_starts)
        return outputs[..., : self.n_elements], state

    @torch.no_grad()
    def step(self, inputs: Tensor, state: Any, episode_starts: Tensor) -> Any:
        """Advance by one step, the traces updated in place; see `RecurrentCore.step`."""
        outputs, state = super().step(inputs, state, episode_starts)
        return outputs[..., : self.n_elements], state

    def pure_step(self, inputs: Tensor, state: Any, episode_starts: Tensor) -> Any:
        """Advance by one step for an export; see `RecurrentCore.pure_step`."""
        outputs, state = super().pure_step(inputs, state, episode_starts)
        return outputs[..., : self.n_elements], state


class _Clamp(nn.Module):
    def __init__(self, n_elements: int, gain: float) -> None:
        super().__init__()
        self.n_elements, self.gain = n_elements, gain

    def forward(self, inputs: Tensor) -> Tensor:
        return self.gain * functional.pad(inputs[..., : self.n_elements], (0, 1), value=1.0)
