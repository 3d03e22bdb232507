"""A delay line: the inputs of the last few steps, side by side."""

import torch
from torch import Tensor

from plastic_rl.arguments import check_integer
from plastic_rl.cores.base import RecurrentCore, State

MOST_STEPS = 1_000


class DelayLine(RecurrentCore):
    """The inputs of the last few steps, as they were: nothing is learned, and nothing fades.

        output(t) = [x(t-1), x(t-2), ..., x(t-D)],    zeros before the episode began

    As the controller of a `PlasticMemory`, it lets the memory store what was seen a few steps ago together with what
    came of it: what to do about a cue can be known only when the reward is seen. A gated controller has to learn to
    hold the cue first. By itself it is what `VecFrameStack` is, inside of the policy.

    Args:
        input_size: I.
        steps: D, how many earlier steps; the core has D * I outputs.

    Raises:
        ValueError: `steps` is out of range.

    Source: Waibel et al. (1989), "Phoneme recognition using time-delay neural networks".

    Example:
        >>> import torch
        >>> from plastic_rl import make_core
        >>> core = make_core("delay_line", input_size=1, steps=2)
        >>> outputs, state = core(torch.tensor([[[1.0]], [[2.0]], [[3.0]]]))
        >>> outputs[:, 0].tolist()
        [[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]]
    """

    def __init__(self, input_size: int, steps: int = 3) -> None:
        self.steps = check_integer("steps", steps, 1, MOST_STEPS)
        super().__init__(input_size, steps * input_size)
        self.state_shapes = ((steps, input_size),)
        self.register_buffer("like", torch.zeros(()), persistent=False)

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run over a sequence; see `RecurrentCore.forward`."""
        started = episode_starts.unsqueeze(-1)
        delayed = [inputs]
        for before in state[0].unbind(1):
            shifted = torch.cat([before.unsqueeze(0), delayed[-1][:-1]])
            delayed.append(shifted.masked_fill(started, 0))
        last = torch.stack([x[-1] for x in delayed[:-1]], 1)
        return torch.cat(delayed[1:], -1), (last,)
