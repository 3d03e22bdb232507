"""One step of a rollout over buffers that stay in place: on CUDA a graph, captured once and replayed."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.agents.sequence_buffer import SequenceBuffer, map_arrays
from plastic_rl.cores import State

DEVICES = ("cuda",)  # where rollouts use it
STARTS = None  # beside the names of entries of observations
KEPT = ("observations", "actions", "values", "log_probs")
WARM_UPS = 3  # before a capture, for what libraries allocate and choose at first
ALIGNMENT = 16  # bytes; enough for a number of any type


class StepGraph:
    """Features, core, heads and sampling of one step, without a wait between them.

    The step is some dozens of kernels, and to launch them one by one takes longer than to run them. Observations and
    episode starts cross to the device in one copy, actions cross back in another, both in pinned memory. What training
    reads is written into rows on the device, and stays there.

    Random numbers come from the device's default generator: a graph reads its seed and offset at every replay and moves
    it on, as plain steps do. Warming up and capturing leave it as it was. So a seed, and the generator's state in a
    checkpoint, decide on all actions, whenever the graph was captured.

    On another device than CUDA nothing is captured: a step calls the function that would be.

    Args:
        policy: in evaluation mode. A graph reads its parameters where they are, and sees them change.
        buffer: an empty one of the same observations and actions, on the policy's device.

    Attributes:
        obstacle: why the policy cannot be captured, such as a feature extractor that looks at numbers; None if it can.
            Only then may the methods be called.
    """

    def __init__(self, policy: PlasticActorCriticPolicy, buffer: SequenceBuffer) -> None:
        self._policy, self._device = policy, policy.device
        self._key = _key(policy, buffer)
        self._pinned = self._device.type == "cuda"
        observations = buffer._zeros((buffer.n_envs,))
        seen = {STARTS: np.zeros(buffer.n_envs, bool), **_entries(observations)}
        self._host, on_host = _block(seen, torch.device("cpu"), self._pinned)
        self._on_host = {name: tensor.numpy() for name, tensor in on_host.items()}
        self._block, placed = _block(seen, self._device)
        self._starts = placed.pop(STARTS)
        self._observations: Any = placed if isinstance(observations, dict) else placed[""]
        self._state = policy.initial_state(buffer.n_envs)
        self._rows = {
            name: map_arrays(lambda x: torch.tensor(x, device=self._device), getattr(buffer, name)) for name in KEPT
        }
        self._row = torch.zeros(1, dtype=torch.int64, device=self._device)
        self.obstacle: str | None = None
        try:
            self._warm_up()
        except (RuntimeError, TypeError) as error:
            self.obstacle = str(error).strip().partition("\n")[0]
            self._rows.clear()
            return
        self._replay = self._captured()
        self._chosen = torch.empty(self._actions.shape, dtype=self._actions.dtype, pin_memory=self._pinned)

    def fits(self, policy: PlasticActorCriticPolicy, buffer: SequenceBuffer) -> bool:
        """Say whether this is still the graph of a policy and a buffer, none of whose tensors has moved."""
        return self._key == _key(policy, buffer)

    def begin(self, state: State) -> State:
        """Begin a rollout in a state; return the tensors that will hold it from now on."""
        for place, tensor in zip(self._state, state, strict=True):
            place.copy_(tensor)
        self._row.zero_()
        return self._state

    def load(self, observations: Any, episode_starts: Any) -> Any:
        """Put what the next step sees into its place on the host; return the tensors where it arrives."""
        values = {STARTS: episode_starts, **_entries(observations)}
        for name, place in self._on_host.items():
            np.copyto(place, np.reshape(values[name], place.shape), casting="unsafe")
        return self._observations

    def step(self) -> tuple[np.ndarray, Tensor, Tensor, State]:
        """Take the step; return actions, and values, log-probabilities and state, which hold until the next."""
        self._block.copy_(self._host, non_blocking=True)
        self._replay()
        self._chosen.copy_(self._actions, non_blocking=True)
        if self._pinned:
            torch.cuda.current_stream(self._device).synchronize()
        return self._chosen.numpy().copy(), self._values, self._log_probs, self._state

    def finish(self, buffer: SequenceBuffer) -> None:
        """Give the buffer what the steps of a rollout kept; values also to the host, which computes advantages."""
        for name, rows in self._rows.items():
            setattr(buffer, name, rows)
        buffer.values = self._rows["values"].cpu().numpy()

    @torch.no_grad()
    def _run(self) -> None:
        with unvalidated():
            actions, values, log_probs, state = self._policy(self._observations, self._state, self._starts)
        places = {place.untyped_storage().data_ptr() for place in self._state}
        moved = [s.clone() if s.untyped_storage().data_ptr() in places else s for s in state]
        for place, before, after in zip(self._state, state, moved, strict=True):
            if before is not place:
                place.copy_(after)
        for name, new in zip(KEPT, (self._observations, actions, values, log_probs), strict=True):
            rows, entries = _entries(self._rows[name]), _entries(new)
            for entry, row in rows.items():
                row.index_copy_(0, self._row, entries[entry].reshape(row[:1].shape).to(row.dtype))
        self._row += 1
        self._actions, self._values, self._log_probs = actions, values, log_probs

    def _warm_up(self) -> None:
        """Run the step as it will be captured; what a graph cannot do, to wait for a number, raises an error."""
        on_cuda = self._device.type == "cuda"
        with torch.random.fork_rng([self._device] if on_cuda else []):
            if not on_cuda:
                self._run()
                return
            with torch.cuda.device(self._device), _no_waiting():
                side, current = torch.cuda.Stream(), torch.cuda.current_stream()
                side.wait_stream(current)
                with torch.cuda.stream(side):
                    for _ in range(WARM_UPS):
                        self._row.zero_()
                        self._run()
                current.wait_stream(side)

    def _captured(self) -> Callable[[], None]:
        if self._device.type != "cuda":
            return self._run
        with torch.cuda.device(self._device):
            graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
            # Other threads, such as NCCL's, may go on with what a capture forbids.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._run()
        return graph.replay


def _key(policy: PlasticActorCriticPolicy, buffer: SequenceBuffer) -> tuple[Any, ...]:
    tensors = chain(policy.parameters(), policy.buffers())
    return id(policy), buffer.n_envs, buffer.buffer_size, *(tensor.data_ptr() for tensor in tensors)


def _entries(observations: Any) -> dict[str | None, Any]:
    return observations if isinstance(observations, dict) else {"": observations}


def _block(
    arrays: dict[str | None, np.ndarray], device: torch.device, pinned: bool = False
) -> tuple[Tensor, dict[str | None, Tensor]]:
    """Return a block of bytes, and in it a tensor in the form of each array."""
    sizes = [-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in arrays.values()]
    block = torch.zeros(sum(sizes), dtype=torch.uint8, device=device, pin_memory=pinned)
    parts = zip(arrays.items(), block.split(sizes), strict=True)
    return block, {
        name: part[: array.nbytes].view(torch.from_numpy(array).dtype).view(array.shape)
        for (name, array), part in parts
    }


@contextmanager
def unvalidated() -> Iterator[None]:
    """Let distributions take their arguments as they are: to check them is to look at numbers."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Make an error of whatever makes the host wait for the GPU."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it does not find all
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
