"""What TensorBoard gets, read with TensorBoard's own reader."""

import pytest
from stable_baselines3.common.vec_env import VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from plastic_rl.agents import PlasticPPO, make_vec_env
from plastic_rl.agents.callbacks import PlasticityCallback


def events_of(folder):
    accumulator = EventAccumulator(str(next(folder.rglob("events.*")).parent))
    accumulator.Reload()
    return accumulator


@pytest.mark.parametrize("core", ["plastic", "lstm", "retroactive"])
def test_writes_what_it_promises(tmp_path, core):
    env = make_vec_env("plastic_rl/Maze-v0", 4, seed=0, env_kwargs={"episode_steps": 10})
    env = VecNormalize(env, norm_obs=False)
    policy_kwargs = {"core": core, "core_kwargs": {"hidden_size": 8}}
    model = PlasticPPO("MlpPolicy", env, n_steps=10, policy_kwargs=policy_kwargs, tensorboard_log=str(tmp_path))
    callback = PlasticityCallback(every=1)
    model.learn(160, callback=callback)
    events = events_of(tmp_path)
    scalars, histograms = set(events.Tags()["scalars"]), set(events.Tags()["histograms"])
    assert "episode/score" in scalars
    assert "episode/reward_by_time" in events.Tags()["images"]
    plastic = core != "lstm"
    assert ({"plasticity/alpha_abs_mean", "plasticity/trace_norm", "plasticity/eta"} <= scalars) == plastic
    assert "plasticity/weight" in histograms
    assert ("plasticity/alpha" in histograms) == plastic
    assert callback.n_episodes == 16


def test_rewards_by_time_are_those_of_the_task(tmp_path):
    env = VecNormalize(make_vec_env("plastic_rl/Maze-v0", 3, seed=0, env_kwargs={"episode_steps": 7}))
    model = PlasticPPO("MlpPolicy", env, n_steps=14, policy_kwargs={"core": "gru"})
    callback = PlasticityCallback(every=100)
    model.learn(3 * 14, callback=callback)
    assert callback._counts.tolist() == [6] * 7
    total = sum(episode["r"] for episode in model.ep_info_buffer)
    assert callback._reward_sums.sum() == pytest.approx(total, abs=1e-4)


def test_every_is_checked():
    with pytest.raises(ValueError, match="every"):
        PlasticityCallback(every=0)
