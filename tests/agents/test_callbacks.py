"""What TensorBoard gets, read with TensorBoard's own reader."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from small_cores import small
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, make_vec_env
from plastic_rl.agents.callbacks import PlasticityCallback
from plastic_rl.agents.gradients import GradientNorms
from plastic_rl.agents.matrix_image import diverging_colors, matrix_image
from plastic_rl.cores import registered_cores


def events_of(folder):
    accumulator = EventAccumulator(str(next(folder.rglob("events.*")).parent))
    accumulator.Reload()
    return accumulator


def small_env(**kwargs):
    env = make_vec_env("plastic_rl/Maze-v0", 4, seed=0, env_kwargs={"episode_steps": 10, **kwargs})
    return VecNormalize(env, norm_obs=False)


def learn(folder, core="plastic", algorithm=PlasticPPO, steps=80, **callback):
    kwargs = {"policy_kwargs": {"core": core, "core_kwargs": small(core, 8)}, "tensorboard_log": str(folder)}
    if algorithm is PlasticPPO:
        kwargs["n_epochs"] = 1
    model = algorithm("MlpPolicy", small_env(), n_steps=10, **kwargs)
    watcher = PlasticityCallback(**{"every": 1, "seconds": 0, **callback})
    model.learn(steps, callback=watcher)
    return model, watcher, events_of(folder)


def pictures(events, tag):
    return [np.asarray(Image.open(io.BytesIO(event.encoded_image_string))) for event in events.Images(tag)]


@pytest.mark.parametrize("core", ["plastic", "lstm", "retroactive"])
def test_writes_what_it_promises(tmp_path, core):
    _, callback, events = learn(tmp_path, core)
    scalars, histograms, images = (set(events.Tags()[kind]) for kind in ("scalars", "histograms", "images"))
    plastic = core != "lstm"
    assert {"episode/score", "final/score", "final/return", "gradients/action_net"} <= scalars
    assert ({"plasticity/alpha_abs_mean", "plasticity/trace_norm", "plasticity/eta"} <= scalars) == plastic
    assert ({"gradients/core.alpha", "gradients/core.weight", "gradients/core.input_map"} <= scalars) == plastic
    assert "plasticity/weight" in histograms
    assert ("plasticity/alpha" in histograms) == plastic
    assert {"episode/reward_by_time", "matrices/weight"} <= images
    assert ({"matrices/alpha", "matrices/trace_at_episode_end"} <= images) == plastic
    assert ("episode/modulation" in images) == (core == "retroactive")
    assert callback.n_episodes == 8


def test_another_algorithm(tmp_path):
    _, _, events = learn(tmp_path, "neuromodulated", PlasticA2C)
    assert "episode/modulation" in events.Tags()["images"]
    assert "gradients/core.rule_parameters" in events.Tags()["scalars"]


def test_pictures_are_pictures(tmp_path):
    _, _, events = learn(tmp_path)
    for tag in events.Tags()["images"]:
        for picture in pictures(events, tag):
            assert min(picture.shape[:2]) >= 256
            assert picture.std() > 3


def test_the_hparams_page_has_what_was_chosen_and_the_final_score(tmp_path):
    model, _, events = learn(tmp_path)
    contents = events.summary_metadata
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"].plugin_data.content)
    chosen = {key: value.string_value or value.number_value for key, value in start.session_start_info.hparams.items()}
    assert chosen["core"] == "plastic"
    assert chosen["core.hidden_size"] == 8
    assert chosen["env"] == "plastic_rl/Maze-v0"
    assert chosen["learning_rate"] == pytest.approx(model.lr_schedule(1.0))
    experiment = HParamsPluginData.FromString(contents["_hparams_/experiment"].plugin_data.content).experiment
    compared = {metric.name.tag for metric in experiment.metric_infos}
    assert compared == {"rollout/ep_rew_mean", "final/return", "final/score"}
    assert compared <= set(events.Tags()["scalars"])
    mean = np.mean([episode["r"] for episode in model.ep_info_buffer])
    assert events.Scalars("final/return")[0].value == pytest.approx(mean)


def test_the_text_says_how_to_repeat_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.orig_argv", ["python", "my script.py", "--seed", "3"])
    _, _, events = learn(tmp_path)
    (text,) = events.Tensors("run/about/text_summary")[0].tensor_proto.string_val
    assert b"    python 'my script.py' --seed 3" in text
    assert f"| PyTorch | {torch.__version__} |".encode() in text
    assert b"git" in text


def test_the_pictures_of_the_end_come_also_when_none_were_due(tmp_path):
    _, _, events = learn(tmp_path, every=1000)
    assert len(pictures(events, "matrices/trace_at_episode_end")) == 1
    (curve,) = events.Images("episode/reward_by_time")
    assert curve.step == 80


def test_pictures_wait_for_their_time(tmp_path):
    _, _, events = learn(tmp_path, seconds=1000)
    assert len(events.Images("matrices/weight")) == 1


def test_the_trace_is_that_of_a_life_that_ended(tmp_path):
    _, callback, _ = learn(tmp_path)
    assert callback._traces["trace"].shape == (8, 8)
    assert callback._traces["trace"].any()


def test_a_set_of_pictures_that_had_to_wait_is_not_skipped(tmp_path, monkeypatch):
    now = iter(range(0, 1000, 7))  # seconds: a rollout every 7
    monkeypatch.setattr("plastic_rl.agents.callbacks.perf_counter", lambda: next(now))
    _, _, events = learn(tmp_path, steps=160, every=2, seconds=20)
    # Of the 4 rollouts the third is the first one after 20 s; the last set is that of the end.
    assert [event.step for event in events.Images("matrices/weight")] == [120, 160]


def test_the_final_score_and_pictures_come_also_after_ctrl_c(tmp_path):
    class Interrupts(BaseCallback):
        def _on_step(self):
            if self.num_timesteps == 100:
                raise KeyboardInterrupt
            return True

    kwargs = {"policy_kwargs": {"core_kwargs": {"hidden_size": 8}}, "tensorboard_log": str(tmp_path)}
    model = PlasticPPO("MlpPolicy", small_env(), n_steps=10, n_epochs=1, **kwargs)
    with pytest.raises(KeyboardInterrupt):
        model.learn(160, callback=[PlasticityCallback(every=100), Interrupts()])
    events = events_of(tmp_path)
    assert {"final/return", "final/score"} <= set(events.Tags()["scalars"])
    assert len(events.Images("matrices/weight")) == 1


@pytest.mark.parametrize("core", registered_cores())
def test_every_core_has_its_pictures(tmp_path, core):
    _, callback, events = learn(tmp_path, core, steps=40)
    images = events.Tags()["images"]
    assert "episode/reward_by_time" in images
    modulated = core in ("neuromodulated", "plastic_memory", "retroactive", "repeated", "stacked")
    assert ("episode/modulation" in images) == modulated
    assert not modulated or callback._last_signal.shape == (10,)


@pytest.mark.parametrize("n_steps", [5, 14, 21])
def test_rewards_by_time_are_those_of_the_task(n_steps):
    env = VecNormalize(make_vec_env("plastic_rl/Maze-v0", 3, seed=0, env_kwargs={"episode_steps": 7}))
    model = PlasticPPO("MlpPolicy", env, n_steps=n_steps, n_epochs=1, policy_kwargs={"core": "gru"})
    callback = PlasticityCallback(every=100)
    steps = 42 // n_steps * n_steps if n_steps != 5 else 35
    model.learn(3 * steps, callback=callback)
    assert callback._counts.tolist() == [3 * steps / 7] * 7
    assert callback.n_episodes == 3 * steps / 7
    total = sum(episode["r"] for episode in model.ep_info_buffer)
    assert callback._reward_sums.sum() == pytest.approx(total, abs=1e-4)


def test_rewards_of_lives_of_many_lengths_are_put_where_they_belong():
    rng = np.random.default_rng(0)
    rewards, dones = rng.normal(size=(60, 5)), rng.random((60, 5)) < 0.2
    callback = PlasticityCallback()
    callback._time = np.zeros(5, np.int64)
    for rows in np.split(np.arange(60), [7, 8, 30]):
        callback._rewards, callback._dones = list(rewards[rows]), list(dones[rows])
        callback._add_rollout()
    sums, counts = np.zeros(60), np.zeros(60)
    for column in range(5):
        time = 0
        for reward, done in zip(rewards[:, column], dones[:, column], strict=True):
            sums[time] += reward
            counts[time] += 1
            time = 0 if done else time + 1
    longest = len(callback._counts)
    assert counts[longest:].sum() == 0
    assert np.array_equal(callback._counts, counts[:longest])
    assert callback._reward_sums == pytest.approx(sums[:longest])


def test_nothing_is_drawn_without_tensorboard():
    model = PlasticPPO("MlpPolicy", small_env(), n_steps=10, policy_kwargs={"core_kwargs": {"hidden_size": 8}})
    callback = PlasticityCallback(every=1, seconds=0)
    model.learn(40, callback=callback)
    assert callback._traces == {}
    assert callback.n_episodes == 4


def test_gradient_norms_are_means_of_squares_by_group():
    policy = torch.nn.ModuleDict({"core": torch.nn.Linear(1, 1), "head": torch.nn.Linear(1, 1)})
    norms = GradientNorms(policy)
    for gradient in (3.0, 5.0):
        (gradient * policy["core"].weight + 4 * policy["head"].weight + 3 * policy["head"].bias).sum().backward()
        policy.zero_grad()
    taken = norms.take()
    assert taken == pytest.approx({"core.weight": np.sqrt((9 + 25) / 2), "head": 5.0})
    assert norms.take() == {}
    norms.close()
    policy["core"].weight.sum().backward()
    assert norms.take() == {}


def test_colors_tell_the_sign():
    red, white, blue = diverging_colors(np.array([2.0, 0.0, -2.0]), 1.0).astype(int)
    assert red[0] > red[2] + 100
    assert blue[2] > blue[0] + 100
    assert white.min() > 240
    assert matrix_image(np.zeros((200, 3)), "title").shape[0] >= 400


@pytest.mark.parametrize("arguments", [{"every": 0}, {"seconds": -1}])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        PlasticityCallback(**arguments)


def test_where_the_oracle_acts_its_returns_are_not_logged_as_the_policys(tmp_path):
    env = make_vec_env("plastic_rl/OneShot-v0", 4)
    model = PlasticBPTT("MultiInputPolicy", env, acting="oracle", tensorboard_log=str(tmp_path), seed=0)
    model.learn(200, callback=PlasticityCallback())
    scalars = set(events_of(tmp_path).Tags()["scalars"])
    assert "train/accuracy" in scalars
    assert not {"episode/score", "final/score", "final/return"} & scalars
