"""Checkpoints: one file with all that training needs to go on as if it had never stopped."""

import hashlib
import io
import os
import pickle
import random
import time
from collections import deque
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.monitor import ResultsWriter
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from plastic_rl.agents.rollouts import RecurrentRollouts
from plastic_rl.agents.vec_env import GymVectorEnv

FORMAT = 1
KEPT = 2
_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "ent_coef", "_ent_coef_start")
_DIGEST = hashlib.sha256().digest_size


class DamagedCheckpointError(ValueError):
    """A file that is no whole checkpoint, or holds what is not loaded."""


class OtherFormatError(ValueError):
    """A whole checkpoint of another version of this package."""


def capture(model: RecurrentRollouts) -> dict[str, Any]:
    """Return all that changes while a model learns, between two rollouts.

    Parameters, optimiser, counters, the last episodes, and `lives`.

    Returns:
        Dicts, lists and tuples of tensors, numbers and strings: `torch.load(..., weights_only=True)` reads them.
    """
    return {
        "format": FORMAT,
        "plastic_rl": version("plastic_rl"),
        "algorithm": type(model).__name__,
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "logger": Path(model.logger.dir).name if model.logger.dir else None,
        "counters": {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
        "episodes": _plain(list(model.ep_info_buffer or [])),
        **lives(model),
    }


def lives(model: RecurrentRollouts) -> dict[str, Any]:
    """Return what each process of a training has for itself.

    Running lives with their recurrent state, random generators, statistics of `VecNormalize` and of the monitor. The
    environments' own state is there for this package's vector environments only.
    """
    assert model.env is not None
    return {
        "rollout": _plain(
            {
                "observations": model._last_obs,
                "starts": model._last_episode_starts,
                "answers": getattr(model, "_last_answers", None),
                "states": model._last_states,
            }
        ),
        "generators": _generators(model.device),
        "environment": _plain(_environment(model.env)),
    }


def restore(
    model: RecurrentRollouts, state: dict[str, Any], own: dict[str, Any] | None, monitors: Path | None = None
) -> bool:
    """Put what `capture` returned into a model that was set up the same way and whose environments were reset.

    Args:
        model: made with the same arguments.
        state: of the same algorithm, policy and environments.
        own: what `lives` returned for this process, in `state` for the first one; without it, new lives begin.
        monitors: the folder of the monitor file, which goes on where it was; without it none is written.

    Returns:
        Whether the environments go on where they were; otherwise they begin new episodes.

    Raises:
        ValueError: the state is of another algorithm.
        RuntimeError: its parameters do not fit.
    """
    assert model.env is not None
    if state["algorithm"] != type(model).__name__:
        raise ValueError(f"the checkpoint is of {state['algorithm']}, not of {type(model).__name__}")
    model.policy.load_state_dict(state["policy"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    for name, value in state["counters"].items():
        setattr(model, name, value)
    model._num_timesteps_at_start = model.num_timesteps  # for steps per second
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    exact = _set_environment(model.env, _arrays((own or state)["environment"]), monitors, goes_on=own is not None)
    if own is None:
        return False
    if exact:
        rollout = own["rollout"]
        model._last_obs = _arrays(rollout["observations"])
        model._last_episode_starts = _arrays(rollout["starts"])
        if rollout["answers"] is not None:
            model._last_answers = _arrays(rollout["answers"])  # type: ignore[attr-defined]
        states = rollout["states"]
        model._last_states = None if states is None else tuple(part.to(model.device) for part in states)
    _set_generators(own["generators"], model.device)
    return exact


def write(model: RecurrentRollouts, folder: Path, others: Sequence[dict[str, Any]] = ()) -> Path:
    """Write a checkpoint into a folder, and delete all but the last two; a file there is whole at every moment.

    Args:
        model: of this process.
        folder: of the checkpoints.
        others: what `lives` returned in the other processes of the training.

    Raises:
        OSError: it cannot be written; nothing is left of it, and the ones before are untouched.
    """
    buffer = io.BytesIO()
    torch.save({**capture(model), "others": list(others)}, buffer)
    content = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model.num_timesteps:015d}.pt"
    part = path.with_suffix(".part")
    try:
        with open(part, "wb") as file:
            file.write(content + hashlib.sha256(content).digest())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(folder)
    for old in [*checkpoints(folder)[:-KEPT], *folder.glob("*.part")]:  # a part is what a kill may leave
        old.unlink()
    return path


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing that it holds is executed.

    Raises:
        DamagedCheckpointError: the file is cut off or changed, or holds something else than a checkpoint does.
        OtherFormatError: it is of a version that cannot be read.
    """
    content = path.read_bytes()
    if hashlib.sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
        raise DamagedCheckpointError(f"checkpoint {path.name} is damaged: its content does not fit its checksum")
    try:
        state = torch.load(io.BytesIO(content[:-_DIGEST]), map_location=device, weights_only=True)
        found = state["format"]
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, TypeError) as error:
        raise DamagedCheckpointError(
            f"checkpoint {path.name} holds something other than tensors, numbers and strings, which is not loaded"
        ) from error
    if found != FORMAT:
        raise OtherFormatError(
            f"checkpoint {path.name} is of format {found}, written by plastic_rl {state.get('plastic_rl')}; "
            f"this version reads format {FORMAT}"
        )
    return state


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest last."""
    return sorted(folder.glob("*.pt"))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain(value: Any) -> Any:
    """Return the same with tensors for arrays, and Python's numbers for NumPy's."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(entry) for entry in value)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, torch.Tensor):  # another process may have no GPU of that number
        return value.cpu()
    return value.item() if isinstance(value, np.generic) else value


def _arrays(value: Any) -> Any:
    """Undo `_plain`."""
    if isinstance(value, dict):
        return {key: _arrays(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_arrays(entry) for entry in value)
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else value


def _generators(device: torch.device) -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (SB3 draws from it)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def _set_generators(state: dict[str, Any], device: torch.device) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def _layers(env: VecEnv) -> list[VecEnv]:
    layers = [env]
    while isinstance(layers[-1], VecEnvWrapper):
        layers.append(layers[-1].venv)
    return layers


def _environment(env: VecEnv) -> dict[str, Any]:
    """Return what the environments and the wrappers around them are in, by the name of the class."""
    found: dict[str, Any] = {}
    for layer in _layers(env):
        if isinstance(layer, VecNormalize):
            found["VecNormalize"] = {
                "observations": [vars(rms) for rms in observation_statistics(layer)],
                "returns": [vars(layer.ret_rms), layer.returns],
            }
        if isinstance(layer, VecMonitor):
            found["VecMonitor"] = _monitor(layer)
        if isinstance(layer, GymVectorEnv) and hasattr(layer.env.unwrapped, "set_state"):
            found["GymVectorEnv"] = layer.env.unwrapped.state()  # type: ignore[attr-defined]
    return found


def observation_statistics(env: VecNormalize) -> list[RunningMeanStd]:
    """Return the running statistics of the observations: none, one, or one for each key."""
    if not env.norm_obs:
        return []
    return list(env.obs_rms.values()) if isinstance(env.obs_rms, dict) else [env.obs_rms]


def _monitor(env: VecMonitor) -> dict[str, Any]:
    file = None
    if env.results_writer is not None:
        handler = env.results_writer.file_handler
        handler.flush()
        file = {"name": Path(handler.name).name, "size": os.path.getsize(handler.name)}
    return {
        "returns": env.episode_returns,
        "lengths": env.episode_lengths,
        "count": env.episode_count,
        "seconds": time.time() - env.t_start,
        "file": file,
    }


def _set_environment(env: VecEnv, state: dict[str, Any], monitors: Path | None, goes_on: bool) -> bool:
    exact = False
    for layer in _layers(env):
        if isinstance(layer, VecNormalize) and (saved := state.get("VecNormalize")):
            for rms, values in zip(observation_statistics(layer), saved["observations"], strict=True):
                vars(rms).update(values)
            vars(layer.ret_rms).update(saved["returns"][0])
            if goes_on:
                layer.returns = saved["returns"][1]
        if goes_on and isinstance(layer, GymVectorEnv) and (saved := state.get("GymVectorEnv")):
            layer.env.unwrapped.set_state(saved)  # type: ignore[attr-defined]
            exact = True
    for layer in _layers(env):
        if isinstance(layer, VecMonitor) and (saved := state.get("VecMonitor")):
            _set_monitor(layer, saved, monitors, exact)
    return exact


def _set_monitor(env: VecMonitor, saved: dict[str, Any], folder: Path | None, exact: bool) -> None:
    env.t_start = time.time() - saved["seconds"]
    env.episode_count = saved["count"]
    if exact:
        env.episode_returns, env.episode_lengths = saved["returns"], saved["lengths"]
    if folder is None or saved["file"] is None or env.results_writer is not None:
        return
    path = folder / Path(saved["file"]["name"]).name
    if path.exists():  # episodes after the checkpoint will be lived again
        os.truncate(path, min(saved["file"]["size"], path.stat().st_size))
    env.results_writer = ResultsWriter(str(path), override_existing=False)
