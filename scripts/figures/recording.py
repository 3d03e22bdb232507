"""Records an episode of a trained policy step by step, with its memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import Distribution, MultiCategoricalDistribution

from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.envs.maze import CELL, Maze
from plastic_rl.envs.scores import find_task
from plastic_rl.scripts import UsageError
from plastic_rl.scripts.runs.folder import Run


class Way(NamedTuple):
    """A way through a maze so far: where the agent was, (steps + 1, 2), x and y in pixels of the maze's frame.

    `least` is the steps of the shortest way to the reward, which was `found` so often before; `last` has the steps and
    least steps of the way before.
    """

    points: np.ndarray = np.zeros((0, 2))
    least: int = 0
    found: int = 0
    last: tuple[int, int] | None = None


class Moment(NamedTuple):
    """What there is to see at one step of an episode: an observation, and what the policy made of it.

    Attributes:
        picture: what the environment draws: a frame (height, width, 3) uint8, a text, or None.
        total: the sum of the rewards so far.
        traces: the core's traces by name, (N, N) float32, presynaptic rows; empty where it has none.
        activity: (N,) outputs of the core; None for a policy without one.
        modulation: M(t) of a neuromodulated core, else None.
        choices: (n,) probabilities of the actions, or of a 1 in each bit, or means of continuous actions.
        action: what was chosen; None at the end of the episode.
        way: of a maze, the way since the agent was put where it started from.
    """

    picture: Any
    total: float
    traces: dict[str, np.ndarray]
    activity: np.ndarray | None
    modulation: float | None
    choices: np.ndarray | None
    action: np.ndarray | None
    way: Way | None


class Camera(gym.Wrapper):
    """Takes a picture of each observation, also of the last one of an episode, which a `VecEnv` does not show.

    `shots` has a picture and the way (None but in a maze) for each; `problem` says why there are no pictures.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.shots: list[tuple[Any, Way | None]] = []
        self.problem = None if env.render_mode else "it has no render mode of that kind"
        task = getattr(env.unwrapped, "task", None)
        self._maze = task if isinstance(task, Maze) else None

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode, and take its first picture."""
        result = self.env.reset(**kwargs)
        self._take(Way())
        return result

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step, then a picture."""
        result = self.env.step(action)
        way = self.shots[-1][1]
        if way is not None and float(result[1]) > 0:  # the way ended, and the agent was put elsewhere
            way = Way(found=way.found + 1, last=(len(way.points), way.least))
        self._take(way)
        return result

    def _take(self, way: Way | None) -> None:
        picture: Any = None
        if self.problem is None:
            try:
                picture = self.env.render()
            except Exception as error:  # whatever it is, the rest can be shown
                self.problem = " ".join(str(error).split()) or type(error).__name__
        if self._maze is not None and way is not None:
            cell, grid = self._maze.position[0], self._maze.grid
            here = (np.array([[grid.columns[cell], grid.rows[cell]]]) + 0.5) * CELL
            least = way.least if len(way.points) else int(self._maze.distance()[0])
            way = way._replace(points=np.concatenate([way.points, here]), least=least)
        self.shots.append((picture, way if self._maze is not None else None))


def record(run: Run, model: BaseAlgorithm, seed: int, deterministic: bool, render_mode: str) -> Iterator[Moment]:
    """Play one episode and tell of each step as it happens; the last moment is the end, with the memory as it was left.

    The seed is that of the environment and of sampled actions; the render mode is `"rgb_array"`, `"ansi"` or `"human"`.
    """
    try:
        env = run.make_env(1, seed, Camera, render_mode=render_mode)
    except UsageError:  # it cannot be made with a render mode, perhaps
        env = run.make_env(1, seed, Camera)
    torch.manual_seed(seed)
    observation: Any = env.reset()
    if problem := env.get_attr("problem")[0]:
        print(f"no pictures of {run.env_id}: {problem}")
    (shots,) = env.get_attr("shots")
    state, total, over, step = None, 0.0, np.ones(1, bool), 0
    while step == 0 or not over[0]:
        action, state, shown = think(model, observation, state, over, deterministic)
        yield Moment(shots[step][0], total, **shown, action=action, way=shots[step][1])
        observation, rewards, over, _ = env.step(action[None])
        total += float(rewards[0])
        step += 1
    yield Moment(shots[step][0], total, **shown, action=None, way=shots[step][1])
    env.close()


