"""Scores: mean returns on a scale where a random policy has 0 and the oracle, which plays `info["target"]`, has 1."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.utils import seeding
from gymnasium.vector.utils import batch_space

from plastic_rl.envs.task import ReferenceReturns, Task

# Arguments of the views, which change no return.
VIEW_ARGUMENTS = (
    "autoreset_mode",
    "max_episode_steps",
    "num_envs",
    "render_mode",
    "vector_kwargs",
    "vectorization_mode",
    "wrappers",
)

_measured: dict[str, ReferenceReturns] = {}


def score(env: Any, mean_return: float, **arguments: Any) -> float | None:
    """Return the score of a mean return: 0 for a random policy's, 1 for the oracle's.

    Args:
        env: an id, an `EnvSpec`, an environment, a vector environment or a `VecEnv` of Stable-Baselines3.
        mean_return: undiscounted return of an episode, on average.
        arguments: of the environment, on top of the spec's own; only with an id or an `EnvSpec`.

    Returns:
        The score, or None for an environment that is no task of this package's kind.
    """
    returns = reference_returns(env, **arguments)
    return None if returns is None else (mean_return - returns.random) / (returns.oracle - returns.random)


def reference_returns(env: Any, **arguments: Any) -> ReferenceReturns | None:
    """Return the mean returns of a random policy and of the oracle; None for no task of this package's kind.

    They are exact where the task can say, else measured, from a fixed seed, when first asked for.

    Args:
        env: an id, an `EnvSpec`, an environment, a vector environment or a `VecEnv` of Stable-Baselines3.
        arguments: of the environment, on top of the spec's own; only with an id or an `EnvSpec`.

    Raises:
        gymnasium.error.Error: there is no such id.
    """
    layer = env
    while not isinstance(layer, (str, EnvSpec)):
        if hasattr(type(layer), "reference_returns"):
            return layer.reference_returns()
        layer = _beneath(layer)
        if layer is None:
            return None
    task = find_task(layer, **arguments)
    if task is None:
        return None
    task_class, task_arguments = task
    return task_class(num_envs=1, **task_arguments).reference_returns() or measure_returns(task_class, task_arguments)


def find_task(env: str | EnvSpec, **arguments: Any) -> tuple[type[Task], dict[str, Any]] | None:
    """Return the task class behind an id or spec, and its arguments; None where there is none."""
    spec = gymnasium.spec(env) if isinstance(env, str) else env
    try:
        creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    except ImportError:  # an environment whose own dependencies are missing is none of ours
        return None
    task_class = getattr(creator, "task_class", None)
    if task_class is None:
        return None
    return task_class, {k: v for k, v in {**spec.kwargs, **arguments}.items() if k not in VIEW_ARGUMENTS}


def measure_returns(
    task_class: type[Task], arguments: dict[str, Any], episodes: int = 512, seed: int = 0
) -> ReferenceReturns:
    """Return the mean returns of uniform actions and of the oracle over `episodes` episodes each, from `seed`.

    A figure is computed once in a process.
    """
    key = repr((task_class.__module__, task_class.__qualname__, sorted(arguments.items()), episodes, seed))
    if key not in _measured:
        task = task_class(num_envs=episodes, **arguments)
        _measured[key] = ReferenceReturns(_mean_return(task, seed, False), _mean_return(task, seed, True))
    return _measured[key]


def _mean_return(task: Task, seed: int, oracle: bool) -> float:
    task.rngs = [seeding.np_random(seed + copy)[0] for copy in range(task.num_envs)]
    actions = batch_space(task.action_space, task.num_envs)
    actions.seed(seed)
    task.begin(np.arange(task.num_envs))
    total = 0.0
    for _ in range(task.episode_steps):
        rewards, _ = task.advance(task.check_actions(task.target() if oracle else actions.sample()))
        total += rewards.mean().item()
    return total


def _beneath(layer: Any) -> Any:
    """Return what a wrapper wraps, the first of several copies, or else the spec; None at the end."""
    for name in ("env", "venv"):
        if hasattr(layer, name):
            return getattr(layer, name)
    if getattr(layer, "envs", None):
        return layer.envs[0]
    return getattr(layer, "spec", None)
