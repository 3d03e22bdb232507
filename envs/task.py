"""A task, written once over arrays of independent copies, and what a task's author writes.

`plastic_rl.envs.views` makes two things of a task: a `gymnasium.Env` of one copy, and a `gymnasium.vector.VectorEnv`
of many.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space, spaces

from plastic_rl.arguments import check_integer

Observations = np.ndarray | dict[str, np.ndarray]


class ReferenceReturns(NamedTuple):
    """Mean returns that fix a task's score: 0 is `random` (uniform actions), 1 is `oracle` (plays `info["target"]`)."""

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

    An episode is a life of `episode_steps` steps and ends with `terminated`.

    Attributes:
        num_envs: number of copies.
        episode_steps: length of an episode, in steps.
        observation_space: space of one copy's observation (`Box`, or `Dict` of `Box`).
        action_space: space of one copy's action (`Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`).
        rngs: one random generator for each copy; the views fill it before the first `reset`.
        time: (num_envs,) int64, steps taken in the running episode: 0 after a reset, `episode_steps` at its end. Kept
            by the base class; in `step` it is the index of the step being taken, 0 <= time < episode_steps.
    """

    observation_space: Space[Any]
    action_space: Space[Any]

    def __init__(self, num_envs: int, episode_steps: int) -> None:
        self.num_envs = check_integer("num_envs", num_envs, 1)
        self.episode_steps = check_integer("episode_steps", episode_steps, 1)
        self.rngs: list[np.random.Generator] = []
        self.time = np.zeros(self.num_envs, np.int64)

    # What a task's author writes.

    @abstractmethod
    def reset(self, copies: np.ndarray) -> None:
        """Begin a new episode in some copies, drawing all of its randomness.

        Args:
            copies: (n,) int64, indices of the copies, rising.
        """

    @abstractmethod
    def step(self, actions: np.ndarray) -> np.ndarray:
        """Take one step in every copy; `self.time` is advanced by the caller, after this.

        Args:
            actions: (num_envs, *action shape), already checked to be in the action space.

        Returns:
            (num_envs,) rewards, float64, a new array.
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

    # What the views call.

    def begin(self, copies: np.ndarray) -> None:
        """Begin a new episode in these copies (their indices), at time 0."""
        self.time[copies] = 0
        self.reset(copies)

    def advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take one step in every copy; return (num_envs,) rewards and (num_envs,) bool, whose episodes are over now."""
        rewards = self.step(actions)
        self.time += 1
        return rewards, self.time >= self.episode_steps

    def info(self) -> dict[str, np.ndarray]:
        """Return what is told beside the observation: the target and whether this step asks for it."""
        return {"target": self.target(), "query": self.query()}

    def state(self) -> dict[str, Any]:
        """Return all that changes while episodes run: arrays whose first axis is the copy, and the generators' states.

        A task that keeps anything else that changes extends this and `set_state`.
        """
        arrays = {name: value.copy() for name, value in vars(self).items() if self._of_copies(value)}
        return {"arrays": arrays, "generators": [rng.bit_generator.state for rng in self.rngs]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned, with the same arguments and number of copies.

        Raises:
            ValueError: the state is of another task, or of one with other arguments.
        """
        own = {name: value for name, value in vars(self).items() if self._of_copies(value)}
        given = state["arrays"]
        wrong = sorted(set(own) ^ set(given)) or [name for name in own if own[name].shape != given[name].shape]
        if wrong or len(state["generators"]) != len(self.rngs):
            raise ValueError(f"state must be of a {type(self).__name__} with the same arguments; {wrong} do not fit")
        for name, value in own.items():
            setattr(self, name, np.asarray(given[name], value.dtype).copy())
        for rng, generator in zip(self.rngs, state["generators"], strict=True):
            rng.bit_generator.state = generator

    def _of_copies(self, value: Any) -> bool:
        return isinstance(value, np.ndarray) and value.shape[:1] == (self.num_envs,)

    def check_actions(self, actions: Any) -> np.ndarray:
        """Return the actions of all copies as an array of the action space's dtype.

        Raises:
            ValueError: they have another shape, or are outside the action space.
        """
        space = self.action_space
        shape = (self.num_envs, *(space.shape or ()))
        try:
            given = np.asarray(actions)
        except (ValueError, TypeError) as error:
            raise ValueError(f"actions must be an array of shape {shape}: {error}") from None
        if given.dtype.kind not in "biuf":
            raise ValueError(f"actions must be numbers in {space}, got an array of {given.dtype}")
        if given.shape != shape:
            raise ValueError(f"actions must have shape {shape}, one in {space} for each copy; got shape {given.shape}")
        with np.errstate(invalid="ignore", over="ignore"):  # NaN has no integer: it is refused below
            taken = given.astype(space.dtype, copy=False)
        rounded = taken is not given and taken.dtype.kind != "f" and bool((taken != given).any())
        if rounded or not _inside(space, taken):
            raise ValueError(f"actions must be in {space} for every copy, got {given}")
        return taken


def _inside(space: Space[Any], actions: np.ndarray) -> bool:
    """Say whether actions of the right shape and dtype are all in the space."""
    if isinstance(space, spaces.Discrete):
        return bool(((actions >= space.start) & (actions < space.start + space.n)).all())
    if isinstance(space, spaces.MultiDiscrete):
        return bool(((actions >= space.start) & (actions < space.start + space.nvec)).all())
    if isinstance(space, spaces.MultiBinary):
        return bool(((actions == 0) | (actions == 1)).all())
    if isinstance(space, spaces.Box):  # false for NaN, too
        return bool(((actions >= space.low) & (actions <= space.high)).all())
    raise TypeError(f"action_space must be Discrete, MultiDiscrete, MultiBinary or Box, got {space}")
