"""Gymnasium vector environments as SB3 ones."""

import inspect
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, dummy_vec_env
from stable_baselines3.common.vec_env.patch_gym import _patch_env as sb3_patch_env


class GymVectorEnv(VecEnv):
    """A Gymnasium `VectorEnv` seen as an SB3 `VecEnv`.

    The algorithms of this package wrap a `VectorEnv` by themselves. SB3's `EvalCallback` and `evaluate_policy` need it
    wrapped, and say so: `evaluate_policy(model, GymVectorEnv(env))`.

    Args:
        env: a vector environment that resets its copies in the same step (`AutoresetMode.SAME_STEP`).

    Attributes:
        vector_infos: the infos of the last reset or step as the environment gave them: arrays over all copies.

    Raises:
        ValueError: the environment resets in another mode.

    Example:
        >>> import gymnasium as gym
        >>> from plastic_rl.agents import GymVectorEnv
        >>> envs = GymVectorEnv(gym.make_vec("plastic_rl/PatternRecall-v0", 4, autoreset_mode="SameStep"))
        >>> envs.num_envs
        4
    """

    def __init__(self, env: VectorEnv) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"env must reset its copies in the same step, not in mode {mode}: make it with "
                "gymnasium.make_vec(..., autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)"
            )
        self.env = env
        self.vector_infos: dict[str, Any] = {}
        self._actions: np.ndarray = np.zeros(0)
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Begin an episode in every copy and return the observations."""
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        options = deepcopy(self._options[0]) or None  # Gymnasium takes a key out of it
        observations, self.vector_infos = self.env.reset(seed=seeds, options=options)  # type: ignore[arg-type]
        self.reset_infos = self._rows(self.vector_infos)
        self._reset_seeds()
        self._reset_options()
        return _copied(observations)

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Set the options of the next reset, for all copies the same.

        Raises:
            ValueError: a list gives copies different ones, which Gymnasium's vector environments do not take.
        """
        if isinstance(options, list) and any(not _same(other, options[0]) for other in options):
            raise ValueError(f"options must be the same for all copies of a vector environment, not {options!r}")
        super().set_options(options)

    def step_async(self, actions: np.ndarray) -> None:
        """Remember the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Take the step; infos carry `terminal_observation` and `TimeLimit.truncated` where an episode ended."""
        observations, rewards, terminated, truncated, self.vector_infos = self.env.step(self._actions)
        dones = np.logical_or(terminated, truncated)
        infos = self._rows(self.vector_infos)
        if dones.any():
            final_infos = self._rows(self.vector_infos.get("final_info", {}))
            for i in np.flatnonzero(dones):
                self.reset_infos[i] = infos[i]
                infos[i] = {**final_infos[i], "terminal_observation": self.vector_infos["final_obs"][i]}
        for info, cut in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            info["TimeLimit.truncated"] = cut
        # With `copy=False` the arrays are the environment's own, which it writes into at the next step.
        return _copied(observations), rewards.astype(np.float32), dones, infos

    def _rows(self, columns: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a dict for each copy out of Gymnasium's dict of columns, each with a mask under "_key"."""
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for key, column in columns.items():
            if key in ("final_obs", "final_info") or f"_{key}" not in columns:
                continue
            mask = columns[f"_{key}"]
            values = self._rows(column) if isinstance(column, dict) else column
            if isinstance(values, np.ndarray) and values.ndim == 1:
                values = values.tolist()  # Python's own numbers, as single environments give them
            for i in range(self.num_envs) if mask.all() else np.flatnonzero(mask):
                rows[i][key] = values[i]
        return rows

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return a frame of each copy."""
        frames: Any = self.env.render()
        return frames

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of each copy; where they are one object, it is the same for all."""
        if isinstance(self.env.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            values = self.env.unwrapped.get_attr(attr_name)
        else:
            values = (getattr(self.env.unwrapped, attr_name),) * self.num_envs
        return [values[i] for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all copies.

        Raises:
            ValueError: `indices` names some of the copies only, which may be one object.
        """
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ValueError(f"indices must be None, for all copies of a native vector environment, not {indices!r}")
        if isinstance(self.env.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            self.env.unwrapped.set_attr(attr_name, [value] * self.num_envs)
        else:
            setattr(self.env.unwrapped, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        """Call a method and return its result for each copy; where they are one object, it is called once."""
        if isinstance(self.env.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            results = self.env.unwrapped.call(method_name, *method_args, **method_kwargs)
        else:
            results = (getattr(self.env.unwrapped, method_name)(*method_args, **method_kwargs),) * self.num_envs
        return [results[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None) -> list[bool]:
        """Say that no copy is wrapped by itself."""
        return [False for _ in self._get_indices(indices)]


def _copied(observations: Any) -> Any:
    if isinstance(observations, dict):
        return {key: np.array(value) for key, value in observations.items()}
    return np.array(observations)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return one is other or bool(np.array_equal(one, other))


def wrap_vector_env(env: VectorEnv) -> VecEnv:
    """Return a Gymnasium `VectorEnv` as an SB3 `VecEnv` with Monitor's episode statistics in `info["episode"]`."""
    return VecMonitor(GymVectorEnv(env))


def _patch_env(env: Any) -> gymnasium.Env:
    if isinstance(env, VectorEnv):
        raise ValueError(f"{type(env).__name__} is a vector environment: pass plastic_rl.GymVectorEnv(env)")
    return sb3_patch_env(env)


# SB3 takes what is no `VecEnv` of its own for a single environment; its message about a `VectorEnv` is on OpenAI Gym.
vars(dummy_vec_env)["_patch_env"] = _patch_env


def has_vector_form(env_id: str) -> bool:
    """Say whether an id ("id" or "module:id") is registered with a vector form that can reset in the same step."""
    module, _, name = env_id.rpartition(":")
    if module:
        import_module(module)
    entry_point: Any = gymnasium.spec(name).vector_entry_point
    if isinstance(entry_point, str):
        entry_point = load_env_creator(entry_point)
    return callable(entry_point) and "autoreset_mode" in inspect.signature(entry_point).parameters


def make_vec_env(
    env_id: str | Callable[..., gymnasium.Env],
    n_envs: int = 1,
    seed: int | None = None,
    start_index: int = 0,
    monitor_dir: str | None = None,
    env_kwargs: dict[str, Any] | None = None,
    **kwargs: Any,
) -> VecEnv:
    """Make a vectorized environment: native where the id is registered with a vector form, else SB3's.

    Args:
        env_id: a registered id, also in the form "module:id", or what else SB3's `make_vec_env` takes.
        n_envs: number of copies.
        seed: copy i is seeded seed + start_index + i.
        start_index: index of the first copy.
        monitor_dir: folder for SB3's monitor file(s); none is written by default.
        env_kwargs: arguments of the environment.
        kwargs: as in SB3's `make_vec_env` (`wrapper_class`, `vec_env_cls`, ...). Any that is set is about single
            environments, and so asks for SB3's.

    Returns:
        An SB3 `VecEnv` with episode statistics in `info["episode"]`.
    """
    if any(kwargs.values()) or not isinstance(env_id, str) or not has_vector_form(env_id):
        return make_sb3_vec_env(
            partial(_make_of_spec, gymnasium.spec(env_id)) if isinstance(env_id, str) else env_id,
            n_envs,
            seed,
            start_index,
            monitor_dir,
            env_kwargs=env_kwargs,
            **kwargs,
        )
    native = gymnasium.make_vec(
        env_id,
        num_envs=n_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode="SameStep",
        **(env_kwargs or {}),
    )
    env = VecMonitor(GymVectorEnv(native), None if monitor_dir is None else f"{monitor_dir}/{start_index}")
    env.seed(None if seed is None else seed + start_index)
    return env


def _make_of_spec(spec: EnvSpec, **kwargs: Any) -> gymnasium.Env:
    """Make an environment where its id need not be registered: in a worker process, which imports nothing itself."""
    creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    modes = (getattr(creator, "metadata", None) or {}).get("render_modes")
    if modes is not None and "rgb_array" not in modes:
        return gymnasium.make(spec, **kwargs)  # to ask for pictures would be a warning
    try:
        return gymnasium.make(spec, **{"render_mode": "rgb_array", **kwargs})
    except TypeError:  # it has no render mode
        return gymnasium.make(spec, **kwargs)
