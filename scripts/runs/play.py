"""Plays a trained policy: the rewards of whole episodes, and bootstrap intervals of their means."""

from itertools import zip_longest
from typing import Any

import numpy as np
from stable_baselines3.common.evaluation import evaluate_policy

from plastic_rl.scripts import refuse
from plastic_rl.scripts.runs.folder import Run

RESAMPLES = 2000


def mean_interval(values: Any) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the mean of some numbers, (n,)."""
    low, high = bootstrap_interval(np.asarray(values)[:, None])[:, 0].tolist()
    return low, high


def bootstrap_interval(values: np.ndarray) -> np.ndarray:
    """Return 95% bootstrap intervals of the means of columns, (2, columns), of values (n, columns) or NaN."""
    # A resample is how often each row was drawn, which makes all of the means two products of matrices.
    draws = np.random.default_rng(0).multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means = (draws @ np.where(there, values, 0.0)) / (draws @ there.astype(float))
    intervals = np.full((2, values.shape[1]), np.nan)
    some = there.any(axis=0)
    intervals[:, some] = np.nanquantile(means[:, some], [0.025, 0.975], axis=0)
    return intervals


def play_run(
    run: Run, model: Any, n_episodes: int, seed: int, deterministic: bool, erased: tuple[int, ...] = (), **more: Any
) -> np.ndarray:
    """Play a run's model; return the reward of each step of each episode, (n_episodes, longest), NaN after its end.

    Parts of the recurrent state that are `erased` (see `ablated`) are zero before every step.
    """
    env = run.make_env(min(n_episodes, 64), seed, **more)
    model.set_random_seed(seed)
    running: list[list[float]] = [[] for _ in range(env.num_envs)]
    episodes: list[list[float]] = []

    def remember(seen: dict[str, Any], _: Any) -> None:
        copy = seen["i"]
        running[copy].append(float(seen["reward"]))
        if seen["done"]:
            episodes.append(running[copy])
            running[copy] = []
        for part in erased:
            seen["states"][part][:] = 0

    evaluate_policy(model, env, n_episodes, deterministic, callback=remember, warn=False)
    env.close()
    return np.array(list(zip_longest(*episodes, fillvalue=np.nan))).T


def evaluate(run: Run, model: Any, episodes: int, seed: int, deterministic: bool, ablate: str | None = None) -> dict:
    """Play one run's episodes, perhaps without a part of the memory, and return the figures; see `ablated`."""
    erased = () if ablate is None else ablated(model, ablate)
    rewards = play_run(run, model, episodes, seed, deterministic, erased)
    returns, by_time = np.nansum(rewards, axis=1), np.nanmean(rewards, axis=0)
    mean, interval = float(returns.mean()), mean_interval(returns)
    scores = [run.score(value) for value in (mean, *interval)]
    return {
        "run": str(run.folder),
        "env": run.env_id,
        "actions": "deterministic" if deterministic else "sampled",
        "ablate": ablate,
        "episodes": len(returns),
        "seed": seed,
        "mean_return": mean,
        "interval": interval,
        "score": scores[0],
        "score_interval": scores[1:] if scores[0] is not None else None,
        "reward_per_step_by_quarter": [float(p.mean()) if len(p) else 0.0 for p in np.array_split(by_time, 4)],
        "reward_by_time": by_time.tolist(),
        "reward_by_time_interval": bootstrap_interval(rewards).tolist(),
    }


def ablated(model: Any, ablate: str) -> tuple[int, ...]:
    """Return which parts of the recurrent state, the traces or the others, to set to zero; `UsageError` without any."""
    core = getattr(model.policy, "core", None)
    if core is None:
        refuse(f"--ablate must be left out: {type(model).__name__} has no recurrent core")
    state = core.initial_state(1)
    traces = list(core.traces(state).values())
    is_trace = [any(part is trace for trace in traces) for part in state]
    if ablate == "trace" and not any(is_trace):
        refuse(f"--ablate must be 'state', not 'trace': core {model.policy.core_name!r} has no trace")
    return tuple(i for i, trace in enumerate(is_trace) if trace == (ablate == "trace"))
