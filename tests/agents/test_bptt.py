"""Learning from the right answers: what counts, who acts, what is refused, and that it learns."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from memory_envs import Echo
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from plastic_rl import PlasticBPTT
from plastic_rl.agents import make_vec_env
from plastic_rl.envs.one_shot import OneShotVectorEnv

SMALL = {"core": "plastic", "core_kwargs": {"hidden_size": 16, "rule": "oja"}}


def test_learns_recall_and_predicts_it(tmp_path):
    env = make_vec_env("plastic_rl/PatternRecall-v0", 64, env_kwargs={"n_bits": 4})
    kwargs = {"core": "plastic", "core_kwargs": {"hidden_size": 32, "rule": "oja"}}
    model = PlasticBPTT("MlpPolicy", env, learning_rate=1e-2, policy_kwargs=kwargs, seed=0)
    assert model.n_steps == 6
    model.learn(60_000)
    model.save(tmp_path / "model")
    loaded = PlasticBPTT.load(tmp_path / "model", env=env)
    returns = evaluate_policy(loaded, env, n_eval_episodes=256)[0]
    assert returns > 3.2  # of 4; without memory 0
    loaded.learn(1000, reset_num_timesteps=False)


@pytest.mark.parametrize("env_id", ["plastic_rl/OneShot-v0", "plastic_rl/ImageRecall-v0", "plastic_rl/CueReward-v0"])
def test_takes_every_action_space(env_id):
    arguments = {"size": 4, "presentation_steps": 1} if "Image" in env_id else {}
    policy = "MultiInputPolicy" if "OneShot" in env_id else "MlpPolicy"
    model = PlasticBPTT(policy, make_vec_env(env_id, 4, env_kwargs=arguments), policy_kwargs=SMALL, seed=0)
    model.learn(4 * model.n_steps)
    assert np.isfinite(model.logger.name_to_value["train/loss"])


def test_only_queries_teach():
    env = make_vec_env("plastic_rl/PatternRecall-v0", 8)
    model = PlasticBPTT("MlpPolicy", env, 1e-3, policy_kwargs=SMALL, seed=0)
    model.learn(8 * 6)
    np.testing.assert_array_equal(model._queries, np.repeat([[False], [False], [True], [True], [True], [True]], 8, 1))
    model._targets[~model._queries] = 1 - model._targets[~model._queries]
    before = [p.clone() for p in model.policy.parameters()]
    model.train()
    after = [p.clone() for p in model.policy.parameters()]
    model._targets[~model._queries] = 1 - model._targets[~model._queries]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    model._queries[:] = False
    model.train()  # nothing is asked: nothing changes
    assert all(torch.equal(a, b) for a, b in zip(after, model.policy.parameters(), strict=True))


def test_loss_and_gradient_are_those_of_a_loop_over_time():
    env = make_vec_env("plastic_rl/PatternRecall-v0", 4)
    model = PlasticBPTT("MlpPolicy", env, policy_kwargs=SMALL, seed=0, learning_rate=0.0)
    model.learn(4 * 6)
    obs = torch.as_tensor(model.rollout_buffer.observations)
    policy, losses = model.policy, []
    state = policy.initial_state(4)
    for t in range(6):
        outputs, state = policy.core(obs[t : t + 1], state, torch.zeros(1, 4, dtype=torch.bool))
        if model._queries[t].all():
            logits = policy.action_net(outputs[0])
            target = torch.as_tensor(model._targets[t], dtype=torch.float32)
            losses.append(torch.nn.functional.binary_cross_entropy_with_logits(logits, target))
    loss = torch.stack(losses).mean()
    gradient = torch.autograd.grad(loss, policy.core.alpha)[0]
    model.max_grad_norm = 1e9
    model.train()
    assert model.logger.name_to_value["train/loss"] == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(policy.core.alpha.grad, gradient, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("acting", ["policy", "oracle"])
def test_in_the_maze_it_learns_to_follow_the_oracle(acting):
    env = make_vec_env("plastic_rl/Maze-v0", 32, env_kwargs={"size": 5, "episode_steps": 20})
    model = PlasticBPTT("MlpPolicy", env, acting=acting, learning_rate=3e-3, policy_kwargs=SMALL, seed=0)
    model.learn(32 * 20)
    begin = model.logger.name_to_value["train/accuracy"]
    if acting == "oracle":
        assert model.ep_info_buffer[-1]["r"] > 50
    model.learn(32 * 20 * 60, reset_num_timesteps=False)
    assert model.logger.name_to_value["train/accuracy"] > begin + 0.1


def test_single_environments_give_the_same_answers():
    kwargs = {"n_patterns": 2, "n_bits": 4, "query_steps": 1}
    single = make_sb3_vec_env("plastic_rl/PatternRecall-v0", 3, seed=5, env_kwargs=kwargs)
    vector = make_vec_env("plastic_rl/PatternRecall-v0", 3, seed=5, env_kwargs=kwargs)
    answers = []
    for env in (single, vector):
        model = PlasticBPTT("MlpPolicy", env, n_steps=9, policy_kwargs=SMALL, seed=5)
        model.learn(27)
        answers.append((model._targets, model._queries))
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", [make_vec_env, make_sb3_vec_env])
@pytest.mark.parametrize("again", ["learn", "set_env"])
def test_the_first_answers_of_another_training_are_those_of_its_first_episodes(make, again):
    kwargs = {"n_patterns": 2, "n_bits": 4, "query_steps": 1}
    env = make("plastic_rl/PatternRecall-v0", 3, env_kwargs=kwargs)
    model = PlasticBPTT("MlpPolicy", env, n_steps=3, acting="oracle", policy_kwargs=SMALL, seed=5)
    model.learn(18)
    if again == "set_env":
        model.set_env(make("plastic_rl/PatternRecall-v0", 3, seed=8, env_kwargs=kwargs))
    model.ep_info_buffer.clear()
    model.learn(9, reset_num_timesteps=again == "learn")
    returns = [episode["r"] for episode in model.ep_info_buffer]
    assert returns
    assert returns == [1.0] * len(returns)  # all bits right


class Labelled(Echo):
    """Asks at every step, and says nothing of queries."""

    def reset(self, **kwargs):
        observation, info = super().reset(**kwargs)
        return observation, {**info, "target": 0}

    def step(self, action):
        *rest, info = super().step(action)
        return *rest, {**info, "target": 0}


def test_without_queries_every_step_asks():
    model = PlasticBPTT("MlpPolicy", Labelled(length=5), n_steps=10, policy_kwargs=SMALL)
    model.learn(10)
    assert model._queries.all()
    assert not model._targets.any()


def test_refusals():
    with pytest.raises(ValueError, match=r"info\['target'\]"):
        PlasticBPTT("MlpPolicy", gym.make("CartPole-v1"), n_steps=8).learn(8)
    with pytest.raises(ValueError, match="n_steps must be given"):
        PlasticBPTT("MlpPolicy", gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="acting must be one of 'policy', 'oracle', got 'nobody'"):
        PlasticBPTT("MlpPolicy", "plastic_rl/Maze-v0", acting="nobody")
    env = OneShotVectorEnv(2, autoreset_mode="SameStep")
    with pytest.raises(ValueError, match=r"readout=1\.0 needs a core of 3 outputs"):
        PlasticBPTT("MultiInputPolicy", env, policy_kwargs={**SMALL, "readout": 1.0})
    with pytest.raises(ValueError, match="readout must be 'linear' or a number above 0, not 'identity'"):
        PlasticBPTT("MlpPolicy", "plastic_rl/Maze-v0", policy_kwargs={**SMALL, "readout": "identity"})
