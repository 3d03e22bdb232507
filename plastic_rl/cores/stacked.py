"""Several cores on top of each other."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from plastic_rl.cores.base import RecurrentCore, State
from plastic_rl.cores.registry import core_arguments, make_core

Layer = str | tuple[str, dict[str, Any]]


class StackedCore(RecurrentCore):
    """A stack of cores of any kind: each reads the outputs of the one below.

    With `skip`, each also reads the inputs, and the stack's output is the outputs of all its layers (Graves, 2013).

    Args:
        input_size: I.
        layers: from the bottom up, the name of a core, or a pair of its name and its arguments, as in
            `["gru", ("plastic", {"hidden_size": 64, "rule": "oja"})]`.
        skip: whether inputs reach all layers, and all layers the output.

    Raises:
        ValueError: there are no layers, one is neither a name nor such a pair, or its core does not know an argument.

    Source: Graves (2013), "Generating sequences with recurrent neural networks", section 2, for the skip connections.
    """

    def __init__(self, input_size: int, layers: Sequence[Layer] = ("plastic", "plastic"), skip: bool = True) -> None:
        if not isinstance(layers, list | tuple) or not layers:
            raise ValueError(f"layers must be a list of one core or more, not {layers!r}")
        cores: list[RecurrentCore] = []
        for layer in layers:
            below = cores[-1].output_size if cores else 0
            cores.append(make_layer("layers", layer, below + input_size if skip or not cores else below))
        super().__init__(input_size, sum(core.output_size for core in cores) if skip else cores[-1].output_size)
        self.layers: Any = torch.nn.ModuleList(cores)
        self.skip = skip
        self.state_shapes = tuple(shape for core in cores for shape in core.state_shapes)

    def _parts(self, state: State) -> list[State]:
        sizes = [len(core.state_shapes) for core in self.layers]
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        return [state[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def _run(self, method: str, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        outputs: list[Tensor] = []
        new_state: State = ()
        for core, part in zip(self.layers, self._parts(state), strict=True):
            read = inputs if not outputs else torch.cat((outputs[-1], inputs), -1) if self.skip else outputs[-1]
            output, part = getattr(core, method)(read, part, episode_starts)
            outputs.append(output)
            new_state += part
        return torch.cat(outputs, -1) if self.skip else outputs[-1], new_state

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the stack over a sequence; see `RecurrentCore.forward`."""
        return self._run("forward", inputs, state, episode_starts)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance all layers by one step; see `RecurrentCore.step`."""
        return self._run("step", inputs, state, episode_starts)

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance all layers by one step for an export; see `RecurrentCore.pure_step`."""
        return self._run("pure_step", inputs, state, episode_starts)

    def plasticity(self) -> dict[str, Tensor]:
        """Return what each layer has to show, its names preceded by the layer's number from below."""
        return {f"{i}.{name}": value for i, core in enumerate(self.layers) for name, value in core.plasticity().items()}

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the traces of all layers, their names preceded by the layer's number from below."""
        parts = enumerate(zip(self.layers, self._parts(state), strict=True))
        return {f"{i}.{name}": trace for i, (core, part) in parts for name, trace in core.traces(part).items()}

    def modulation(self, state: State) -> Tensor | None:
        """Return M(t) of the first layer from below that has it; None without one."""
        signals = (core.modulation(part) for core, part in zip(self.layers, self._parts(state), strict=True))
        return next((signal for signal in signals if signal is not None), None)


def make_layer(argument: str, layer: Layer, input_size: int, hidden_size: int | None = None) -> RecurrentCore:
    """Make a core that is part of another, whose `argument` names it.

    A core that is given by its name alone has `hidden_size` units, if it has such an argument.

    Raises:
        ValueError: `layer` is neither the name of a core nor a pair of that and its arguments, or it cannot be made.
        TypeError: an argument is of the wrong type.
    """
    pair = (layer, {}) if isinstance(layer, str) else layer
    if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[1], dict)):
        raise ValueError(f"{argument} must be names of cores or pairs (name, arguments), not {layer!r}")
    name, arguments = pair
    try:
        if isinstance(layer, str) and hidden_size is not None and "hidden_size" in core_arguments(name):
            arguments = {"hidden_size": hidden_size}
        return make_core(name, input_size, **arguments)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{argument}: {error}") from error
