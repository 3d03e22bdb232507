"""The maze: its plan, its rewards, what is seen of it, and what it costs to be wrong about its arguments."""

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from plastic_rl.envs.maze import Maze, MazeEnv, MazeVectorEnv
from plastic_rl.envs.maze_grid import OFFSETS
from plastic_rl.envs.scores import measure_returns, score
from tests.envs.maze_explorer import Explorer

UP, DOWN, LEFT, RIGHT = range(4)


def placed(env, goal: tuple[int, int], agent: tuple[int, int] | None = None):
    """Reset, then put the reward (and the agent) into cells of our choice."""
    env.reset(seed=0)
    grid = env.task.grid
    cells = {cell: number for number, cell in enumerate(zip(grid.rows.tolist(), grid.columns.tolist(), strict=True))}
    env.task.goal[:] = cells[goal]
    if agent is not None:
        env.task.position[:] = cells[agent]
    return env


def where(env) -> tuple[int, int]:
    cell = env.task.position[0]
    return int(env.task.grid.rows[cell]), int(env.task.grid.columns[cell])


def test_the_plan():
    env = MazeEnv(size=5, render_mode="ansi")
    plan = placed(env, (1, 1)).render().splitlines()
    assert plan[:5] == ["█████", "█R··█", "█·A·█", "█···█", "█████"]
    plan = placed(MazeEnv(size=7, render_mode="ansi"), (5, 1)).render().splitlines()
    assert plan[:7] == ["███████", "█·····█", "█·█·█·█", "█··A··█", "█·█·█·█", "█R····█", "███████"]


def test_who_knows_the_plan_and_explores_comes_near_the_oracle():
    env, explorer, returns = MazeEnv(), Explorer(size=9), []
    for seed in range(50):
        observation, over, total = env.reset(seed=seed)[0], False, 0.0
        while not over:
            observation, reward, over, _, _ = env.step(explorer(observation))
            total += reward
        returns.append(total)
    assert 0.84 < score(env, np.mean(returns)) < 0.92  # 0.88 over 1,000 episodes


def test_every_episode_starts_at_the_center_and_the_reward_is_anywhere_else():
    env = MazeVectorEnv(2000, size=5)
    env.reset(seed=0)
    goals = np.bincount(env.task.goal, minlength=9)
    assert (env.task.position == 4).all()
    assert goals[4] == 0
    assert (abs(goals[np.arange(9) != 4] - 250) < 80).all()


@pytest.mark.parametrize(("action", "cell"), [(UP, (2, 3)), (DOWN, (4, 3)), (LEFT, (3, 2)), (RIGHT, (3, 4))])
def test_moves(action, cell):
    env = placed(MazeEnv(size=7), (1, 1))
    _, reward, *_ = env.step(action)
    assert where(env) == cell
    assert reward == 0


def test_a_wall_stops_and_costs():
    env = placed(MazeEnv(bump_penalty=0.3), (1, 1), agent=(1, 2))
    observation, reward, *_ = env.step(DOWN)
    assert where(env) == (1, 2)
    assert reward == -0.3
    assert observation[13] == np.float32(-0.3)


def test_the_reward_pays_and_moves_the_agent_elsewhere():
    env = placed(MazeVectorEnv(3000, size=5, reward=7), (1, 1), agent=(1, 2))
    observation, reward, _, _, info = env.step(np.full(3000, LEFT))
    places = np.bincount(env.task.position, minlength=9)
    assert (reward == 7).all()
    assert (observation[:, 13] == 7).all()
    assert places[0] == 0
    assert (abs(places[1:] - 375) < 100).all()
    assert (env.task.goal == 0).all()
    assert (env.distance() > 0).all()
    assert info["query"].all()


def test_the_observation_element_by_element():
    env = placed(MazeEnv(size=7, episode_steps=4), (5, 5))
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]
    placed(env, (5, 5))
    observation, *_ = env.step(UP)
    assert observation.tolist() == [0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0.25]
    observation, *_ = env.step(LEFT)
    assert observation.tolist() == pytest.approx([0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, -0.1, 0.5])


def test_the_reward_cannot_be_seen():
    """Whatever the reward's place, the observations are the same until it is found."""
    seen = set()
    for goal in [(1, 1), (1, 5), (5, 1), (5, 5)]:
        env = placed(MazeEnv(size=7), goal)
        seen.add(tuple(tuple(env.step(action)[0]) for action in (UP, LEFT, DOWN, DOWN, RIGHT)))
    assert len(seen) == 1


