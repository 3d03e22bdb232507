"""Nothing leaks: a fit on current observations alone is, on held-out episodes, no better than chance."""

import numpy as np
import pytest

from plastic_rl.envs.colour_bandit import ColourBanditVectorEnv
from plastic_rl.envs.cue_reward import CueRewardVectorEnv
from plastic_rl.envs.pattern_recall import PatternRecallVectorEnv

EPISODES = 600


def queries(env, follow_target: float) -> tuple[np.ndarray, np.ndarray]:
    """Play and return the observations on query steps, (n, O), and their targets, (n, ...), episode after episode."""
    observation, info = env.reset(seed=1)
    env.action_space.seed(2)
    rng = np.random.default_rng(3)
    observations, targets = [], []
    for _ in range(env.task.episode_steps):
        if info["query"].all():
            observations.append(observation)
            targets.append(info["target"])
        actions = env.action_space.sample()
        follow = rng.random(env.num_envs) < follow_target
        actions[follow] = info["target"][follow]
        observation, _, _, _, info = env.step(actions)
    return np.concatenate(np.stack(observations, axis=1)), np.concatenate(np.stack(targets, axis=1))


def products(observations: np.ndarray) -> np.ndarray:
    """Add all products of two elements, so that a linear fit can combine, say, a color with a reward."""
    first, second = np.triu_indices(observations.shape[1])
    return np.hstack([np.ones((len(observations), 1)), observations, observations[:, first] * observations[:, second]])


def held_out_answers(observations: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, slice]:
    """Fit `wanted` (n, K) by ridge regression on half of the episodes; return what the fit says about the others."""
    features, half = products(observations), len(observations) // 2
    fitted, rest = features[:half], slice(half, None)
    weights = np.linalg.solve(fitted.T @ fitted + 10 * np.eye(features.shape[1]), fitted.T @ wanted[:half])
    return features[rest] @ weights, rest


@pytest.mark.parametrize("follow_target", [0.0, 0.7], ids=["random play", "good play"])
@pytest.mark.parametrize(
    ("env", "choices"),
    [
        (ColourBanditVectorEnv(EPISODES, episode_steps=20), 2),
        (CueRewardVectorEnv(EPISODES), 3),
        (CueRewardVectorEnv(EPISODES, n_cues=3, blank_steps=0), 3),
    ],
    ids=["ColourBandit", "CueReward", "CueReward without blanks"],
)
def test_choices_cannot_be_told_from_the_moment(env, choices, follow_target):
    observations, targets = queries(env, follow_target)
    answers, rest = held_out_answers(observations, np.eye(choices)[targets])
    assert (answers.argmax(axis=1) == targets[rest]).mean() == pytest.approx(1 / choices, abs=0.025)


def test_hidden_bits_cannot_be_told_from_the_bits_that_are_left():
    env = PatternRecallVectorEnv(EPISODES * 6, n_bits=8, query_steps=1)
    observations, targets = queries(env, 0.0)
    answers, rest = held_out_answers(observations, 2.0 * targets - 1)
    hidden = observations[rest, :8] == 0
    right = (answers > 0) == (targets[rest] == 1)
    assert right[hidden].mean() == pytest.approx(0.5, abs=0.025)
