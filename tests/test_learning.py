"""Real trainings: tasks of this package learned to a score, by agents with plasticity and their twins without.

What an algorithm learns with its defaults is in tests/agents/test_defaults.py.
"""

import pytest
from stable_baselines3.common.evaluation import evaluate_policy

from plastic_rl import PlasticBPTT, PlasticPPO, make_vec_env, score

pytestmark = pytest.mark.slow


def score_of(model, env_id, **env_kwargs):
    """Return the score of the most probable actions, in episodes that the model was not trained on."""
    fresh = make_vec_env(env_id, 64, seed=10_000, env_kwargs=env_kwargs)
    mean_return, _ = evaluate_policy(model, fresh, n_eval_episodes=512)
    return score(env_id, mean_return, **env_kwargs)


def test_patterns_are_recalled_by_ppo_and_the_credit_is_plasticitys():
    """Miconi et al. (2018) compare with the same network without plasticity; so does this, from the same seed."""

    def trained(alpha):
        memory = {"hidden_size": 64, "controller": "gru", "alpha": alpha}
        policy_kwargs = {"core": "plastic_memory", "core_kwargs": memory}
        model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0", seed=0, policy_kwargs=policy_kwargs)
        return score_of(model.learn(300_000), "plastic_rl/PatternRecall-v0")

    plastic, twin = trained("per_connection"), trained("none")
    assert plastic > 0.95
    assert plastic > twin + 0.05


def test_a_hundred_bits_are_recalled_by_backpropagation_and_not_without_plasticity():
    """The paper's associative network with Oja's rule, on five patterns: fewer than 2% of the hidden bits are wrong."""
    patterns = {"n_bits": 100, "settling_steps": 5}  # one answer counts: a score of s is (1 - s) / 2 wrong bits

    def wrong_bits(episodes, **core_kwargs):
        env = make_vec_env("plastic_rl/PatternRecall1000-v0", 4, seed=0, env_kwargs=patterns)
        model = PlasticBPTT(
            "MlpPolicy",
            env,
            n_steps=106,
            learning_rate=lambda left: 3e-3 * left,
            seed=0,
            policy_kwargs={
                "core": "associative",
                "core_kwargs": {"n_elements": 100, "weight_init": 0.001, "rule": "oja", **core_kwargs},
                "readout": 5.0,
                "lr_scales": {"weight": 0.1},
            },
        )
        model.learn(106 * episodes)
        return (1 - score_of(model, "plastic_rl/PatternRecall1000-v0", **patterns)) / 2

    assert wrong_bits(1000) < 0.02
    assert wrong_bits(1000, alpha="none") > 0.2
