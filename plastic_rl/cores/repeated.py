"""A core that takes several steps of its own for each step of its inputs."""

import torch
from torch import Tensor

from plastic_rl.arguments import check_integer
from plastic_rl.cores.base import RecurrentCore, State
from plastic_rl.cores.stacked import Layer, make_layer

MOST_TIMES = 100


class RepeatedCore(RecurrentCore):
    """A core that reads every input several times over, and whose last output counts.

    A plastic layer reads its trace with the activity of the step before. So what it has stored answers to what it sees
    one step later, which is too late where the next step of the environment shows something else. The second time it
    reads an input, its activity is of that input. The paper's memory tasks do the same in the task: each pattern is
    shown, and asked for, over several time steps.

    Args:
        input_size: I.
        layer: the name of a core, or a pair of its name and its arguments, as in `("plastic", {"rule": "oja"})`.
        times: how many steps of the core to one of the inputs, from 1 to 100; its traces and rates are of those.

    Raises:
        ValueError: `layer` is neither a name nor such a pair, its core does not know an argument, or `times` is out of
            range.

    Source: Miconi, Clune & Stanley (2018), sections 4.1 to 4.3, for the several steps of each presentation.

    Example:
        >>> import torch
        >>> from plastic_rl import make_core
        >>> core = make_core("repeated", input_size=10, layer=("plastic", {"hidden_size": 16}), times=2)
        >>> outputs, state = core(torch.randn(20, 4, 10))  # (T, B, I)
        >>> outputs.shape
        torch.Size([20, 4, 16])
    """

    def __init__(self, input_size: int, layer: Layer = "plastic", times: int = 2) -> None:
        core = make_layer("layer", layer, input_size)
        super().__init__(input_size, core.output_size)
        self.layer = core
        self.times = check_integer("times", times, 1, MOST_TIMES)
        self.state_shapes = core.state_shapes

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the core over a sequence, its gradients through all of its own steps; see `RecurrentCore.forward`."""
        starts = torch.zeros_like(episode_starts).repeat_interleave(self.times, 0)
        starts[:: self.times] = episode_starts
        outputs, state = self.layer(inputs.repeat_interleave(self.times, 0), state, starts)
        return outputs[self.times - 1 :: self.times], state

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step of the inputs; see `RecurrentCore.step`."""
        return self._repeat("step", inputs, state, episode_starts)

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step of the inputs for an export; see `RecurrentCore.pure_step`."""
        return self._repeat("pure_step", inputs, state, episode_starts)

    def _repeat(self, method: str, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        outputs, state = getattr(self.layer, method)(inputs, state, episode_starts)
        for _ in range(self.times - 1):
            outputs, state = getattr(self.layer, method)(inputs, state, torch.zeros_like(episode_starts))
        return outputs, state

    def plasticity(self) -> dict[str, Tensor]:
        """Return what the core has to show; see `RecurrentCore.plasticity`."""
        return self.layer.plasticity()

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the core's traces; see `RecurrentCore.traces`."""
        return self.layer.traces(state)

    def modulation(self, state: State) -> Tensor | None:
        """Return M(t) of the last of the core's steps; see `RecurrentCore.modulation`."""
        return self.layer.modulation(state)