@pytest.mark.parametrize("size", [5, 7, 9, 13])
def test_distances_and_targets_are_those_of_a_search_cell_by_cell(size):
    grid = Maze(size=size).grid
    free = set(zip(grid.rows.tolist(), grid.columns.tolist(), strict=True))
    numbered = sorted(free)
    for number, goal in enumerate(numbered):
        steps, edge = {goal: 0}, [goal]
        while edge:
            around = [(cell, (cell[0] + r, cell[1] + c)) for cell in edge for r, c in OFFSETS]
            edge = []
            for cell, neighbor in around:
                if neighbor in free and neighbor not in steps:
                    steps[neighbor] = steps[cell] + 1
                    edge.append(neighbor)
        assert [steps[cell] for cell in numbered] == grid.distance[number].tolist()
    nearer = np.take_along_axis(grid.distance, grid.moves[np.arange(len(free)), grid.best], axis=1)
    assert ((grid.distance == 0) | (nearer == grid.distance - 1)).all()


def test_following_the_target_shortens_the_distance_step_by_step():
    env = MazeEnv()
    _, info = env.reset(seed=2)
    distances = [env.distance()]
    while distances[-1] > 0:
        _, reward, _, _, info = env.step(info["target"])
        distances.append(0 if reward > 0 else env.distance())
    assert all(before - after == 1 for before, after in pairwise(distances))


@pytest.mark.parametrize(
    ("arguments", "random", "oracle"),
    [({}, 9.2, 515.7), ({"size": 11, "episode_steps": 200}, -0.6, 321.4), ({"size": 13}, -1.7, 338.2)],
)
def test_reference_returns_are_those_measured_elsewhere(arguments, random, oracle):
    figures = MazeEnv(**arguments).reference_returns()
    assert figures.random == pytest.approx(random, abs=1.5)
    assert figures.oracle == pytest.approx(oracle, rel=0.015)


def test_exact_reference_returns_are_those_of_play():
    arguments = {"size": 7, "episode_steps": 30, "reward": 2.0, "bump_penalty": 0.5}
    exact, played = MazeEnv(**arguments).reference_returns(), measure_returns(Maze, arguments, episodes=4000)
    assert played.random == pytest.approx(exact.random, abs=0.25)
    assert played.oracle == pytest.approx(exact.oracle, abs=0.25)


@settings(max_examples=15, deadline=None)
@given(
    size=st.sampled_from([5, 7, 9]),
    episode_steps=st.integers(1, 40),
    reward=st.floats(0.1, 20),
    bump_penalty=st.floats(0, 2),
    num_envs=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    mode=st.sampled_from([AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]),
)
def test_the_vector_env_is_the_single_env_many_times(size, episode_steps, reward, bump_penalty, num_envs, seed, mode):
    arguments = {"size": size, "episode_steps": episode_steps, "reward": reward, "bump_penalty": bump_penalty}
    vector = MazeVectorEnv(num_envs, mode, **arguments)
    sync = SyncVectorEnv([lambda: MazeEnv(**arguments)] * num_envs, autoreset_mode=mode)
    assert data_equivalence(vector.reset(seed=seed), sync.reset(seed=seed), exact=True)
    vector.action_space.seed(seed % 1000)
    for step in range(90):
        target = vector.task.target()
        actions = target if step % 3 else vector.action_space.sample()
        assert data_equivalence(vector.step(actions), sync.step(actions), exact=True)
        assert all(vector.observation_space.contains(observation) for observation in [vector.task.observe()])


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"size": 8}, ValueError, "size must be odd"),
        ({"size": 3}, ValueError, "size"),
        ({"size": -9}, ValueError, "size"),
        ({"size": 9.0}, TypeError, "size"),
        ({"size": "9"}, TypeError, "size"),
        ({"episode_steps": 0}, ValueError, "episode_steps"),
        ({"episode_steps": -5}, ValueError, "episode_steps"),
        ({"reward": 0}, ValueError, "reward"),
        ({"reward": float("nan")}, ValueError, "reward"),
        ({"reward": float("inf")}, ValueError, "reward"),
        ({"bump_penalty": -1}, ValueError, "bump_penalty"),
        ({"bump_penalty": None}, TypeError, "bump_penalty"),
    ],
)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_bad_arguments_are_named(make, arguments, error, name):
    with pytest.raises(error, match=name):
        make("plastic_rl/Maze-v0", **arguments)
