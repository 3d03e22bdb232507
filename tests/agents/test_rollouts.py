"""What a rollout carries over, forgets, and adds where an episode ends."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_envs import Echo
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, make_vec_env

ALGORITHMS = [PlasticPPO, PlasticA2C]


class Recorder(BaseCallback):
    """Keeps what the environments gave; stops after `stop_after` calls."""

    def __init__(self, stop_after=None):
        super().__init__()
        self.stop_after = stop_after
        self.rewards, self.dones, self.infos, self.new_obs = [], [], [], []

    def _on_step(self):
        for name in ("rewards", "dones", "infos", "new_obs"):
            getattr(self, name).append(np.copy(self.locals[name]))
        return self.stop_after is None or self.n_calls < self.stop_after


def make_model(algorithm, env, n_steps, policy="MlpPolicy", core="plastic", **kwargs):
    policy_kwargs = {"core": core, "core_kwargs": {"hidden_size": 6}}
    if algorithm is not PlasticBPTT:
        kwargs = {"normalize_reward": False, **kwargs}  # these tests look at rewards
    return algorithm(policy, env, n_steps=n_steps, policy_kwargs=policy_kwargs, device="cpu", seed=0, **kwargs)


def collect(model, n_rollouts=1):
    """Collect without learning; return what the environments gave."""
    recorder = Recorder()
    _, callback = model._setup_learn(10**6, recorder)
    for _ in range(n_rollouts):
        model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return recorder


def value_after(model, observations):
    """The value of the last of a whole episode's observations, with a fresh state before the first."""
    tensors = torch.as_tensor(np.stack(observations)).unsqueeze(1)
    policy = model.policy
    with torch.no_grad():
        features = policy.extract_features(tensors.flatten(0, 1)).unsqueeze(1)
        outputs, _ = policy.core(features, policy.initial_state(1), torch.zeros(len(observations), 1, dtype=torch.bool))
        return policy.value_net(outputs[-1, 0]).item()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("core", ["plastic", "lstm"])
@pytest.mark.parametrize("kind", ["vector", "discrete"])
def test_a_life_cut_off_is_bootstrapped_in_its_own_state(algorithm, core, kind):
    cut, ended = Echo(length=3, truncates=True, kind=kind), Echo(length=3, kind=kind)
    model = make_model(algorithm, DummyVecEnv([lambda: cut, lambda: ended]), n_steps=8, core=core, gamma=0.9)
    seen = collect(model)
    buffer = model.rollout_buffer
    expected = np.stack(seen.rewards)
    for end in (2, 5):
        life = [
            observation.reshape(cut.observation_space.shape)
            for observation in buffer.observations[end - 2 : end + 1, 0]
        ]
        life.append(np.asarray(seen.infos[end][0]["terminal_observation"]))
        expected[end, 0] += 0.9 * value_after(model, life)
    np.testing.assert_allclose(buffer.rewards, expected, atol=1e-6)


def test_a_cut_off_life_with_dict_observations_is_bootstrapped():
    env = make_sb3_vec_env(lambda: Echo(length=3, truncates=True, kind="dict"), 2)
    model = make_model(PlasticPPO, env, n_steps=3, policy="MultiInputPolicy")
    seen = collect(model)
    assert (model.rollout_buffer.rewards[-1] != seen.rewards[-1]).all()
    np.testing.assert_array_equal(model.rollout_buffer.rewards[:-1], seen.rewards[:-1])


def test_the_value_after_the_rollout_is_of_the_running_state():
    model = make_model(PlasticPPO, make_sb3_vec_env(lambda: Echo(length=9), 1), n_steps=4, gamma=0.9, gae_lambda=0.8)
    seen = collect(model)
    buffer = model.rollout_buffer
    value = value_after(model, [*buffer.observations[:, 0], seen.new_obs[-1][0]])
    advantage = buffer.rewards[-1, 0] + 0.9 * value - buffer.values[-1, 0]
    assert buffer.advantages[-1, 0] == pytest.approx(advantage, abs=1e-6)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_state_goes_on_from_rollout_to_rollout(algorithm):
    model = make_model(algorithm, make_sb3_vec_env(lambda: Echo(length=100), 2), n_steps=3)
    collect(model, n_rollouts=2)
    carried = model.rollout_buffer.initial_state
    assert all(s.abs().sum() > 0 for s in carried)
    assert not model.rollout_buffer.episode_starts.any()


