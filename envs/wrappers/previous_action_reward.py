"""The previous action and reward, as part of the observation of any Gymnasium environment."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import Space, spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from plastic_rl.envs.actions import encode_actions, encoded_space
from plastic_rl.envs.wrappers.entries import add_entries, as_dict, autoreset_mode_of

Seeds = int | Sequence[int | None] | None


class PreviousActionReward(gym.Wrapper, RecordConstructorArgs):
    """Adds the previous action and reward to the observation; zeros at the start of an episode.

    The observation is a `Dict`: the entries of the environment's own (or `observation`, if that is no `Dict`), with

    * `previous_action`: float32 vector, one-hot for `Discrete` and `MultiDiscrete`, else the flattened action;
    * `previous_reward`: (1,) float32.

    Args:
        env: with `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box` actions.

    Raises:
        TypeError: another action space.
        ValueError: the observation has an entry of such a name already.

    Example:
        >>> import gymnasium as gym
        >>> from plastic_rl.envs.wrappers import PreviousActionReward
        >>> env = PreviousActionReward(gym.make("CartPole-v1"))
        >>> sorted(env.observation_space)
        ['observation', 'previous_action', 'previous_reward']
    """

    def __init__(self, env: gym.Env) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.observation_space = add_entries(env.observation_space, _entries(env.action_space))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, with nothing before it."""
        observation, info = self.env.reset(seed=seed, options=options)
        size = self.observation_space["previous_action"].shape  # type: ignore[index]
        return self._extend(observation, np.zeros(size, np.float32), 0.0), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take one step; its action and reward are part of what it returns."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        encoded = encode_actions(self.env.action_space, np.asarray(action)[None])[0]
        return self._extend(observation, encoded, reward), reward, terminated, truncated, info

    def state(self) -> dict[str, Any]:
        """Return what it keeps between steps: nothing."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""

    def _extend(self, observation: Any, action: np.ndarray, reward: Any) -> dict[str, Any]:
        added = {"previous_action": action, "previous_reward": np.array(reward, np.float32).reshape(1)}
        return as_dict(observation) | added


class VectorPreviousActionReward(VectorWrapper):
    """`PreviousActionReward` for a vector environment, in any autoreset mode; the same observations, batched.

    Example:
        >>> import gymnasium as gym
        >>> from plastic_rl.envs.wrappers import VectorPreviousActionReward
        >>> envs = VectorPreviousActionReward(gym.make_vec("CartPole-v1", 2))
        >>> sorted(envs.observation_space)
        ['observation', 'previous_action', 'previous_reward']
    """

    def __init__(self, env: VectorEnv) -> None:
        super().__init__(env)
        self._mode = autoreset_mode_of(env)
        self.single_observation_space = add_entries(env.single_observation_space, _entries(env.single_action_space))
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        size = self.single_observation_space["previous_action"].shape[0]  # type: ignore[index]
        self._action = np.zeros((env.num_envs, size), np.float32)
        self._reward = np.zeros((env.num_envs, 1), np.float32)
        self._over = np.zeros(env.num_envs, bool)

    def reset(self, *, seed: Seeds = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin episodes, with nothing before them."""
        begun = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        observations, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self._forget(begun)
        self._over = self._over & ~begun
        return self._extend(observations), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step; its actions and rewards are part of what it returns, but where an episode begins."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        self._action = encode_actions(self.env.single_action_space, np.asarray(actions))
        self._reward = np.array(rewards, np.float32)[:, None]
        over = np.logical_or(terminated, truncated)
        if self._mode is AutoresetMode.NEXT_STEP:
            self._forget(self._over)
        elif self._mode is AutoresetMode.SAME_STEP and over.any():
            infos = {**infos, "final_obs": infos["final_obs"].copy()}
            for copy in np.flatnonzero(over):
                added = {"previous_action": self._action[copy].copy(), "previous_reward": self._reward[copy].copy()}
                infos["final_obs"][copy] = as_dict(infos["final_obs"][copy]) | added
            self._forget(over)
        self._over = over
        return self._extend(observations), rewards, terminated, truncated, infos

    def state(self) -> dict[str, Any]:
        """Return all that changes between steps, without what the environment inside keeps."""
        return {"action": self._action.copy(), "reward": self._reward.copy(), "over": self._over.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: the state is of other actions or another number of copies.
        """
        if state["action"].shape != self._action.shape:
            raise ValueError(f"state must have actions of shape {self._action.shape}, got {state['action'].shape}")
        self._action, self._reward = (np.array(state[name], np.float32) for name in ("action", "reward"))
        self._over = np.array(state["over"], bool)

    def _forget(self, begun: np.ndarray) -> None:
        self._action[begun] = 0
        self._reward[begun] = 0

    def _extend(self, observations: Any) -> dict[str, Any]:
        added = {"previous_action": self._action.copy(), "previous_reward": self._reward.copy()}
        return as_dict(observations) | added


def _entries(action_space: Space[Any]) -> dict[str, Space[Any]]:
    reward = spaces.Box(-np.inf, np.inf, (1,), np.float32)
    return {"previous_action": encoded_space(action_space), "previous_reward": reward}
