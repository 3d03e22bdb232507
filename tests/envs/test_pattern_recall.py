"""Pattern recall: the course of an episode, what is hidden, and that the nearest pattern seen is the answer."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plastic_rl.envs.image_recall import ImageRecallEnv
from plastic_rl.envs.pattern_recall import PatternRecallEnv, PatternRecallVectorEnv


def recall(env, seed: int) -> float:
    """Play by observations alone: remember what was shown, answer with the nearest of it; return the return."""
    observation, _ = env.reset(seed=seed)
    seen, over, total = [np.zeros(env.action_space.n)], False, 0.0
    while not over:
        shown, asked = observation[:-2], observation[-2] == 1
        if not asked and shown.any():
            seen.append(shown)
        nearest = max(seen, key=lambda pattern: pattern @ shown) if asked else seen[0]
        observation, reward, over, _, _ = env.step((nearest > 0).astype(np.int8))
        total += reward
    return total


@pytest.mark.parametrize("env_id", ["plastic_rl/PatternRecall-v0", "plastic_rl/PatternRecall1000-v0"])
def test_the_nearest_pattern_seen_is_always_right(env_id):
    env = gym.make(env_id)
    returns = [recall(env, seed) for seed in range(20)]
    assert returns == [pytest.approx(env.unwrapped.task.query_steps)] * 20


@settings(max_examples=40, deadline=None)
@given(
    n_patterns=st.integers(1, 4),
    n_bits=st.integers(5, 12),
    n_presentations=st.integers(1, 3),
    presentation_steps=st.integers(1, 3),
    blank_steps=st.integers(0, 3),
    degraded=st.floats(0.11, 0.6),
    query_steps=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_an_episode_is_presentations_and_then_the_query(seed, **arguments):
    env = PatternRecallEnv(**arguments)
    observation, info = env.reset(seed=seed)
    answer = 2.0 * info["target"] - 1
    rounds = []
    for _ in range(arguments["n_presentations"]):
        rounds.append([])
        for _ in range(arguments["n_patterns"]):
            for step in range(arguments["presentation_steps"] + arguments["blank_steps"]):
                shown = observation[:-2]
                assert not info["query"]
                assert observation[-2] == 0
                if step == 0:
                    rounds[-1].append(tuple(shown))
                assert tuple(shown) == rounds[-1][-1] if step < arguments["presentation_steps"] else not shown.any()
                observation, reward, over, _, info = env.step(env.action_space.sample())
                assert (reward, over) == (0, False)
    assert {tuple(sorted(patterns)) for patterns in rounds} == {tuple(sorted(rounds[0]))}
    for left in range(arguments["query_steps"], 0, -1):
        shown = observation[:-2]
        assert info["query"]
        assert observation[-2] == 1
        assert (shown == 0).sum() == round(arguments["degraded"] * arguments["n_bits"])
        assert (shown == np.where(shown == 0, 0, answer)).all()
        matching = {pattern for pattern in rounds[0] if (np.array(pattern)[shown != 0] == shown[shown != 0]).all()}
        assert matching == {tuple(answer)}
        observation, reward, over, _, info = env.step((answer > 0).astype(np.int8))
        assert (reward, over) == (1, left == 1)
    assert not observation[:-1].any()
    assert observation[-1] == 1


def test_only_hidden_bits_count():
    env = PatternRecallEnv(n_bits=8)
    env.reset(seed=0)
    for _ in range(2):
        observation, _, _, _, info = env.step(np.zeros(8, np.int8))
    hidden = observation[:8] == 0
    for wrong in range(5):
        env.reset(seed=0)
        for _ in range(2):
            env.step(np.zeros(8, np.int8))
        answer = np.where(hidden, info["target"], 1 - info["target"])
        answer[np.flatnonzero(hidden)[:wrong]] ^= 1
        assert env.step(answer)[1] == 1 - wrong / 2


@pytest.mark.parametrize("make", [PatternRecallEnv, partial(ImageRecallEnv, n_presentations=1, presentation_steps=1)])
def test_answers_do_not_count_while_a_network_settles(make):
    env = make(blank_steps=0, query_steps=3, settling_steps=1)
    observation, info = env.reset(seed=0)
    heard = []
    over = False
    while not over:
        flag, counts = observation[-2], info["query"]
        observation, reward, over, _, info = env.step(info["target"])
        heard.append((flag, counts, round(reward, 5)))
    assert heard[-4:] == [(0, False, 0), (1, False, 0), (1, True, 1), (1, True, 1)]
    assert env.reference_returns().oracle == 2


def test_orders_differ_between_presentations_and_between_episodes():
    env = PatternRecallVectorEnv(200, n_patterns=3, n_presentations=2)
    env.reset(seed=0)
    orders = env.task.schedule[:, :6]
    assert len(set(map(tuple, orders[:, :3]))) == 6
    assert (orders[:, :3] != orders[:, 3:]).any()


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"n_bits": 0}, ValueError, "n_bits"),
        ({"n_patterns": 0}, ValueError, "n_patterns"),
        ({"n_presentations": 0}, ValueError, "n_presentations"),
        ({"presentation_steps": 0}, ValueError, "presentation_steps"),
        ({"blank_steps": -1}, ValueError, "blank_steps"),
        ({"query_steps": 0}, ValueError, "query_steps"),
        ({"settling_steps": 4}, ValueError, "settling_steps"),
        ({"degraded": 0}, ValueError, "degraded"),
        ({"degraded": 1.5}, ValueError, "degraded"),
        ({"degraded": "half"}, TypeError, "degraded"),
        ({"degraded": 1.0}, ValueError, "degraded.*n_patterns"),
        ({"n_patterns": 9}, ValueError, "n_patterns"),
        ({"n_bits": 8.0}, TypeError, "n_bits"),
    ],
)
def test_bad_arguments(arguments, error, name):
    with pytest.raises(error, match=name):
        PatternRecallEnv(**arguments)
