"""A task, written once over arrays of independent copies, and what a task's author writes.

`plastic_rl.envs.views` makes two things of a task: a `gymnasium.Env` of one copy, and a `gymnasium.vector.VectorEnv`
of many.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium import Space

from plastic_rl.arguments import check_integer
from plastic_rl.envs.actions import check_actions, encode_actions

Observations = np.ndarray | dict[str, np.ndarray]


class ReferenceReturns(NamedTuple):
    """Mean returns that fix a task's score: 0 is `random` (uniform actions), 1 is `oracle` (plays `info["target"]`).

    Example:
        >>> from plastic_rl.envs import reference_returns
        >>> reference_returns("plastic_rl/PatternRecall-v0")
        ReferenceReturns(random=0.0, oracle=4.0)
    """

    random: float
    oracle: float


class Task(ABC):
    """`num_envs` independent copies of one episodic task, as arrays whose first axis is the copy.

    A subclass takes `num_envs` and its own keyword arguments, checks them, calls `super().__init__`, sets the two
    spaces, and defines `reset`, `step`, `observe`, `target`, and to be seen also `render_text`, `render_frame`. Then

        class MyEnv(TaskEnv):
            task_class = MyTask

        class MyVectorEnv(TaskVectorEnv):
            task_class = MyTask

    are a Gymnasium environment and a vector environment with the same episodes: copy i of the latter seeded s equals
    the former seeded s + i. This asks two things of a task.

    - A copy draws from `self.rngs[i]` alone, and only in `reset`: all that an episode will need is drawn when it begins
      (a row of a table for each time step, say). This also keeps `step` free of loops over copies.
    - `step` may be called with a copy whose episode is over; its result is thrown away. `time` is always in range then.

    An episode has `episode_steps` steps and ends with `terminated`.

    The base class keeps `time`, `previous_action` and `previous_reward`; `past` puts them into an observation.

    Attributes:
        action_names: what the actions of a `Discrete` action space are called, in their order; () where they have no
            names.
        num_envs: number of copies.
        episode_steps: length of an episode, in steps.
        observation_space: space of one copy's observation (`Box`, or `Dict` of `Box`).
        action_space: space of one copy's action (`Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`).
        rngs: one random generator for each copy; the views fill it before the first `reset`.
        time: (num_envs,) int64, steps taken in the running episode: 0 after a reset, `episode_steps` at its end. In
            `step` it is the index of the step being taken, 0 <= time < episode_steps.
        previous_action: (num_envs, *action shape), the actions that led here; of no meaning at time 0.
        previous_reward: (num_envs,) float64, what they earned; 0 at time 0.

    Example:
        >>> import numpy as np
        >>> from gymnasium import spaces
        >>> from plastic_rl import Task, TaskVectorEnv
        >>> class Echo(Task):
        ...     observation_space = spaces.Box(0, 1, (1,), np.float32)
        ...     action_space = spaces.Discrete(2)
        ...
        ...     def __init__(self, num_envs=1, episode_steps=10):
        ...         super().__init__(num_envs, episode_steps)
        ...         self.bits = np.zeros((num_envs, episode_steps + 1), np.int64)
        ...
        ...     def reset(self, copies):
        ...         for copy in copies:
        ...             self.bits[copy] = self.rngs[copy].integers(2, size=self.bits.shape[1])
        ...
        ...     def step(self, actions):
        ...         return (actions == self.target()).astype(float)
        ...
        ...     def observe(self):
        ...         return self.target()[:, None].astype(np.float32)
        ...
        ...     def target(self):
        ...         return self.bits[range(self.num_envs), self.time]
        >>> class EchoVectorEnv(TaskVectorEnv):
        ...     task_class = Echo
        >>> observations, infos = EchoVectorEnv(num_envs=4).reset(seed=0)
    """

    action_names: ClassVar[tuple[str, ...]] = ()

    observation_space: Space[Any]
    action_space: Space[Any]

    def __init__(self, num_envs: int, episode_steps: int) -> None:
        self.num_envs = check_integer("num_envs", num_envs, 1)
        self.episode_steps = check_integer("episode_steps", episode_steps, 1)
        self.rngs: list[np.random.Generator] = []
        self.time = np.zeros(self.num_envs, np.int64)
        self.previous_reward = np.zeros(self.num_envs)

    @cached_property
    def previous_action(self) -> np.ndarray:
        """The actions that led here; made when first asked for, since by then the action space is known."""
        return np.zeros((self.num_envs, *(self.action_space.shape or ())), self.action_space.dtype)

    # What a task's author writes.

    @abstractmethod
    def reset(self, copies: np.ndarray) -> None:
        """Begin a new episode in some copies, drawing all of its randomness.

        Args:
            copies: (n,) int64, indices of the copies, rising.
        """

    @abstractmethod
    def step(self, actions: np.ndarray) -> np.ndarray:
        """Take one step in every copy; the caller notes time, action and reward, after this.

        Args:
            actions: (num_envs, *action shape), already checked to be in the action space.

        Returns:
            (num_envs,) rewards.
        """

    @abstractmethod
    def observe(self) -> Observations:
        """Return the observations of all copies, in new arrays: (num_envs, ...), or a dict of such.

        Also called at `time == episode_steps`, for the last observation of an episode.
        """

    @abstractmethod
    def target(self) -> np.ndarray:
        """Return the best actions now, in a new array (num_envs, *action shape); no observation shows them."""

    def query(self) -> np.ndarray:
        """Return (num_envs,) bool, a new array: does the action that answers this observation count? Here: always."""
        return self.time < self.episode_steps

    def reference_returns(self) -> ReferenceReturns | None:
        """Return the exact mean returns of a random policy and of the oracle, or None where they must be played for."""
        return None

    def render_text(self, copy: int) -> str:
        """Return one copy as text (render mode `ansi`)."""
        raise NotImplementedError(f"{type(self).__name__} does not render text")

    def render_frame(self, copy: int) -> np.ndarray:
        """Return one copy as an image, (height, width, 3) uint8 (render modes `rgb_array` and `human`)."""
        raise NotImplementedError(f"{type(self).__name__} does not render frames")

    # What an author may use in `observe` and to render.

    def elapsed(self) -> np.ndarray:
        """Return (num_envs,) float32, the fraction of the episode that has passed."""
        return (self.time / self.episode_steps).astype(np.float32)

    def past(self) -> np.ndarray:
        """Return (num_envs, K + 2) float32, what an agent knows of its past.

        The columns are the previous action (K, one-hot where it is a choice; zeros at the start), the previous reward
        (0 at the start) and the fraction of the episode that has passed.
        """
        actions = encode_actions(self.action_space, self.previous_action)
        past = np.empty((self.num_envs, actions.shape[1] + 2), np.float32)
        past[:, :-2] = actions
        past[self.time == 0, :-2] = 0
        past[:, -2] = self.previous_reward
        past[:, -1] = self.elapsed()
        return past

    def previous_name(self, copy: int) -> str:
        """Return the name of the previous action of one copy, "none" at the start."""
        return self.action_names[self.previous_action[copy]] if self.time[copy] else "none"

    # What the views call.

    def begin(self, copies: np.ndarray) -> None:
        """Begin a new episode in these copies (their indices), at time 0."""
        self.time[copies] = 0
        self.previous_action[copies] = getattr(self.action_space, "start", 0)  # any that can be encoded
        self.previous_reward[copies] = 0
        self.reset(copies)

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take one step in every copy; return (num_envs,) rewards and (num_envs,) bool, whose episodes are over now."""
        rewards = np.array(self.step(actions), np.float64)
        self.time += 1
        self.previous_action, self.previous_reward = actions.copy(), rewards.copy()
        return rewards, self.time >= self.episode_steps

    def info(self) -> dict[str, np.ndarray]:
        """Return what is told beside the observation: the target and whether this step asks for it."""
        return {"target": self.target(), "query": self.query()}

    def state(self) -> dict[str, Any]:
        """Return all that changes while episodes run: arrays whose first axis is the copy, and the generators' states.

        A task that keeps anything else that changes extends this and `set_state`.
        """
        arrays = {name: value.copy() for name, value in self._arrays().items()}
        return {"arrays": arrays, "generators": [rng.bit_generator.state for rng in self.rngs]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, with the same arguments and number of copies.

        Raises:
            ValueError: the state is of another task, or of one with other arguments.
        """
        own = self._arrays()
        given = state["arrays"]
        wrong = sorted(set(own) ^ set(given)) or [name for name in own if own[name].shape != given[name].shape]
        if wrong or len(state["generators"]) not in (0, self.num_envs):
            raise ValueError(f"state must be of a {type(self).__name__} with the same arguments; {wrong} do not fit")
        for name, value in own.items():
            setattr(self, name, np.asarray(given[name], value.dtype).copy())
        self.rngs = [generator_in_state(generator) for generator in state["generators"]]

    def _arrays(self) -> dict[str, np.ndarray]:
        found = {"previous_action": self.previous_action, **vars(self)}
        arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
        return {name: value for name, value in arrays.items() if value.shape[:1] == (self.num_envs,)}

    def check_actions(self, actions: Any) -> np.ndarray:
        """Return the actions of all copies as an array of the action space's dtype.

        Raises:
            ValueError: they have another shape, or are outside the action space.
        """
        return check_actions(self.action_space, self.num_envs, actions)


def generator_in_state(state: dict[str, Any]) -> np.random.Generator:
    """Return a random generator in the state of another's bit generator (PCG64, as Gymnasium's are)."""
    bits: Any = np.random.PCG64()
    bits.state = state
    return np.random.Generator(bits)