@torch.no_grad()
def think(
    model: BaseAlgorithm, observation: Any, state: Any, start: np.ndarray, deterministic: bool
) -> tuple[np.ndarray, Any, dict[str, Any]]:
    """Choose an action for one environment, as `predict` does; return it, the state, and what a `Moment` shows of it.

    What a model does not tell is None. Observations have a batch of 1, `state` is None before the first step, and
    `start`, (1,) bool, says whether an episode begins.
    """
    policy: Any = model.policy
    if not isinstance(policy, PlasticActorCriticPolicy):
        action, state = model.predict(observation, state, start, deterministic=deterministic)
        activity = None if state is None else np.asarray(state[0]).reshape(-1)
        return action[0], state, {"traces": {}, "activity": activity, "modulation": None, "choices": None}
    policy.set_training_mode(False)
    tensor, _ = policy.obs_to_tensor(observation)
    state = policy.initial_state(1) if state is None else state
    flags = torch.as_tensor(start, device=policy.device)
    latent, _, state = policy._step(tensor, state, flags)
    distribution = policy._get_action_dist_from_latent(policy.mlp_extractor.forward_actor(latent))
    action = distribution.get_actions(deterministic=deterministic).cpu().numpy()
    action = policy._to_action_space(action.reshape((-1, *(policy.action_space.shape or ()))))
    memory = policy.actor_state(state)
    traces = {name: trace[0].float().cpu().numpy().copy() for name, trace in policy.core.traces(memory).items()}
    modulation = policy.core.modulation(memory)
    return action[0], state, {
        "traces": _with_effect(traces, policy.core.plasticity()),
        "activity": latent[0].cpu().numpy().copy(),
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
    return values[0].cpu().numpy().reshape(-1)


def choice_names(space: spaces.Space, actions: tuple[str, ...] = ()) -> tuple[str, list[str]]:
    """Return what `Moment.choices` are of in this action space, and the name of each; of `actions`, if these fit."""
    if isinstance(space, spaces.Discrete):
        numbers = [str(space.start + action) for action in range(space.n)]
        return "probability of each action", list(actions) if len(actions) == space.n else numbers
    if isinstance(space, spaces.MultiDiscrete):
        names = [f"{i}: {action}" for i, n in enumerate(space.nvec.flatten()) for action in range(n)]
        return "probability of each action", names
    kind = "probability of a 1 in each bit" if isinstance(space, spaces.MultiBinary) else "mean of each action"
    return kind, [str(i) for i in range(int(np.prod(space.shape or (1,))))]


def action_names(run: Run) -> tuple[str, ...]:
    """Return what a task of this package calls its actions; () where it has no names for them."""
    task = find_task(run.env_id)
    return () if task is None else task[0].action_names


def chosen(space: spaces.Space, action: np.ndarray | None) -> set[int]:
    """Return which of the choices an action took: those of its numbers, or its bits that are 1."""
    if action is None or isinstance(space, spaces.Box):
        return set()
    if isinstance(space, spaces.Discrete):
        return {int(action) - int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        offsets = np.concatenate([[0], np.cumsum(space.nvec.flatten())[:-1]])
        return set((offsets + np.asarray(action).flatten() - space.start.flatten()).tolist())
    return set(np.flatnonzero(action).tolist())


def as_cells(values: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Return values (..., n) as nearly square matrices (..., rows, columns), whose last cells may be filled up."""
    columns = int(np.ceil(np.sqrt(values.shape[-1])))
    padding = [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % columns)]
    return np.pad(values, padding, constant_values=fill).reshape(*values.shape[:-1], -1, columns)
