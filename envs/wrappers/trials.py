"""Trials: several episodes of the same hidden task in a row, from any Gymnasium environment."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import Space, spaces
from gymnasium.utils import RecordConstructorArgs, seeding
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, iterate

from plastic_rl.arguments import check_integer
from plastic_rl.envs.scores import reference_returns
from plastic_rl.envs.task import ReferenceReturns, generator_in_state
from plastic_rl.envs.wrappers.entries import add_entries, as_dict, autoreset_mode_of

Seeds = int | Sequence[int | None] | None

_NO_OPTIONS: dict[str, Any] = {}
ENTRIES: dict[str, Space[Any]] = {
    name: spaces.Box(0, 1, (1,), np.float32) for name in ("episode_start", "trial_elapsed")
}


class Trials(gym.Wrapper, RecordConstructorArgs):
    """Joins several episodes of the same hidden task into one trial, as RL^2 does.

    All episodes of a trial begin with `env.reset(seed=...)` of one seed, drawn anew for each trial: whatever the
    environment draws is the same in each of them, so what is learned in the first is of use in the next. A trial is one
    episode for the learner: it ends, always with `terminated`, with the last of its episodes; the ends before that are
    not reported, but seen. The observation is a `Dict`: the entries of the environment's own (or `observation`, if that
    is no `Dict`), with

    * `episode_start`: (1,) float32, 1 at the first observation of each episode;
    * `trial_elapsed`: (1,) float32, the fraction of the trial's episodes that are over.

    Args:
        env: any environment whose episodes end, and whose randomness comes from its seed.
        episodes: in a trial, at least 1.

    Raises:
        ValueError: `episodes` is less than 1, or the observation has an entry of such a name already.
    Source: Duan et al. (2016), "RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning".

    Example:
        >>> import gymnasium as gym
        >>> from plastic_rl.envs.wrappers import Trials
        >>> env = Trials(gym.make("CartPole-v1"), 3)
        >>> observation, info = env.reset(seed=0)
    """

    def __init__(self, env: gym.Env, episodes: int = 5) -> None:
        RecordConstructorArgs.__init__(self, episodes=episodes)
        super().__init__(env)
        self.episodes = check_integer("episodes", episodes, 1)
        self.observation_space = add_entries(env.observation_space, ENTRIES)
        self._rng: np.random.Generator | None = None
        self._seed = 0
        self._done = 0
        self._options: dict[str, Any] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a trial; each of its episodes is reset with these options."""
        if seed is not None or self._rng is None:
            self._rng, _ = seeding.np_random(seed)
        self._seed, self._done, self._options = _draw_seed(self._rng), 0, options
        observation, info = self.env.reset(seed=self._seed, options=deepcopy(options))
        return self._extend(observation, True), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take one step; where an episode ends within the trial, return the first observation of the next one."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        ended = terminated or truncated
        self._done += bool(ended)
        over = self._done >= self.episodes
        if ended and not over:
            observation, info = self.env.reset(seed=self._seed, options=deepcopy(self._options))
        return self._extend(observation, ended and not over), reward, over, False, info

    def state(self) -> dict[str, Any]:
        """Return all that changes while trials run, without what the environment inside keeps."""
        generator = None if self._rng is None else self._rng.bit_generator.state
        return {"generator": generator, "seed": self._seed, "done": self._done, "options": deepcopy(self._options)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._rng = None if state["generator"] is None else generator_in_state(state["generator"])
        self._seed, self._done, self._options = int(state["seed"]), int(state["done"]), deepcopy(state["options"])

    def reference_returns(self) -> ReferenceReturns | None:
        """Return those of one episode, times the number of episodes; None where there are none."""
        return _times(reference_returns(self.env), self.episodes)

    def _extend(self, observation: Any, start: bool) -> dict[str, Any]:
        elapsed = self._done / self.episodes
        added = {"episode_start": np.array([start], np.float32), "trial_elapsed": np.array([elapsed], np.float32)}
        return as_dict(observation) | added


class VectorTrials(VectorWrapper):
    """`Trials` for a vector environment: copy i seeded s has the trials of `Trials` seeded s + i.

    Args:
        env: in the autoreset mode DISABLED (this wrapper resets it), whose `reset` takes one seed a copy.
        episodes: in a trial, at least 1.
        autoreset_mode: of trials: SAME_STEP or DISABLED.

    Raises:
        ValueError: another mode, there or here; `episodes` less than 1.

    Example:
        >>> import gymnasium as gym
        >>> import plastic_rl
        >>> from plastic_rl.envs.wrappers import VectorTrials
        >>> envs = gym.make_vec("plastic_rl/Maze-v0", num_envs=8, autoreset_mode="Disabled")
        >>> observations, infos = VectorTrials(envs, 3).reset(seed=0)
        >>> observations["trial_elapsed"].shape
        (8, 1)
    """

    def __init__(
        self, env: VectorEnv, episodes: int = 5, autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP
    ) -> None:
        super().__init__(env)
        if autoreset_mode_of(env) is not AutoresetMode.DISABLED:
            raise ValueError(f"env must have the autoreset mode DISABLED, got {autoreset_mode_of(env)}")
        if autoreset_mode not in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
            raise ValueError(f"autoreset_mode must be SAME_STEP or DISABLED, got {autoreset_mode!r}")
        self.autoreset_mode = autoreset_mode
        self.metadata = {**env.metadata, "autoreset_mode": autoreset_mode}
        self.episodes = check_integer("episodes", episodes, 1)
        self.single_observation_space = add_entries(env.single_observation_space, ENTRIES)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._rngs: list[np.random.Generator] = []
        self._seeds = np.zeros(env.num_envs, np.int64)
        self._done = np.zeros(env.num_envs, np.int64)
        self._start = np.zeros(env.num_envs, bool)
        self._options = [_NO_OPTIONS] * env.num_envs

    def reset(self, *, seed: Seeds = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin trials in all copies, or where `options["reset_mask"]` says; their episodes have the other options."""
        copies = range(self.num_envs)
        seeds = [seed + i for i in copies] if isinstance(seed, (int, np.integer)) else seed or [None] * self.num_envs
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be an int or hold one seed for each of {self.num_envs} copies, got {seed!r}")
        begun = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        if not self._rngs:
            self._rngs = [seeding.np_random(s)[0] for s in seeds]
        else:
            self._rngs = [
                seeding.np_random(s)[0] if s is not None and begun[i] else self._rngs[i] for i, s in enumerate(seeds)
            ]
        given = {name: value for name, value in (options or {}).items() if name != "reset_mask"}
        observations, infos = self._begin_trials(begun, given or _NO_OPTIONS)
        self._start = self._start | begun  # what the others observe has not changed
        return self._extend(observations, self._start), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one step; where an episode ends within a trial, return the first observation of the next one."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        ended = np.logical_or(terminated, truncated)
        self._done += ended
        over = self._done >= self.episodes
        start = ended & ~over
        if start.any():
            observations, begun_infos = self._begin_episodes(start)
            infos = _replace(infos, begun_infos, start)
        if over.any() and self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos = self._finish(observations, infos, over)
            observations, begun_infos = self._begin_trials(over, _NO_OPTIONS)
            infos = _replace(infos, begun_infos, over)
            start = start | over
        self._start = start
        return self._extend(observations, start), rewards, over, np.zeros_like(over), infos

    def state(self) -> dict[str, Any]:
        """Return all that changes while trials run, without what the environment inside keeps."""
        arrays = {"seeds": self._seeds.copy(), "done": self._done.copy(), "start": self._start.copy()}
        generators = [rng.bit_generator.state for rng in self._rngs]
        return {**arrays, "generators": generators, "options": deepcopy(self._options)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: the state is of another number of copies.
        """
        if len(state["seeds"]) != self.num_envs:
            raise ValueError(f"state must be of {self.num_envs} copies, got one of {len(state['seeds'])}")
        self._seeds, self._done = (np.array(state[name], np.int64) for name in ("seeds", "done"))
        self._start = np.array(state["start"], bool)
        self._rngs = [generator_in_state(generator) for generator in state["generators"]]
        self._options = [deepcopy(options) or _NO_OPTIONS for options in state["options"]]

    def reference_returns(self) -> ReferenceReturns | None:
        """Return those of one episode, times the number of episodes; None where there are none."""
        return _times(reference_returns(self.env), self.episodes)

    def _begin_trials(self, mask: np.ndarray, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        for copy in np.flatnonzero(mask):
            self._seeds[copy] = _draw_seed(self._rngs[copy])
            self._options[copy] = options
        self._done[mask] = 0
        return self._begin_episodes(mask)

    def _begin_episodes(self, mask: np.ndarray) -> tuple[Any, dict[str, Any]]:
        first = self._options[int(np.flatnonzero(mask)[0])]
        same = mask & np.array([options is first for options in self._options])
        seeds = [int(seed) if begun else None for seed, begun in zip(self._seeds, same, strict=True)]
        options = deepcopy(first) if same.all() else deepcopy(first) | {"reset_mask": same}
        observations, infos = self.env.reset(seed=seeds, options=options or None)  # type: ignore[arg-type]
        others = mask & ~same  # their trials began with other options
        if not others.any():
            return observations, infos
        observations, begun_infos = self._begin_episodes(others)
        return observations, _replace(infos, begun_infos, others)

    def _finish(self, observations: Any, infos: dict[str, Any], over: np.ndarray) -> dict[str, Any]:
        last = list(iterate(self.observation_space, self._extend(observations, np.zeros_like(over))))
        final_obs = np.full(self.num_envs, None, dtype=object)
        for copy in np.flatnonzero(over):
            final_obs[copy] = deepcopy(last[copy])  # the environment may use its arrays again
        final_info = {key: _only(value, over) for key, value in infos.items() if isinstance(value, np.ndarray)}
        return infos | {
            "final_obs": final_obs,
            "_final_obs": over.copy(),
            "final_info": final_info,
            "_final_info": over.copy(),
        }

    def _extend(self, observations: Any, start: np.ndarray) -> dict[str, Any]:
        elapsed = (self._done / self.episodes).astype(np.float32)
        added = {"episode_start": start.astype(np.float32)[:, None], "trial_elapsed": elapsed[:, None]}
        return as_dict(observations) | added


def _draw_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _times(returns: ReferenceReturns | None, episodes: int) -> ReferenceReturns | None:
    return None if returns is None else ReferenceReturns(episodes * returns.random, episodes * returns.oracle)


def _only(value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a copy that is empty, as Gymnasium's infos are, where the mask is False."""
    kept = value.copy()
    kept[~mask] = None if value.dtype == object else 0
    return kept


def _replace(infos: dict[str, Any], begun: dict[str, Any], mask: np.ndarray) -> dict[str, Any]:
    """Return infos in which those of the copies in the mask come from `begun`, the infos of their reset."""
    merged = dict(infos)
    for key, value in infos.items():
        if isinstance(value, np.ndarray) and not key.lstrip("_").startswith("final_"):
            merged[key] = _only(value, ~mask)
    for key, value in begun.items():
        if isinstance(value, np.ndarray) and key in merged:
            merged[key][mask] = value[mask]
        elif key not in merged:
            merged[key] = value
    for key in [key for key in merged if f"_{key}" in merged and not merged[f"_{key}"].any()]:
        del merged[key], merged[f"_{key}"]  # said by no copy any more
    return merged
