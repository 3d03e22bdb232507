"""Step every task for long, at random arguments, and check what must always hold: `pytest -m soak tests/soak`.

Half of the copies act at random, half play the right answers. Checked at every step: observations are in their space,
rewards in the task's range and nothing where nothing is asked, the previous action and reward are seen, episodes have
their length and their number of questions, no return is above what can be earned; now and then, that an environment put
into this one's state goes on in the same way; at the end, that the mean returns are those that scores are made of, and
that memory does not grow. What does not hold is an AssertionError that says where.
"""

import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode

from plastic_rl.envs.views import TaskVectorEnv
from tests.soak.soak_tasks import KNOWN

CONFIGURATION = 20_000  # steps
TWIN_EVERY, TWIN_STEPS = 1000, 5
# A page or two come and go; what leaks at each step would be far more after half a configuration.
GROWTH = 16.0  # MB
SURPRISE = 6.0  # standard errors


class Returns:
    """Returns of episodes, seen from the mean that they should have."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, difference: float) -> None:
        """Take note of how far a return is from its mean."""
        self.count, self.total, self.squares = self.count + 1, self.total + difference, self.squares + difference**2

    def surprise(self) -> float:
        """Return how many standard errors their mean is from what it should be."""
        if self.count < 100:
            return 0.0
        mean = self.total / self.count
        variance = max(self.squares / self.count - mean**2, 1e-9)
        return mean / (variance / self.count) ** 0.5


@dataclass
class Figures:
    """What came out of one environment's soak.

    Attributes:
        env_id: of the environment.
        steps: of the vector environment.
        copy_steps: the same, times the number of copies.
        configurations: different choices of arguments.
        seconds: how long it took.
        growth: by how many MB memory grew at most in the second half of a configuration.
        returns: of copies that act at random and of those that play the right answers.
    """

    env_id: str
    steps: int = 0
    copy_steps: int = 0
    configurations: int = 0
    seconds: float = 0.0
    growth: float = 0.0
    returns: dict[str, Returns] = field(default_factory=lambda: {"random": Returns(), "oracle": Returns()})

    def row(self) -> str:
        """Return the figures as a row of a table."""
        episodes = sum(returns.count for returns in self.returns.values())
        surprises = ", ".join(f"{returns.surprise():+.1f}" for returns in self.returns.values())
        return (
            f"| `{self.env_id}` | {self.steps:,} | {self.copy_steps:,} | {self.configurations} | {episodes:,} "
            f"| {self.growth:+.1f} | {surprises} | {self.seconds:.0f} |"
        )


class Configuration:
    """An environment with some arguments, and what is known of the episodes in it.

    Args:
        env: a vector environment of this package.
        make: makes another one like it.
        rng: for all that is random.
    """

    def __init__(self, env: TaskVectorEnv, make: Callable[[], TaskVectorEnv], rng: np.random.Generator) -> None:
        self.env, self.make, self.rng = env, make, rng
        self.task = env.task
        self.known = KNOWN[type(env.task).__name__]
        self.returns, self.time, self.queries = (np.zeros(env.num_envs) for _ in range(3))
        self.over = np.zeros(env.num_envs, bool)
        self.oracle = (np.arange(env.num_envs) + rng.integers(2)) % 2 == 0
        self.reference = env.reference_returns()
        # Where an answer leads somewhere else, as in the maze, a lucky episode may be better than the oracle's mean.
        moves = type(env.task).__name__ == "Maze"
        self.most = self.known.rewards(self.task)[1] * self.known.queries(self.task) if moves else self.reference.oracle
        env.action_space.seed(int(rng.integers(2**31)))
        self.observations, self.infos = env.reset(seed=int(rng.integers(2**31)))

    def actions(self) -> np.ndarray:
        """Return actions for all copies: right ones for half of them."""
        actions = np.array(self.env.action_space.sample())
        actions[self.oracle] = self.infos["target"][self.oracle]
        return actions

    def step(self, figures: Figures) -> None:
        """Take a step in all copies, and check it."""
        env, before, asked = self.env, self.over, self.infos["query"]
        actions = self.actions()
        self.observations, rewards, over, cut, self.infos = env.step(actions)
        assert self.observations in env.observation_space, f"{self.observations} is not in {env.observation_space}"
        assert not cut.any(), "an episode was cut off"
        low, high = self.known.rewards(self.task)
        assert ((rewards >= low) & (rewards <= high)).all(), f"rewards {rewards} are not in [{low}, {high}]"
        counts = asked & ~before  # a copy that begins anew takes no step
        assert not rewards[~counts].any(), f"rewards {rewards} where nothing was asked"
        self.returns += rewards
        self.queries += counts
        self.time = np.where(before, 0, self.time + 1)
        assert (over == (self.time == self.task.episode_steps)).all(), f"episodes ended after {self.time[over]} steps"
        self._check_what_is_seen(actions, rewards, over, before)
        self._end(over, figures)

    def _check_what_is_seen(
        self, actions: np.ndarray, rewards: np.ndarray, over: np.ndarray, before: np.ndarray
    ) -> None:
        if self.known.seen is None:
            return
        where, place = self.known.seen(self.task)
        seen = np.array(self.observations)
        for i in np.flatnonzero(over) if self.env.autoreset_mode is AutoresetMode.SAME_STEP else ():
            assert not seen[i, where].any(), "a new episode remembers an action"
            assert seen[i, place] == 0, "a new episode remembers a reward"
            seen[i] = self.infos["final_obs"][i]
        expected = np.eye(seen[:, where].shape[1], dtype=np.float32)[actions]
        expected[before] = 0
        assert (seen[:, where] == expected).all(), f"actions {actions} are seen as {seen[:, where]}"
        assert (seen[:, place] == rewards.astype(np.float32)).all(), f"rewards {rewards} are seen as {seen[:, place]}"

    def _end(self, over: np.ndarray, figures: Figures) -> None:
        """Judge the episodes that are over, and begin new ones as the autoreset mode says."""
        ended = np.flatnonzero(over)
        asked = self.queries[ended]
        assert (asked == self.known.queries(self.task)).all(), f"episodes of {asked} questions"
        assert (self.returns[ended] <= self.most + 1e-6).all(), f"returns {self.returns[ended]} are above {self.most}"
        for i in ended:
            policy = "oracle" if self.oracle[i] else "random"
            figures.returns[policy].add(float(self.returns[i]) - getattr(self.reference, policy))
        self.returns[ended] = self.queries[ended] = 0
        self.over = over & (self.env.autoreset_mode is AutoresetMode.NEXT_STEP)
        if self.env.autoreset_mode is AutoresetMode.SAME_STEP:
            self.time[ended] = 0
        elif self.env.autoreset_mode is AutoresetMode.DISABLED and ended.size:
            self.time[ended] = 0
            self.observations, infos = self.env.reset(options={"reset_mask": over.copy()})
            self.infos = {key: np.where(_like(over, values), infos[key], values) for key, values in self.infos.items()}

    def check_twin(self) -> None:
        """Check that another environment in this one's state goes on as this one does, and take this one back."""
        state = copy.deepcopy(self.env.state())
        twin = self.make()
        twin.reset(seed=0)
        twin.set_state(copy.deepcopy(state))
        for _ in range(TWIN_STEPS):
            if self.env.autoreset_mode is AutoresetMode.DISABLED and self.env._over.any():
                break
            actions = np.array(self.env.action_space.sample())
            for mine, other in zip(self.env.step(actions)[:4], twin.step(actions)[:4], strict=True):
                assert _same(mine, other), f"a twin goes another way: {mine}, {other}"
        self.env.set_state(state)


