"""The interface that every recurrent core keeps."""

from abc import ABC, abstractmethod
from itertools import chain

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]

# A layer with more would have a billion connections; it is a slip of the finger, and would not fit into memory.
MOST_UNITS = 16_384


class RecurrentCore(nn.Module, ABC):
    """A recurrent network with its state passed in and out.

    A subclass sets `state_shapes` in its constructor and writes `forward`. Nothing that belongs to an episode is kept
    in the module.

    Args:
        input_size: I, the number of features a step reads.
        output_size: O, the number of features a step gives.

    Attributes:
        state_shapes: the shape of each tensor of the state without its batch dimension.
        batch_first: whether a call takes and returns sequences as (B, T, ...), as in `torch.nn.LSTM`.

    Example:
        >>> import torch
        >>> from plastic_rl import make_core
        >>> core = make_core("gru", 20, hidden_size=64)
        >>> outputs, state = core(torch.zeros(10, 3, 20))
        >>> outputs.shape
        torch.Size([10, 3, 64])
    """

    batch_first = False

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("output_size", output_size)):
            if size < 1:
                raise ValueError(f"{name} must be a positive number of features, not {size}")
        self.input_size = input_size
        self.output_size = output_size
        self.state_shapes: tuple[tuple[int, ...], ...] = ()

    def __call__(
        self, inputs: Tensor, state: State | None = None, episode_starts: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run the core over a sequence; what is left out is the state of new episodes, and no further starts.

        Args:
            inputs: (T, B, I), or (B, T, I) with `batch_first`.
            state: the state before the first step, a tuple of (B, ...) tensors; zeros by default.
            episode_starts: (T, B) bool, or (B, T) with `batch_first`; where true, the state is zeroed before that step.

        Returns:
            Outputs (T, B, O), or (B, T, O) with `batch_first`, and the state after the last step.

        Raises:
            ValueError: `inputs` or `episode_starts` has another shape.
        """
        layout = "(B, T, I)" if self.batch_first else "(T, B, I)"
        if inputs.dim() != 3 or inputs.shape[2] != self.input_size:
            raise ValueError(f"inputs must have shape {layout} with I = {self.input_size}, not {tuple(inputs.shape)}")
        if episode_starts is None:
            episode_starts = torch.zeros(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        elif episode_starts.shape != inputs.shape[:2]:
            wanted, given = tuple(inputs.shape[:2]), tuple(episode_starts.shape)
            raise ValueError(f"episode_starts must have shape {wanted}, as inputs has in front, not {given}")
        if self.batch_first:
            inputs, episode_starts = inputs.transpose(0, 1), episode_starts.transpose(0, 1)
        if state is None:
            state = self.initial_state(inputs.shape[1])
        if torch.compiler.is_exporting():
            outputs, state = self._steps(inputs, state, episode_starts)
        else:
            outputs, state = super().__call__(inputs, state, episode_starts)
        return (outputs.transpose(0, 1) if self.batch_first else outputs), state

    def _steps(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run over a sequence in operations that can be exported: kernels and cuts at episode starts cannot."""
        outputs = []
        for x, starts in zip(inputs.unbind(), episode_starts.unbind(), strict=True):
            output, state = self.pure_step(x, state, starts)
            outputs.append(output)
        return torch.stack(outputs), state

    def extra_repr(self) -> str:
        """Return sizes for `repr`."""
        return f"input_size={self.input_size}, output_size={self.output_size}"

    def initial_state(self, batch_size: int) -> State:
        """Return the state at the start of an episode: zeros, (B, ...) each, on the module's device and dtype."""
        like = next(chain(self.parameters(), self.buffers()))
        return tuple(like.new_zeros(batch_size, *shape) for shape in self.state_shapes)

    @abstractmethod
    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the core over a sequence. A subclass writes this; a user calls the core (`__call__`).

        Args:
            inputs: (T, B, I).
            state: the state before the first step, a tuple of (B, ...) tensors.
            episode_starts: (T, B) bool; where true, the state is zeroed before that step.

        Returns:
            Outputs (T, B, O), and the state after the last step. Neither aliases the arguments.
        """

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one time step without gradients; may reuse the storage of the state it was given.

        Args:
            inputs: (B, I).
            state: a tuple of (B, ...) tensors, not to be used by the caller afterwards.
            episode_starts: (B,) bool.

        Returns:
            Outputs (B, O) and the new state.
        """
        # not self(...), which would take (1, B, I) for a batch of one with batch_first
        outputs, state = super().__call__(inputs.unsqueeze(0), state, episode_starts.unsqueeze(0))
        return outputs[0], state

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one time step in operations that write into nothing and depend on no value: what can be exported.

        Slower than `step`, with the same results but for rounding.

        Args:
            inputs: (B, I).
            state: a tuple of (B, ...) tensors.
            episode_starts: (B,) bool.

        Returns:
            Outputs (B, O) and the new state.
        """
        # not self(...), which runs pure_step in an export
        outputs, state = super().__call__(inputs.unsqueeze(0), state, episode_starts.unsqueeze(0))
        return outputs[0], state

    def plasticity(self) -> dict[str, Tensor]:
        """Return what is worth watching while the core learns: detached `weight`, `alpha`, `eta` where it has them.

        The rate `eta` is returned as it is used, kept in [0, 1].
        """
        found = {name: getattr(self, name, None) for name in ("weight", "alpha", "eta")}
        values = {name: value.detach() for name, value in found.items() if isinstance(value, Tensor)}
        return {name: value.clamp(0, 1) if name == "eta" else value for name, value in values.items()}

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the parts of a state that are plastic traces, by name."""
        return {}

    def modulation(self, state: State) -> Tensor | None:
        """Return the neuromodulatory signal M(t), (B,) detached, of the step that led to a state; None without one."""
        return None


class SequenceLayer(nn.Module):
    """A core as a layer of `torch.nn.Sequential`: sequences in, sequences out, every sequence from the zero state.

    Args:
        core: the core; sequences are laid out as it takes them.

    Example:
        >>> import torch
        >>> from plastic_rl import SequenceLayer, make_core
        >>> core = make_core("plastic_memory", 20, hidden_size=64)
        >>> model = torch.nn.Sequential(SequenceLayer(core), torch.nn.Linear(core.output_size, 3))
        >>> model(torch.zeros(10, 5, 20)).shape
        torch.Size([10, 5, 3])
    """

    def __init__(self, core: RecurrentCore) -> None:
        super().__init__()
        self.core = core

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the core's outputs (T, B, O) for inputs (T, B, I); (B, T, ...) with the core's `batch_first`."""
        return self.core(inputs)[0]


def reset_where(episode_starts: Tensor, state: State) -> State:
    """Zero the state where an episode starts.

    Selects instead of multiplying: an infinite trace times zero would stay NaN for good.

    Args:
        episode_starts: (B,) bool.
        state: a tuple of (B, ...) tensors.
    """
    return tuple(
        tensor.masked_fill(episode_starts.view(-1, *[1] * (tensor.dim() - 1)), 0) for tensor in state
    )


def reset_for_step(episode_starts: Tensor, state: State) -> State:
    """Zero the state where an episode starts; on a CPU it is returned as it is where none does.

    To look at flags costs nothing on a CPU, but would make a GPU wait, and a CUDA graph cannot.
    """
    looks = episode_starts.device.type == "cpu"
    return state if looks and not episode_starts.any() else reset_where(episode_starts, state)


def clamped_rate(eta: Tensor) -> Tensor:
    """Return a plasticity rate kept in [0, 1], beyond which traces grow without bound; its gradient is eta's own."""
    if not torch.is_grad_enabled():
        return eta.clamp(0, 1)
    return eta + (eta.clamp(0, 1) - eta).detach()
