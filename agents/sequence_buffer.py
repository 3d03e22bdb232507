"""The rollout buffer that hands out whole sequences."""

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from torch import Tensor

from plastic_rl.agents.policy import Sequences
from plastic_rl.cores import State

Arrays = np.ndarray | dict[str, np.ndarray]


class SequenceBuffer(RolloutBuffer):
    """SB3's rollout buffer, except that a sample is the whole sequence of one environment.

    The recurrent state is kept once, before the first step: a trace is N x N for each environment, too large to keep
    for every step. Observations come out as `Sequences`, so that SB3's `train()` runs unchanged. Sequences are all of
    length `buffer_size`: nothing is padded or masked. Works for every observation space, `Dict` too.

    What training reads is moved to the device once a rollout, and minibatches are picked there. After a rollout in a
    CUDA graph, `observations`, `actions` and `log_probs` are tensors there from the beginning.

    Attributes:
        initial_state: the state before the first step, a tuple of (B, ...) tensors; set at the start of a rollout.
    """

    initial_state: State
    _tensors: dict[str, Any]  # what was moved to the device

    def reset(self) -> None:
        """Empty the buffer."""
        shape = (self.buffer_size, self.n_envs)
        self.observations = self._zeros(shape)  # type: ignore[assignment]
        self.actions = np.zeros((*shape, self.action_dim), dtype=self.action_space.dtype)
        for name in ("rewards", "returns", "episode_starts", "values", "log_probs", "advantages"):
            setattr(self, name, np.zeros(shape, dtype=np.float32))
        self.generator_ready = False
        self._tensors = {}
        BaseBuffer.reset(self)

    def _zeros(self, shape: tuple[int, ...]) -> Arrays:
        space = self.observation_space
        if isinstance(space, spaces.Dict):
            assert isinstance(self.obs_shape, dict)
            return {k: np.zeros((*shape, *self.obs_shape[k]), dtype=space[k].dtype) for k in space.spaces}
        return np.zeros((*shape, *self.obs_shape), dtype=space.dtype)

    def add(
        self,
        obs: Arrays,
        action: np.ndarray,
        reward: np.ndarray,
        episode_start: np.ndarray,
        value: Tensor,
        log_prob: Tensor,
    ) -> None:
        """Add one step of all environments; arguments as in SB3."""
        if isinstance(self.observations, dict):
            assert isinstance(obs, dict)
            assert isinstance(self.obs_shape, dict)
            for key, stored in self.observations.items():
                stored[self.pos] = obs[key].reshape(self.n_envs, *self.obs_shape[key])
        else:
            assert isinstance(obs, np.ndarray)
            self.observations[self.pos] = obs.reshape(self.n_envs, *self.obs_shape)
        self.actions[self.pos] = action.reshape(self.n_envs, self.action_dim)
        self.values[self.pos] = value.cpu().numpy().flatten()
        self.log_probs[self.pos] = log_prob.cpu().numpy().flatten()
        self.add_outcome(reward, episode_start)

    def add_outcome(self, reward: np.ndarray, episode_start: np.ndarray) -> None:
        """Add only what the host knows of a step, rewards (B,) and episode starts (B,); a CUDA graph keeps the rest."""
        self.rewards[self.pos] = reward
        self.episode_starts[self.pos] = episode_start
        self.pos += 1
        self.full = self.pos == self.buffer_size

    def compute_returns_and_advantage(self, last_values: Tensor, dones: np.ndarray) -> None:
        """Compute what SB3's method of this name does."""
        self._tensors = {}
        super().compute_returns_and_advantage(last_values, dones)

    def get(self, batch_size: int | None = None) -> Generator[RolloutBufferSamples, None, None]:
        """Yield every sequence once, in minibatches of whole environments in random order.

        Args:
            batch_size: steps in a minibatch, a multiple of `buffer_size`; all of them by default.

        Yields:
            SB3's samples, time first: `observations` is a `Sequences`, the rest is (T * B, ...).
        """
        assert self.full, "the rollout is not complete"
        n_sequences = self.n_envs if batch_size is None else batch_size // self.buffer_size
        order = np.random.permutation(self.n_envs)  # noqa: NPY002 - SB3's set_random_seed seeds this generator
        for begin in range(0, self.n_envs, n_sequences):
            yield self.sequences(order[begin : begin + n_sequences])

    def sequences(self, environments: np.ndarray) -> RolloutBufferSamples:
        """Return the whole sequences of these environments (their indices)."""
        index = torch.as_tensor(environments, device=self.device)

        def pick(tensor: Tensor) -> Tensor:
            return tensor.index_select(1, index).flatten(0, 1)

        sequences = Sequences(
            map_arrays(pick, self._tensor("observations")),
            self._tensor("episode_starts").index_select(1, index).bool(),
            tuple(s[index] for s in self.initial_state),
        )
        names = ("actions", "values", "log_probs", "advantages", "returns")
        actions, *numbers = (pick(self._tensor(name)) for name in names)
        return RolloutBufferSamples(sequences, actions.float(), *numbers)  # type: ignore[arg-type]

    def _tensor(self, name: str) -> Any:
        if name not in self._tensors:
            self._tensors[name] = map_arrays(lambda x: torch.as_tensor(x, device=self.device), getattr(self, name))
        return self._tensors[name]


def map_arrays(function: Callable[[Any], Any], arrays: Any) -> Any:
    """Apply a function to an observation array, or to each of a dict of them."""
    return {k: function(v) for k, v in arrays.items()} if isinstance(arrays, dict) else function(arrays)
