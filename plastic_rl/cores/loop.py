"""A core that is written as one time step; the loop over time is here."""

from abc import abstractmethod

import torch
from torch import Tensor

from plastic_rl.cores.base import RecurrentCore, State, reset_where


class LoopCore(RecurrentCore):
    """A core given by one step in plain PyTorch, for what `plastic_scan` cannot say.

    Autograd keeps the state of every step: a trace of N x N costs T * B * N * N numbers of memory.
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
        outputs = []
        any_start = episode_starts.any(dim=1).tolist()
        for now, starts, begins in zip(inputs, episode_starts, any_start, strict=True):
            if begins:
                state = reset_where(starts, state)
            output, state = self.advance(now, state)
            outputs.append(output)
        return torch.stack(outputs), state

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step for an export; see `RecurrentCore.pure_step`."""
        return self.advance(inputs, reset_where(episode_starts, state))
