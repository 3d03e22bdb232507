"""Records an episode of a trained policy step by step, with its memory."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.wrappers import RenderCollection
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import Distribution, MultiCategoricalDistribution
from stable_baselines3.common.vec_env import VecEnv

from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.envs.scores import find_task
from plastic_rl.scripts.runs.folder import Run

MOST_BARS = 12  # more choices than that are drawn as cells


class Moment(NamedTuple):
    """What there is to see at one step of an episode: an observation, and what the policy made of it.

    Attributes:
        picture: what the environment draws: a frame (height, width, 3) uint8, a text, or None.
        total: the sum of the rewards so far.
        action: what was chosen; None at the end of the episode.
        traces: the core's traces by name, (N, N) float32, presynaptic rows; empty where it has none.
        activity: (N,) outputs of the core; None for a policy without one.
        modulation: M(t) of a neuromodulated core, else None.
        choices: (n,) probabilities of the actions, or of a 1 in each bit, or means of continuous actions.
    """

    picture: Any
    total: float
    action: np.ndarray | None
    traces: dict[str, np.ndarray]
    activity: np.ndarray | None = None
    modulation: float | None = None
    choices: np.ndarray | None = None


def record(run: Run, model: BaseAlgorithm, seed: int, deterministic: bool, render_mode: str) -> Iterator[Moment]:
    """Play one episode from a seed and tell of each step; the last moment is the end, and the memory then."""
    env, observation, pictures = _begin(run, seed, render_mode)
    torch.manual_seed(seed)
    state, total, over, step = None, 0.0, np.ones(1, bool), 0
    while step == 0 or not over[0]:
        action, state, memory = think(model, observation, state, over, deterministic)
        yield Moment(pictures[step] if pictures else None, total, action, **memory)
        observation, rewards, over, _ = env.step(action[None])
        total += float(rewards[0])
        step += 1
    yield Moment(pictures[step] if pictures else None, total, None, **memory)
    env.close()


def _begin(run: Run, seed: int, render_mode: str) -> tuple[VecEnv, Any, list[Any]]:
    """Return an environment, its first observation, and the list of its pictures, which grows with every step."""
    try:
        camera = partial(RenderCollection, pop_frames=False, reset_clean=False)
        env = run.make_env(1, seed, camera, render_mode=render_mode)
        return env, env.reset(), env.get_attr("frame_list")[0]
    except Exception as error:  # whatever it is, the rest can be shown
        print(f"no pictures of {run.env_id}: {' '.join(str(error).split()) or type(error).__name__}")
        env = run.make_env(1, seed)
        return env, env.reset(), []


@torch.no_grad()
def think(model: BaseAlgorithm, observation: Any, state: Any, start: np.ndarray, deterministic: bool) -> tuple:
    """Choose an action for one environment as `predict` does; return it, the state, and a `Moment`'s memory."""
    action, after = model.predict(observation, state, start, deterministic=deterministic)
    policy: Any = model.policy
    if not isinstance(policy, PlasticActorCriticPolicy):
        return action[0], after, {"traces": {}, "activity": None if after is None else np.ravel(after[0])}
    tensors, starts = policy._state_tensors(state, 1), torch.as_tensor(start, device=policy.device)
    latent, _, tensors = policy._step(policy.obs_to_tensor(observation)[0], tensors, starts)
    distribution = policy._get_action_dist_from_latent(policy.mlp_extractor.forward_actor(latent))
    memory = policy.actor_state(tensors)
    traces = {name: trace[0].float().cpu().numpy() for name, trace in policy.core.traces(memory).items()}
    modulation = policy.core.modulation(memory)
    return action[0], after, {
        "traces": _with_effect(traces, policy.core.plasticity()),
        "activity": latent[0].cpu().numpy(),
        "modulation": None if modulation is None else modulation.item(),
        "choices": _choices(distribution),
    }  # fmt: skip


def _with_effect(traces: dict[str, np.ndarray], plasticity: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Return traces that are matrices, each with the plastic weight that it makes, alpha times the trace, after it."""
    shown = {}
    for name, trace in traces.items():
        if trace.ndim != 2:
            continue
        shown[name] = trace
        alpha = plasticity.get(f"{name.rpartition('.')[0]}.alpha".removeprefix("."))
        if name.endswith("trace") and alpha is not None and tuple(alpha.shape) in ((), trace.shape):
            shown[f"alpha * {name}"] = alpha.float().cpu().numpy() * trace
    return shown


def _choices(distribution: Distribution) -> np.ndarray:
    inner: Any = distribution.distribution
    if isinstance(distribution, MultiCategoricalDistribution):
        return np.concatenate([part.probs[0].cpu().numpy() for part in inner])
    values = inner.probs if getattr(inner, "probs", None) is not None else inner.mean
    return np.ravel(values[0].cpu().numpy())


def choice_names(run: Run, space: gym.Space) -> list[str]:
    """Return the name of each of `Moment.choices`: those that a task of this package gives its actions, or numbers."""
    task = find_task(run.env_id)
    names = list(task[0].action_names) if task else []
    size = spaces.flatdim(space)
    return names if len(names) == size else [str(i) for i in range(size)]


def chosen(space: gym.Space, action: np.ndarray | None) -> set[int]:
    """Return which of the choices an action took: those of its numbers, or its bits that are 1."""
    if action is None or isinstance(space, spaces.Box):
        return set()
    return set(np.flatnonzero(np.asarray(spaces.flatten(space, action))).tolist())


def as_cells(values: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Return values (n,) as a nearly square matrix, whose last cells may be filled up."""
    columns = int(np.ceil(np.sqrt(len(values))))
    return np.pad(values, (0, -len(values) % columns), constant_values=fill).reshape(-1, columns)
