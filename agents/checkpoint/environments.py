"""What is saved of an environment: one table from the type of a layer to what changes in it while episodes run.

A layer is an environment or a wrapper, of Stable-Baselines3, of Gymnasium's single or of its vector environments. A
training is resumed exactly only if every layer is in the table, or is of this package and has `state()` and
`set_state()`; otherwise the environments begin new episodes. Layers of one's own are added to `LAYERS`.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import gymnasium.wrappers.vector
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.monitor import Monitor, ResultsWriter
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecCheckNan,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations

from plastic_rl.agents.checkpoint.file import is_plain
from plastic_rl.agents.vec_env import GymVectorEnv


@dataclass(frozen=True)
class Layer:
    """What changes in a layer while a training runs, as names of its attributes.

    An attribute may hold numbers, strings, arrays, dicts, lists, a deque, running statistics or stacked frames.

    Args:
        episode: what belongs to the running episodes.
        lasting: what outlives them, such as running statistics; it is restored even where episodes begin anew.
        clocks: times that something began at, and the clock that they were read from; restored as time since then.
    """

    episode: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()
    clocks: tuple[tuple[str, Callable[[], float]], ...] = ()

    def get(self, layer: Any) -> dict[str, dict[str, Any]]:
        """Return what is saved of a layer: `episode`, `lasting` and `clocks`, each by name."""
        return {
            "episode": {name: _read(getattr(layer, name)) for name in self.episode},
            "lasting": {name: _read(getattr(layer, name)) for name in self.lasting},
            "clocks": {name: clock() - getattr(layer, name) for name, clock in self.clocks},
        }

    def set(self, layer: Any, saved: dict[str, dict[str, Any]], goes_on: bool) -> None:
        """Put what `get` returned into a layer; what belongs to episodes only where they go on."""
        for name, value in {**saved["lasting"], **(saved["episode"] if goes_on else {})}.items():
            setattr(layer, name, _restored(getattr(layer, name), value))
        for name, clock in self.clocks:
            setattr(layer, name, clock() - saved["clocks"][name])


class _Own:
    """A layer of this package, which says itself what changes in it."""

    def get(self, layer: Any) -> dict[str, dict[str, Any]]:
        return {"episode": layer.state()}

    def set(self, layer: Any, saved: dict[str, dict[str, Any]], goes_on: bool) -> None:
        if goes_on:
            layer.set_state(saved["episode"])


def _gymnasium(layer: Layer, *names: str) -> dict[type | str, Layer]:
    """Return rows for wrappers that this version of Gymnasium has, single and vector ones."""
    found = [getattr(home, name, None) for home in (gymnasium.wrappers, gymnasium.wrappers.vector) for name in names]
    return {cls: layer for cls in found if cls is not None}


_INFOS = ("reset_infos", "current_reset_info")  # what users are told; of these, text will do
_STATISTICS = ("episode_count", "time_queue", "return_queue", "length_queue")
_RUNNING = ("episode_returns", "episode_lengths")

# By class, or by the full name of a class in a package that this one does not import.
LAYERS: dict[type | str, Layer] = {
    DummyVecEnv: Layer(episode=("reset_infos",)),
    GymVectorEnv: Layer(episode=("reset_infos",)),
    VecCheckNan: Layer(),
    VecExtractDictObs: Layer(),
    VecTransposeImage: Layer(),
    VecFrameStack: Layer(episode=("stacked_obs",)),
    VecMonitor: Layer(_RUNNING, ("episode_count",), (("t_start", time.time),)),
    VecNormalize: Layer(("returns", "old_reward"), ("ret_rms",)),
    Monitor: Layer(
        ("rewards", "needs_reset", "current_reset_info"),
        ("total_steps", "episode_returns", "episode_lengths", "episode_times"),
        (("t_start", time.time),),
    ),
    SyncVectorEnv: Layer(("_env_obs", "_autoreset_envs")),
    gymnasium.wrappers.NormalizeReward: Layer(("discounted_reward",), ("return_rms",)),
    gymnasium.wrappers.vector.NormalizeReward: Layer(("accumulated_reward", "_prev_dones"), ("return_rms",)),
    gymnasium.wrappers.RecordEpisodeStatistics: Layer(
        _RUNNING, _STATISTICS, (("episode_start_time", time.perf_counter),)
    ),
    gymnasium.wrappers.vector.RecordEpisodeStatistics: Layer(
        (*_RUNNING, "prev_dones"), _STATISTICS, (("episode_start_times", time.perf_counter),)
    ),
    **_gymnasium(Layer(lasting=("obs_rms",)), "NormalizeObservation"),
    # RL Baselines3 Zoo puts this one into Gymnasium when it is imported.
    "rl_zoo3.gym_patches.PatchedTimeLimit": Layer(("_elapsed_steps",)),
    "gymnasium.wrappers.common.TimeLimit": Layer(("_elapsed_steps",)),
    **_gymnasium(Layer(("_has_reset",)), "OrderEnforcing"),
    **_gymnasium(Layer(("autoreset",)), "Autoreset"),
    **_gymnasium(Layer(("timesteps",)), "TimeAwareObservation"),
    **_gymnasium(Layer(("observation_queue",)), "DelayObservation"),
    **_gymnasium(Layer(("obs_queue", "padding_value")), "FrameStackObservation"),
    **_gymnasium(Layer(("_obs_buffer",)), "MaxAndSkipObservation"),
    **_gymnasium(Layer(("last_action", "is_sticky_actions", "num_repeats", "repeats_taken")), "StickyAction"),
    # Nothing of an episode is kept in these; a function that `Transform...` is given must keep nothing, either.
    **_gymnasium(
        Layer(),
        *("ClipAction", "ClipReward", "DictInfoToList", "DiscretizeAction", "DiscretizeObservation"),
        *("DtypeObservation", "FilterObservation", "FlattenObservation", "GrayscaleObservation", "PassiveEnvChecker"),
        *("RepeatAction", "RescaleAction", "RescaleObservation", "ReshapeObservation", "ResizeObservation"),
        *("TransformAction", "TransformObservation", "TransformReward", "VectorizeTransformAction"),
        *("VectorizeTransformObservation", "VectorizeTransformReward"),
    ),
}


def environment_state(env: Any) -> list[dict[str, Any]]:
    """Return what is saved of an environment: for each layer its `type`, and its state where that is known."""
    saved = []
    for layer in layers(env):
        kind, row = _name(layer), _row(layer)
        state: dict[str, Any] = {} if row is None else {"state": row.get(layer)}
        if state and not is_plain({k: v for k, v in state["state"]["episode"].items() if k not in _INFOS}):
            state = {}
        if isinstance(layer, VecNormalize):
            state["observations"] = [_read(rms) for rms in observation_statistics(layer)]
        if isinstance(layer, VecMonitor | Monitor):
            state["file"] = _file(layer)
        saved.append({"type": kind, **state})
    return saved


def unknown_layers(env: Any) -> list[str]:
    """Return the names of the layers whose state cannot be saved; none where a training can be resumed exactly."""
    return [type(layer).__name__ for layer in layers(env) if _row(layer) is None]


def lost_layers(saved: list[dict[str, Any]]) -> list[str]:
    """Return the names of the layers whose state is not in what `environment_state` returned."""
    return [layer["type"].rpartition(".")[2] for layer in saved if "state" not in layer]


def set_environment_state(env: Any, saved: list[dict[str, Any]], monitors: Path | None, goes_on: bool) -> bool:
    """Put what `environment_state` returned into an environment that was made the same way and reset.

    Args:
        env: outermost layer.
        saved: for each layer, the outermost first.
        monitors: the folder of monitor files, which go on where they were; without it none is written.
        goes_on: whether episodes go on, if that is possible.

    Returns:
        Whether they do: all layers are the same as before and known.
    """
    own = layers(env)
    same = [_name(layer) for layer in own] == [layer["type"] for layer in saved]
    goes_on = goes_on and same and not unknown_layers(env) and not lost_layers(saved)
    left = list(saved)
    for layer in own:
        found = next((place for place, one in enumerate(left) if one["type"] == _name(layer)), None)
        if found is None:
            continue
        state, row = left.pop(found), _row(layer)
        if row is None or "state" not in state:
            continue
        row.set(layer, state["state"], goes_on)
        if isinstance(layer, VecNormalize):
            for rms, values in zip(observation_statistics(layer), state["observations"], strict=True):
                _restored(rms, values)
        if isinstance(layer, VecMonitor | Monitor) and state["file"] is not None and monitors is not None:
            _continue_file(layer, state["file"], monitors)
    return goes_on


def layers(env: Any) -> list[Any]:
    """Return an environment and all that it wraps, the outermost first; the copies of a vector one after another."""
    return [env, *(layer for inner in _beneath(env) for layer in layers(inner))]


def _beneath(layer: Any) -> list[Any]:
    if isinstance(layer, VecEnvWrapper):
        return [layer.venv]
    if isinstance(layer, DummyVecEnv | SyncVectorEnv):
        return list(layer.envs)
    if isinstance(layer, GymVectorEnv | gymnasium.Wrapper | gymnasium.vector.VectorWrapper):
        return [layer.env]
    return []


def _row(layer: Any) -> Layer | _Own | None:
    """Return how a layer is saved; None where nobody says what changes in it."""
    for key in (type(layer), _name(layer)):
        if key in LAYERS:
            return LAYERS[key]
    for cls in type(layer).__mro__:
        if {"state", "set_state"} <= vars(cls).keys():
            return _Own() if any(base.__module__.startswith("plastic_rl.") for base in cls.__mro__) else None
        if {"step", "reset", "step_wait"} & vars(cls).keys():
            return None  # it does something of its own, and does not say what it keeps
    return None


def _name(layer: Any) -> str:
    return f"{type(layer).__module__}.{type(layer).__qualname__}"


def observation_statistics(env: VecNormalize) -> list[Any]:
    """Return the running statistics of the observations: none, one, or one for each key."""
    if not env.norm_obs:
        return []
    return list(env.obs_rms.values()) if isinstance(env.obs_rms, dict) else [env.obs_rms]


def _is_statistics(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("mean", "var", "count")) and not hasattr(value, "shape")


def _read(value: Any) -> Any:
    """Return the content of what an attribute holds."""
    if _is_statistics(value):
        return {name: getattr(value, name) for name in ("mean", "var", "count")}
    if isinstance(value, StackedObservations):
        return _frames(value)
    return list(value) if isinstance(value, deque) else value


def _restored(current: Any, saved: Any) -> Any:
    """Return the content of an attribute: the same object, filled, where it is one with a content."""
    if _is_statistics(current):
        vars(current).update(saved)
    elif isinstance(current, StackedObservations):
        _set_frames(current, saved)
    elif isinstance(current, deque):
        current.clear()
        current.extend(saved)
    else:
        return saved
    return current


def _frames(stack: StackedObservations) -> Any:
    parts = getattr(stack, "sub_stacked_observations", None)
    return stack.stacked_obs if parts is None else {key: _frames(part) for key, part in parts.items()}


def _set_frames(stack: StackedObservations, saved: Any) -> None:
    parts = getattr(stack, "sub_stacked_observations", None)
    if parts is None:
        stack.stacked_obs = saved
    else:
        for key, part in parts.items():
            _set_frames(part, saved[key])


def _file(layer: VecMonitor | Monitor) -> dict[str, Any] | None:
    if layer.results_writer is None:
        return None
    handler = layer.results_writer.file_handler
    handler.flush()
    return {"name": Path(handler.name).name, "size": os.path.getsize(handler.name)}


def _continue_file(layer: VecMonitor | Monitor, file: dict[str, Any], folder: Path) -> None:
    path = folder / Path(file["name"]).name
    if path.exists():  # episodes after the checkpoint will be played again
        os.truncate(path, min(file["size"], path.stat().st_size))
    if layer.results_writer is None:
        keys = layer.info_keywords if isinstance(layer, VecMonitor) else layer.reset_keywords + layer.info_keywords
        layer.results_writer = ResultsWriter(str(path), extra_keys=keys, override_existing=False)
