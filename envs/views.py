"""The two views of a task: `TaskEnv`, a `gymnasium.Env`, and `TaskVectorEnv`, a `gymnasium.vector.VectorEnv`."""

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import logger
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from plastic_rl.arguments import check_choice, check_integer, suggestion
from plastic_rl.envs.rendering import Window
from plastic_rl.envs.scores import measure_returns
from plastic_rl.envs.task import Observations, ReferenceReturns, Task


class TaskEnv(gymnasium.Env):
    """One copy of a task, as a Gymnasium environment.

    `info["target"]` is the best action now and `info["query"]` says whether it counts; the observation holds neither.

    Args:
        render_mode: None, "ansi" (text), "rgb_array" (an image) or "human" (a window, drawn at each reset and step).
        arguments: the task's own; see the docstring of `task_class`.

    Example:
        >>> import gymnasium as gym
        >>> import plastic_rl
        >>> env = gym.make("plastic_rl/PatternRecall-v0", n_bits=8)
        >>> observation, info = env.reset(seed=0)
        >>> observation, reward, terminated, truncated, info = env.step(info["target"])
    """

    task_class: ClassVar[type[Task]]
    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array", "human"], "render_fps": 8}  # noqa: RUF012

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.metadata = {**cls.metadata, "render_modes": _drawn(cls, TaskEnv)}
        cls.__doc__ = _with_task(cls)

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:
        self.render_mode = _render_mode(render_mode, *TaskEnv.metadata["render_modes"])
        self.arguments = arguments
        self.task = _make_task(self.task_class, 1, arguments)
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space
        self._ready = False
        self._window: Window | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; `seed=None` goes on with the generator (from fresh entropy the first time)."""
        super().reset(seed=seed)
        self.task.rngs = [self.np_random]
        self.task.begin(np.zeros(1, np.int64))
        self._ready = True
        self._show()
        return _one(self.task.observe(), 0), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one step.

        Raises:
            gymnasium.error.ResetNeeded: there is no running episode.
            ValueError: the action is not in the action space.
        """
        if not self._ready:
            raise ResetNeeded("step() needs a running episode: call reset() first")
        rewards, over = self.task.advance(self.task.check_actions([action]))
        self._ready = not over[0]
        self._show()
        return _one(self.task.observe(), 0), float(rewards[0]), bool(over[0]), False, self._info()

    def state(self) -> dict[str, Any]:
        """Return all that changes while episodes run, as arrays, numbers and strings; `set_state` goes on from it."""
        return {**self.task.state(), "ready": self._ready}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: the state is of another environment, or of one with other arguments.
        """
        self.task.set_state(state)
        self._ready = bool(state["ready"])
        if self.task.rngs:
            self.np_random = self.task.rngs[0]

    def render(self) -> Any:
        """Return a frame or a text, as the render mode says; None in the mode "human", which draws it in a window."""
        if self.render_mode is None:
            logger.warn("render() draws nothing: no render_mode was given when the environment was made")
            return None
        if self.render_mode == "human":
            return self._show()
        return _render(self.task, self.render_mode, 0)

    def reference_returns(self) -> ReferenceReturns:
        """Return the mean returns of a random policy and of the oracle: exact where the task knows, else measured."""
        return self.task.reference_returns() or measure_returns(self.task_class, self.arguments)

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def _info(self) -> dict[str, Any]:
        # Python's own numbers: SyncVectorEnv makes arrays of objects from NumPy's bool.
        return {key: value[0].item() if value.ndim == 1 else value[0] for key, value in self.task.info().items()}

    def _show(self) -> None:
        if self.render_mode != "human":
            return
        if self._window is None:
            self._window = Window(type(self).__name__)
        self._window.show(self.task.render_frame(0), self.metadata["render_fps"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_window": None}  # a window belongs to its process


class TaskVectorEnv(VectorEnv):
    """Many copies of a task, as a Gymnasium vector environment.

    Copy i, seeded s, has the episodes of the `TaskEnv` seeded s + i. Infos come in Gymnasium's vector format, each key
    with its mask: `target`, `query`, and in the mode SAME_STEP `final_obs` and `final_info` where an episode ended.

    Args:
        num_envs: number of copies.
        autoreset_mode: NEXT_STEP, SAME_STEP or DISABLED (then reset with `options={"reset_mask": ...}`), an
            `AutoresetMode`, its name or its value.
        render_mode: None, "ansi" or "rgb_array": `render` returns one text or image for each copy. With "ansi_list" or
            "rgb_array_list" it returns for each copy those since its episode began, or since `render` was called last.
        max_episode_steps: an episode is cut off (`truncated`) after so many steps, as by `gymnasium.make` with this
            argument; None or -1 for whole episodes.
        arguments: the task's own; see the docstring of `task_class`.

    Example:
        >>> import gymnasium as gym
        >>> import plastic_rl
        >>> envs = gym.make_vec("plastic_rl/PatternRecall-v0", num_envs=64, n_bits=8)
        >>> observations, infos = envs.reset(seed=0)
        >>> observations, rewards, terminated, truncated, infos = envs.step(infos["target"])
        >>> rewards.shape
        (64,)
    """

    task_class: ClassVar[type[Task]]
    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 8}  # noqa: RUF012

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.metadata = {**cls.metadata, "render_modes": _drawn(cls, TaskVectorEnv)}
        cls.__doc__ = _with_task(cls)

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        **arguments: Any,
    ) -> None:
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = _render_mode(render_mode, "ansi", "rgb_array", "ansi_list", "rgb_array_list")
        self.max_episode_steps = None
        if max_episode_steps not in (None, -1):
            self.max_episode_steps = check_integer("max_episode_steps", max_episode_steps, 1)
        self.arguments = arguments
        self.task = _make_task(self.task_class, num_envs, arguments)
        self.num_envs = self.task.num_envs
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._seeds: list[int | None] = [None] * self.num_envs
        self._over = np.ones(self.num_envs, bool)
        self._ready = False
        self._collected: list[list[Any]] = [[] for _ in range(self.num_envs)]

    @property  # type: ignore[override]
    def np_random(self) -> tuple[np.random.Generator, ...]:
        """The generators of the copies, from fresh entropy where they were never seeded."""
        if not self.task.rngs:
            self._seed(None, np.arange(self.num_envs))
        return tuple(self.task.rngs)

    @np_random.setter  # type: ignore[override]
    def np_random(self, value: Sequence[np.random.Generator]) -> None:
        self.task.rngs, self._seeds = list(value), [None] * self.num_envs

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seeds of the copies' generators."""
        return tuple(self._seeds)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin an episode in every copy, or where `options["reset_mask"]` says.

        Args:
            seed: an int s seeds copy i with s + i; a sequence gives one seed a copy; None, there or for all, goes on
                with the copy's generator (from fresh entropy the first time).
            options: `reset_mask`, (num_envs,) bool with at least one True: the copies that begin a new episode.

        Raises:
            ValueError, TypeError: a seed or a mask of the wrong length, shape or kind.
        """
        mask = self._reset_mask(options)
        if not self._ready and not mask.all():
            raise ResetNeeded("the first reset() must reset all copies: leave options['reset_mask'] out")
        copies = np.flatnonzero(mask)
        self._seed(seed, copies)
        self.task.begin(copies)
        self._over[mask] = False
        self._ready = True
        self._collect(copies, mask)
        return self.task.observe(), _masked(self.task.info(), mask)

    def step(self, actions: Any) -> tuple[Observations, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take one step in every copy; episodes that ended begin anew as the autoreset mode says.

        Raises:
            gymnasium.error.ResetNeeded: some copy has no running episode.
            ValueError: the actions are not in the action space.
        """
        over_before = np.flatnonzero(self._over)
        if not self._ready or (over_before.size and self.autoreset_mode is not AutoresetMode.NEXT_STEP):
            raise ResetNeeded(f"step() needs running episodes: first reset() the copies {over_before.tolist()}")
        actions = self.task.check_actions(actions)
        self.task.time[over_before] = 0  # their step is thrown away, and must be a legal one until then
        rewards, terminated = self.task.advance(actions)
        truncated = np.zeros(self.num_envs, bool)
        if self.max_episode_steps is not None:
            truncated = self.task.time >= self.max_episode_steps
        begun = self._over.copy()
        if over_before.size:
            self.task.begin(over_before)
            rewards[over_before] = 0.0
            terminated[over_before] = truncated[over_before] = False
        infos: dict[str, Any] = {}
        self._over = terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._over.any():
            begun = self._over
            infos = self._final_infos(begun)
            self.task.begin(np.flatnonzero(begun))
            self._over = np.zeros(self.num_envs, bool)
        infos.update(_masked(self.task.info(), np.ones(self.num_envs, bool)))
        self._collect(np.arange(self.num_envs), begun)
        return self.task.observe(), rewards, terminated, truncated, infos

    def state(self) -> dict[str, Any]:
        """Return all that changes while episodes run, as arrays, numbers and strings; `set_state` goes on from it."""
        return {**self.task.state(), "over": self._over.copy(), "ready": self._ready}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: the state is of another environment, or of one with other arguments.
        """
        self.task.set_state(state)
        self._over = np.asarray(state["over"], bool).copy()
        self._ready = bool(state["ready"])

    def render(self) -> tuple[Any, ...] | None:
        """Return one text or frame for each copy, as the render mode says."""
        if self.render_mode is None:
            logger.warn("render() draws nothing: no render_mode was given when the environment was made")
            return None
        if self.render_mode.endswith("_list"):
            collected, self._collected = self._collected, [[] for _ in range(self.num_envs)]
            return tuple(collected)
        return tuple(_render(self.task, self.render_mode, copy) for copy in range(self.num_envs))

    def reference_returns(self) -> ReferenceReturns:
        """Return the mean returns of a random policy and of the oracle: exact where the task knows, else measured."""
        return self.task.reference_returns() or measure_returns(self.task_class, self.arguments)

    def _seed(self, seed: int | Sequence[int | None] | None, copies: np.ndarray) -> None:
        if isinstance(seed, (int, np.integer)):
            seeds: list[int | None] = [int(seed) + copy for copy in range(self.num_envs)]
        elif seed is None:
            seeds = [None] * self.num_envs
        elif isinstance(seed, Sequence | np.ndarray) and all(
            s is None or isinstance(s, int | np.integer) for s in seed
        ):
            seeds = [None if s is None else int(s) for s in seed]
        else:
            raise TypeError(f"seed must be an int, None, or a sequence of these, got {seed!r}")
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be an int or hold one seed for each of {self.num_envs} copies, got {seed!r}")
        if not self.task.rngs:
            drawn = [seeding.np_random(s) for s in seeds]
            self.task.rngs, self._seeds = [rng for rng, _ in drawn], [s for _, s in drawn]
            return
        for copy in copies:
            if seeds[copy] is not None:
                self.task.rngs[copy], self._seeds[copy] = seeding.np_random(seeds[copy])

    def _reset_mask(self, options: dict[str, Any] | None) -> np.ndarray:
        if options is not None and not isinstance(options, dict):
            raise TypeError(f"options must be a dict or None, got {options!r}")
        mask = (options or {}).get("reset_mask")
        if mask is None:
            return np.ones(self.num_envs, bool)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError(f"options['reset_mask'] must be a NumPy array of bool, got {mask!r}")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(f"options['reset_mask'] must be ({self.num_envs},) with at least one True, got {mask}")
        return mask

    def _collect(self, copies: np.ndarray, begun: np.ndarray) -> None:
        """Keep what these copies look like now, for the render modes that are lists."""
        if self.render_mode is None or not self.render_mode.endswith("_list"):
            return
        for copy in copies:
            if begun[copy]:
                self._collected[copy] = []
            self._collected[copy].append(_render(self.task, self.render_mode.removesuffix("_list"), copy))

    def _final_infos(self, over: np.ndarray) -> dict[str, Any]:
        last = self.task.observe()
        final_obs = np.full(self.num_envs, None, dtype=object)
        for copy in np.flatnonzero(over):
            final_obs[copy] = _one(last, int(copy))
        final_info = _masked(self.task.info(), over)
        return {"final_obs": final_obs, "_final_obs": over.copy(), "final_info": final_info, "_final_info": over.copy()}


def _make_task(task_class: type[Task], num_envs: int, arguments: dict[str, Any]) -> Task:
    parameters = inspect.signature(task_class).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        for name in arguments:
            if name not in parameters:
                raise TypeError(f"{task_class.__name__} has no argument {name!r}; {suggestion(name, parameters)}")
    try:
        return task_class(num_envs=num_envs, **arguments)
    except MemoryError as error:
        raise ValueError(f"num_envs={num_envs} and {arguments} need more memory than there is: {error}") from error


def _one(observations: Observations, copy: int) -> Any:
    if isinstance(observations, dict):
        return {key: value[copy] for key, value in observations.items()}
    return observations[copy]


def _masked(info: dict[str, np.ndarray], mask: np.ndarray) -> dict[str, Any]:
    """Put infos into Gymnasium's vector format: zeros where the mask is False, and the mask under "_key"."""
    infos: dict[str, Any] = {}
    for key, value in info.items():
        value[~mask] = 0
        infos[key], infos[f"_{key}"] = value, mask.copy()
    return infos


def _render(task: Task, mode: str, copy: int) -> Any:
    return task.render_text(copy) if mode == "ansi" else task.render_frame(copy)


def _with_task(cls: Any) -> str | None:
    """Return the docstring of a view with that of its task below: what the environment is, and its arguments."""
    task = cls.__dict__.get("task_class")
    return cls.__doc__ if task is None else f"{inspect.getdoc(cls)}\n\n{inspect.getdoc(task)}"


def _drawn(view: Any, base: Any) -> list[str]:
    """Return those render modes of a view that its task can draw."""
    task_class = getattr(view, "task_class", Task)
    text, frame = task_class.render_text is not Task.render_text, task_class.render_frame is not Task.render_frame
    return [mode for mode in base.metadata["render_modes"] if (text if mode == "ansi" else frame)]


def _render_mode(mode: str | None, *modes: str) -> str | None:
    return None if mode is None else check_choice("render_mode", mode, modes)


def _autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    for known in AutoresetMode:
        if isinstance(mode, str | AutoresetMode) and mode in (known, known.name, known.value):
            return known
    names = ", ".join(f"{known.value!r} ({known.name})" for known in AutoresetMode)
    raise ValueError(f"autoreset_mode must be one of {names}, got {mode!r}")
