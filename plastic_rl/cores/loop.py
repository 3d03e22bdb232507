"""A core that is written as one time step; the loop over time is here."""

from abc import abstractmethod

import torch
from torch import Tensor

from plastic_rl.cores.base import RecurrentCore, State, reset_for_step, reset_where
from plastic_rl.ops.recompute import in_segments

KEPT_BYTES = 2**29


class LoopCore(RecurrentCore):
    """A core given by one step in plain PyTorch, for what `plastic_scan` cannot say.

    Where the states of all steps, T * B * N * N numbers for a trace of N x N, take more than `KEPT_BYTES`, autograd
    keeps one every ~sqrt(T) steps, and the backward computes the others again. It does not where they take less: for
    `plastic_lstm` with (B, N, T) = (32, 100, 200) that saved half of a process's memory of 1.1 GB and took 1.7 times as
    long; with (32, 200, 250) it is a third of 4.5 GB, and 1.2 times as long.

    Example:
        >>> import torch
        >>> from plastic_rl import LoopCore
        >>> class Leaky(LoopCore):
        ...     def __init__(self, input_size, hidden_size=16):
        ...         super().__init__(input_size, hidden_size)
        ...         self.state_shapes = ((hidden_size,),)
        ...         self.input_map = torch.nn.Linear(input_size, hidden_size)
        ...
        ...     def advance(self, inputs, state):
        ...         activity = 0.9 * state[0] + 0.1 * torch.tanh(self.input_map(inputs))
        ...         return activity, (activity,)
        >>> outputs, state = Leaky(10)(torch.randn(20, 4, 10))  # (T, B, I)
        >>> outputs.shape
        torch.Size([20, 4, 16])
    """

    @abstractmethod
    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step.

        Args:
            inputs: (B, I).
            state: the state before, reset where an episode starts; not to be written into.

        Returns:
            Outputs (B, O) and the state after the step.
        """

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the core over a sequence; see `RecurrentCore.forward`."""
        any_start = episode_starts.any(dim=1).tolist()

        def run(state: State, begin: int, end: int) -> tuple[Tensor, State]:
            outputs, steps = [], slice(begin, end)
            for now, starts, begins in zip(inputs[steps], episode_starts[steps], any_start[steps], strict=True):
                if begins:
                    state = reset_where(starts, state)
                output, state = self.advance(now, state)
                outputs.append(output)
            return torch.stack(outputs), state

        n_steps = len(inputs)
        if n_steps * sum(tensor.nbytes for tensor in state) <= KEPT_BYTES:
            return run(state, 0, n_steps)
        return in_segments(run, state, n_steps, random=True)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step without the loop; see `RecurrentCore.step`."""
        return self.advance(inputs, reset_for_step(episode_starts, state))

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step for an export; see `RecurrentCore.pure_step`."""
        return self.advance(inputs, reset_where(episode_starts, state))
