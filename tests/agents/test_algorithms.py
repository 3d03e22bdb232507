"""The algorithms with what Stable-Baselines3's users put around them."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from memory_envs import Echo
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

from plastic_rl.agents import PlasticA2C, PlasticPPO, make_vec_env

ALGORITHMS = [PlasticPPO, PlasticA2C]
SMALL = {"core": "plastic", "core_kwargs": {"hidden_size": 8}}


def make_model(algorithm=PlasticPPO, env=None, **kwargs):
    env = make_sb3_vec_env(Echo, 4) if env is None else env
    few = {"n_epochs": 1} if algorithm is PlasticPPO else {}
    small = {"n_steps": 5, "policy_kwargs": SMALL, "device": "cpu", "seed": 0, **few}
    return algorithm("MlpPolicy", env, **{**small, **kwargs})


@pytest.mark.parametrize(
    ("algorithm", "core"),
    [(PlasticA2C, "plastic"), *(pytest.param(PlasticPPO, core, marks=pytest.mark.slow) for core in ("plastic", "gru"))],
)
def test_learns_to_remember(algorithm, core):
    env = make_sb3_vec_env(lambda: Echo(length=5), 16, seed=0)
    kwargs = {"n_epochs": 8} if algorithm is PlasticPPO else {"normalize_advantage": True, "use_rms_prop": False}
    policy_kwargs = {"core": core, "core_kwargs": {"hidden_size": 16}}
    model = make_model(algorithm, env, n_steps=5, gamma=0.5, learning_rate=1e-2, policy_kwargs=policy_kwargs, **kwargs)
    model.learn(16 * 5 * 40)
    mean, _ = evaluate_policy(model, env, n_eval_episodes=32)
    assert mean > 3.5  # 4 at most, 2 by chance


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saves_and_loads(algorithm, tmp_path):
    model = make_model(algorithm)
    model.learn(40)
    model.save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", device="cpu")
    observation = model.env.reset()
    for _ in range(2):
        torch.manual_seed(0)
        action, state = model.predict(observation)
        torch.manual_seed(0)
        loaded_action, loaded_state = loaded.predict(observation)
        np.testing.assert_array_equal(action, loaded_action)
        for mine, theirs in zip(state, loaded_state, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    loaded.set_env(make_sb3_vec_env(Echo, 4))
    loaded.learn(40, reset_num_timesteps=False)


def test_loads_with_another_number_of_environments(tmp_path):
    make_model().save(tmp_path / "model")
    loaded = PlasticPPO.load(tmp_path / "model", env=make_sb3_vec_env(Echo, 1))
    loaded.predict(loaded.env.reset())
    loaded.learn(10)


def test_a_batch_size_that_does_not_fit_the_loaded_environments_says_so(tmp_path):
    make_model(batch_size=10).save(tmp_path / "model")
    loaded = PlasticPPO.load(tmp_path / "model", env=make_sb3_vec_env(Echo, 1))
    loaded.predict(loaded.env.reset())
    with pytest.raises(ValueError, match=r"evenly: 5$"):
        loaded.learn(10)


def test_the_recurrent_state_is_not_saved(tmp_path):
    model = make_model()
    model.learn(20)
    model.save(tmp_path / "model")
    data, _, _ = load_from_zip_file(tmp_path / "model")
    assert "_last_states" not in data


def test_a_policy_alone_saves_and_loads(tmp_path):
    policy = make_model(policy_kwargs={"core": "lstm", "core_kwargs": {"hidden_size": 7}}).policy
    policy.save(tmp_path / "policy")
    loaded = type(policy).load(tmp_path / "policy")
    assert loaded.core.output_size == 7


def test_predict_follows_the_rollout_and_leaves_its_arguments_alone():
    model = make_model()
    env = model.env
    observation, state, starts = env.reset(), None, np.ones(4, bool)
    carried = model.policy.initial_state(4)
    for _ in range(7):
        before = None if state is None else [s.copy() for s in state]
        action, new_state = model.predict(observation, state, starts, deterministic=True)
        if before is not None:
            np.testing.assert_array_equal(before[0], state[0])
        expected, _, _, carried = model.policy(
            torch.as_tensor(observation), carried, torch.as_tensor(starts), deterministic=True
        )
        np.testing.assert_array_equal(action, expected)
        observation, _, starts, _ = env.step(action)
        state = new_state


def test_predict_takes_one_observation():
    model = make_model(env=Echo())
    observation, _ = Echo().reset()
    action, state = model.predict(observation)
    assert action.shape == ()
    model.predict(observation, state, np.array([False]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"state": (np.zeros((3, 8)),)}, "state must hold"), ({"episode_start": np.ones(3)}, "episode_start must hold")],
)
def test_predict_says_what_does_not_fit(arguments, message):
    model = make_model()
    with pytest.raises(ValueError, match=message):
        model.predict(model.env.reset(), **arguments)


def test_batch_size_error_says_what_would_do():
    with pytest.raises(ValueError, match="5, 10, 20"):
        make_model(batch_size=8)
    with pytest.raises(ValueError, match="5, 10, 20"):
        make_model(batch_size=40)


def test_an_unknown_core_says_so():
    with pytest.raises(ValueError, match="did you mean 'plastic'"):
        make_model(policy_kwargs={"core": "plastik"})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_seed_gives_the_same_training(algorithm):
    def trained():
        model = make_model(algorithm, make_vec_env("plastic_rl/Maze-v0", 4), seed=3)
        return model.learn(60).policy.state_dict()

    one, other = trained(), trained()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0)


def test_leaves_policy_kwargs_alone():
    mine = {"core": "gru"}
    make_model(PlasticA2C, policy_kwargs=mine)
    assert mine == {"core": "gru"}


def test_entropy_coefficient_falls_to_its_end():
    model = make_model(ent_coef=0.1, ent_coef_final=0.02)
    model.learn(200)
    assert model.ent_coef == pytest.approx(0.02)


def test_a_linear_schedule_ends_at_zero_where_the_last_rollout_is_longer():
    model = make_model(learning_rate=LinearSchedule(0.01, 0.0, 1.0))
    model.learn(model.n_steps * model.n_envs + 1)
    assert model.num_timesteps == 2 * model.n_steps * model.n_envs
    assert model.policy.optimizer.param_groups[0]["lr"] == 0


def test_with_the_tools_around(tmp_path):
    env = VecNormalize(make_sb3_vec_env(Echo, 4))
    evaluation = VecNormalize(make_sb3_vec_env(Echo, 2), training=False)
    model = make_model(env=env, tensorboard_log=str(tmp_path / "tb"))
    callbacks = [
        EvalCallback(evaluation, eval_freq=5, n_eval_episodes=2, verbose=0),
        CheckpointCallback(10, str(tmp_path)),
    ]
    model.learn(80, callback=callbacks)
    assert list(tmp_path.glob("rl_model_*_steps.zip"))
    assert list((tmp_path / "tb").rglob("events.*"))


def test_normalized_rewards_and_an_evaluation_on_the_native_form():
    env = VecNormalize(make_vec_env("plastic_rl/Maze-v0", 4, env_kwargs={"episode_steps": 5}))
    model = make_model(env=env)
    model.learn(40)
    returns, lengths = evaluate_policy(model, make_vec_env("plastic_rl/Maze-v0", 2), 4, return_episode_rewards=True)
    assert len(returns) == 4
    assert lengths == [250] * 4


def test_subprocesses():
    env = make_sb3_vec_env("CartPole-v1", 2, vec_env_cls=SubprocVecEnv)
    try:
        make_model(env=env).learn(20)
    finally:
        env.close()


@pytest.mark.parametrize("env", ["plastic_rl/Maze-v0", Monitor(Echo())])
def test_an_id_or_a_single_environment(env):
    make_model(env=env).learn(10)


def test_a_gymnasium_vector_environment():
    env = gym.make_vec("plastic_rl/Maze-v0", num_envs=4, autoreset_mode="SameStep", episode_steps=5)
    model = make_model(env=env)
    model.learn(40)
    assert len(model.ep_info_buffer) == 8


def test_state_starts_again_where_training_does():
    model = make_model(env=make_vec_env("plastic_rl/Maze-v0", 4))
    model.learn(20)
    model.learn(20)
    assert model.rollout_buffer.episode_starts[0].all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda(tmp_path):
    model = make_model(device="cuda")
    model.learn(40)
    model.save(tmp_path / "model")
    PlasticPPO.load(tmp_path / "model", device="cpu").predict(model.env.reset())


def test_parameters_of_the_core_with_learning_rates_of_their_own():
    policy_kwargs = {**SMALL, "lr_scales": {"alpha": 3.0, "eta": 0.5}}
    model = make_model(learning_rate=0.01, policy_kwargs=policy_kwargs)
    model.learn(20)
    core = model.policy.core
    rates = {id(p): group["lr"] for group in model.policy.optimizer.param_groups for p in group["params"]}
    assert [rates[id(p)] for p in (core.weight, core.alpha, core.eta)] == pytest.approx([0.01, 0.03, 0.005])
    assert len(rates) == len(list(model.policy.parameters()))


@pytest.mark.parametrize("scales", [{"alfa": 2.0}, {"alpha": 0.0}])
def test_learning_rates_of_what_is_not_there(scales):
    with pytest.raises(ValueError, match=r"lr_scales must give positive factors .* alpha, bias, eta, weight"):
        make_model(policy_kwargs={**SMALL, "lr_scales": scales})
