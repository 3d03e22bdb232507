"""GRU and LSTM cores: the controls that plasticity is compared with."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from plastic_rl.arguments import check_integer, check_number
from plastic_rl.cores.base import MOST_UNITS, RecurrentCore, State, reset_for_step, reset_where


class GatedCore(RecurrentCore):
    """A `torch.nn.GRU` or `torch.nn.LSTM` behind the core interface.

    The library's fused sequence kernels run between episode starts: the sequence is cut wherever an episode of any
    environment starts, so environments in step cost nothing extra. They know no layer normalization: these cores do not
    take `layer_norm`.

    Args:
        input_size: I.
        hidden_size: N, the number of units and of outputs.
    """

    network_class: type[nn.GRU] | type[nn.LSTM]
    n_states: int

    def __init__(self, input_size: int, hidden_size: int = 100) -> None:
        super().__init__(input_size, check_integer("hidden_size", hidden_size, 1, MOST_UNITS))
        self.network = self.network_class(input_size, hidden_size)
        self.state_shapes = ((hidden_size,),) * self.n_states

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the network over a sequence; see `RecurrentCore.forward`."""
        starts = episode_starts.any(dim=1).nonzero().flatten().tolist()
        bounds = sorted({0, *starts, inputs.shape[0]})
        pieces = []
        for first, last in pairwise(bounds):
            outputs, state = self._run(inputs[first:last], reset_where(episode_starts[first], state))
            pieces.append(outputs)
        return torch.cat(pieces), state

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step with the library's cell, which takes half as long as a sequence of one step."""
        before = reset_for_step(episode_starts, state)
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        parameters = [self.network.get_parameter(name) for name in names]
        after: State
        if self.n_states > 1:
            after = torch.lstm_cell(inputs, before, *parameters)
        else:
            after = (torch.gru_cell(inputs, before[0], *parameters),)
        return after[0], after

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step for an export; see `RecurrentCore.pure_step`."""
        outputs, state = self._run(inputs.unsqueeze(0), reset_where(episode_starts, state))
        return outputs[0], state

    def _run(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        hidden = tuple(tensor.unsqueeze(0) for tensor in state)
        outputs, last = self.network(inputs, hidden if self.n_states > 1 else hidden[0])
        return outputs, tuple(tensor.squeeze(0) for tensor in (last if self.n_states > 1 else (last,)))

    def plasticity(self) -> dict[str, Tensor]:
        """Return the recurrent weights, (gates * N, N)."""
        return {"weight": self.network.get_parameter("weight_hh_l0").detach()}


class GRUCore(GatedCore):
    """A gated recurrent unit layer (Cho et al., 2014). Its state is its output.

    Example:
        >>> from plastic_rl import make_core
        >>> core = make_core("gru", input_size=3, hidden_size=8)
        >>> core.output_size
        8
    """

    network_class = nn.GRU
    n_states = 1


class LSTMCore(GatedCore):
    """A long short-term memory layer (Hochreiter & Schmidhuber, 1997). Its state is its output and its cell.

    Args:
        input_size: I.
        hidden_size: N, the number of units and of outputs.
        forget_bias: what is added to the initial bias of the forget gates, so that cells hold their value before they
            learn to (Gers, Schmidhuber & Cummins, 2000). With 0 the layer begins as `torch.nn.LSTM` does.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Example:
        >>> from plastic_rl import make_core
        >>> core = make_core("lstm", input_size=3, hidden_size=8)
        >>> core.output_size
        8
    """

    network_class = nn.LSTM
    n_states = 2

    def __init__(self, input_size: int, hidden_size: int = 100, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        with torch.no_grad():
            self.network.get_parameter("bias_ih_l0")[hidden_size : 2 * hidden_size] += check_number(
                "forget_bias", forget_bias
            )