def _like(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    return mask.reshape(-1, *[1] * (values.ndim - 1))


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return all(np.array_equal(first[key], second[key]) for key in first)
    return np.array_equal(first, second)


def soak(env_id: str, steps: int, seed: int = 0) -> Figures:
    """Step one environment at random arguments, another choice of them every 20,000 steps, and check what must hold.

    Args:
        env_id: of a task of this package.
        steps: of the vector environment, 1 to 8 copies each.
        seed: of all that is random.

    Raises:
        AssertionError: something does not hold; the message has the arguments.
        FileNotFoundError: the task's data set is not there.
    """
    rng = np.random.default_rng(seed)
    figures, begin = Figures(env_id), time.perf_counter()
    while figures.steps < steps:
        make = _at_random_arguments(env_id, rng)
        configuration = Configuration(make(), make, rng)
        length = min(CONFIGURATION, steps - figures.steps)
        try:
            figures.growth = max(figures.growth, run(configuration, length, figures))
        except AssertionError as error:
            raise AssertionError(f"{env_id} with {configuration.env.arguments}: {error}") from error
        figures.configurations += 1
    figures.seconds = time.perf_counter() - begin
    for policy, returns in figures.returns.items():
        assert abs(returns.surprise()) < SURPRISE, f"{env_id}: the mean return of {policy} actions is not as said"
    return figures


def run(configuration: Configuration, length: int, figures: Figures) -> float:
    """Take so many steps; return by how many MB memory grew in the second half."""
    at_half = 0.0
    for step in range(length):
        configuration.step(figures)
        if step % TWIN_EVERY == 0:
            configuration.check_twin()
        if step == length // 2:
            at_half = _memory()
    growth = _memory() - at_half
    assert growth < GROWTH, f"memory grew by {growth:.0f} MB in {length // 2} steps"
    figures.steps += length
    figures.copy_steps += length * configuration.env.num_envs
    return growth


def _at_random_arguments(env_id: str, rng: np.random.Generator) -> Callable[[], TaskVectorEnv]:
    """Return what makes an environment, with arguments that it takes; those that its id fixes are left as they are."""
    spec = gym.spec(env_id)
    vector_class: Any = load_env_creator(spec.vector_entry_point)  # type: ignore[arg-type]
    choices = KNOWN[vector_class.task_class.__name__].choices
    while True:
        arguments = {**spec.kwargs}
        for name in choices.keys() - spec.kwargs.keys():
            if rng.random() < 0.7:
                arguments[name] = choices[name][rng.integers(len(choices[name]))]
        views = {"num_envs": int(rng.integers(1, 9)), "autoreset_mode": list(AutoresetMode)[rng.integers(3)]}
        try:
            vector_class(**views, **arguments)
        except ValueError:  # arguments that do not go together
            continue
        return lambda: vector_class(**views, **arguments)


def _memory() -> float:
    """Return the memory that this process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