def test_a_spoilt_state_is_gone_with_the_next_episode():
    model = make_model(PlasticPPO, make_sb3_vec_env(lambda: Echo(length=3), 2), n_steps=3)
    model.learn(6)
    for state in model._last_states:
        state.fill_(float("inf"))
    model.learn(6, reset_num_timesteps=False)
    assert np.isfinite(model.rollout_buffer.values).all()


def test_learning_goes_on_where_a_callback_stopped_it():
    model = make_model(PlasticPPO, make_sb3_vec_env(lambda: Echo(length=100), 2), n_steps=4)
    whole = make_model(PlasticPPO, make_sb3_vec_env(lambda: Echo(length=100), 2), n_steps=4)
    for env in (model.env, whole.env):
        env.seed(3)
    model.learn(100, callback=Recorder(stop_after=3))
    seen = Recorder(stop_after=3)
    whole.learn(100, callback=seen)
    np.testing.assert_array_equal(model._last_obs, seen.new_obs[-1])
    for one, other in zip(model._last_states, whole._last_states, strict=True):
        torch.testing.assert_close(one, other)
    model.learn(8, reset_num_timesteps=False)
    assert not model.rollout_buffer.episode_starts.any()


def test_box_actions_are_clipped_for_the_environment_only():
    space = spaces.Box(-0.1, 0.1, (2,))
    taken = []

    class Watched(Echo):
        def step(self, action):
            taken.append(action)
            return super().step(action)

    model = make_model(PlasticPPO, make_sb3_vec_env(lambda: Watched(action_space=space), 1), n_steps=8)
    collect(model)
    assert np.abs(taken).max() <= 0.1 + 1e-6
    assert np.abs(model.rollout_buffer.actions).max() > 0.1


class Locals(BaseCallback):
    """Remembers what each call saw."""

    def __init__(self):
        super().__init__()
        self.steps, self.names = [], set()

    def _on_step(self):
        self.names = {*self.locals}
        self.steps.append(self.locals["n_steps"])
        return True

    def _on_rollout_end(self):
        self.steps.append(self.locals["n_steps"])


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C, PlasticBPTT])
def test_callbacks_see_sb3s_local_variables(algorithm):
    seen, theirs = Locals(), Locals()
    PPO("MlpPolicy", make_vec_env("plastic_rl/Maze-v0", 2), n_steps=3, batch_size=6).learn(6, callback=theirs)
    make_model(algorithm, make_vec_env("plastic_rl/Maze-v0", 2), n_steps=3).learn(6, callback=seen)
    assert theirs.names - seen.names <= {"idx", "done", "terminal_obs", "terminal_value"}
    assert seen.steps == theirs.steps == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["integers", "read-only"])
def test_rewards_of_integers_and_read_only_ones(kind):
    class Rewards(VecEnvWrapper):
        def reset(self):
            return self.venv.reset()

        def step_wait(self):
            observations, rewards, dones, infos = self.venv.step_wait()
            rewards = rewards.astype(int) if kind == "integers" else rewards
            rewards.setflags(write=False)
            return observations, rewards, dones, infos

    env = Rewards(make_sb3_vec_env(lambda: Echo(length=3, truncates=True), 2))
    model = make_model(PlasticPPO, env, n_steps=6)
    seen = collect(model)
    assert (model.rollout_buffer.rewards != np.stack(seen.rewards)).sum() == 4  # where the value was added


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticBPTT])
def test_callbacks_see_the_end_also_after_ctrl_c(algorithm):
    class Interrupts(BaseCallback):
        ended = 0

        def _on_step(self):
            if self.n_calls == 5:
                raise KeyboardInterrupt
            return True

        def _on_training_end(self):
            self.ended += 1

    callback = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        make_model(algorithm, make_vec_env("plastic_rl/Maze-v0", 2), n_steps=3).learn(60, callback=callback)
    assert callback.ended == 1
