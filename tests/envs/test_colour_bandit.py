"""The color bandit: what is shown, what pays, and that its history is enough to play it well."""

import numpy as np
import pytest

from plastic_rl.envs import score
from plastic_rl.envs.colour_bandit import ColourBanditEnv, ColourBanditVectorEnv


def test_a_solver_that_sees_observations_alone_has_the_best_possible_return():
    """Take the left color first; then the color that paid, or the other one if it did not."""
    env = ColourBanditVectorEnv(500)
    observation, _ = env.reset(seed=0)
    action = np.zeros(500, int)
    tried = observation[:, :3]
    total = np.zeros(500)
    for step in range(100):
        observation, reward, *_ = env.step(action)
        total += reward
        if step == 0:
            paid = observation[:, 8] == 1
        tried_is_left = (observation[:, :3] == tried).all(axis=1)
        action = np.where(tried_is_left == paid, 0, 1)
    assert total.mean() == pytest.approx(99.5, abs=0.1)
    assert score(env, total.mean()) == pytest.approx(0.99, abs=0.002)


def test_what_a_policy_without_memory_gets_out_of_the_previous_reward():
    """Take the redder color after a reward, any after none: a third of the score, the published memoryless one."""
    env = ColourBanditVectorEnv(2000)
    observation, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    total = np.zeros(2000)
    for _ in range(100):
        redder = (observation[:, 3] > observation[:, 0]).astype(int)
        observation, reward, *_ = env.step(np.where(observation[:, 8] > 0, redder, rng.integers(2, size=2000)))
        total += reward
    assert score(env, total.mean()) == pytest.approx(1 / 3, abs=0.04)


def test_both_colors_stay_all_episode_and_change_places():
    env = ColourBanditEnv()
    observation, _ = env.reset(seed=0)
    pair = {tuple(observation[:3]), tuple(observation[3:6])}
    lefts = set()
    for step in range(1, 101):
        observation, *_ = env.step(0)
        assert {tuple(observation[:3]), tuple(observation[3:6])} == pair
        assert observation[9] == np.float32(step / 100)
        lefts.add(tuple(observation[:3]))
    assert lefts == pair


def test_colors_can_be_told_apart():
    observation, _ = ColourBanditVectorEnv(2000).reset(seed=0)
    assert np.linalg.norm(observation[:, :3] - observation[:, 3:6], axis=1).min() >= 0.5


@pytest.mark.parametrize("right", [True, False])
def test_action_and_reward_are_seen_at_the_next_step(right):
    env = ColourBanditEnv()
    observation, info = env.reset(seed=0)
    assert observation[6:].tolist() == [0, 0, 0, 0]
    action = info["target"] if right else 1 - info["target"]
    observation, reward, *_ = env.step(action)
    assert reward == right
    assert observation[6:9].tolist() == [action == 0, action == 1, right]


@pytest.mark.parametrize(("steps", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("9", TypeError)])
def test_bad_arguments(steps, error):
    with pytest.raises(error, match="episode_steps"):
        ColourBanditEnv(episode_steps=steps)
