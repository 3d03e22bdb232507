"""What holds for every registered environment: API, determinism, both views alike, render modes, scores."""

import copy
import pickle
import warnings
from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import plastic_rl
from plastic_rl.envs import score
from plastic_rl.envs.registration import ENVIRONMENTS
from plastic_rl.envs.scores import find_task, measure_returns

IDS = [f"plastic_rl/{name}" for name in ENVIRONMENTS]


@pytest.fixture(params=IDS)
def env_id(request, monkeypatch) -> str:
    if "Omniglot" in request.param:
        monkeypatch.setenv("PLASTIC_RL_DATA", str(request.getfixturevalue("real_root")))
    return request.param


def same(first, second) -> bool:
    return data_equivalence(first, second, exact=True)


def play(env, steps: int, seed: int = 0) -> list:
    """Play random actions; return everything that was said."""
    env.action_space.seed(seed)
    heard = [env.reset(seed=seed)]
    for _ in range(steps):
        heard.append(env.step(env.action_space.sample()))
        if not isinstance(env, VectorEnv) and heard[-1][2]:
            heard.append(env.reset())
    return heard


def test_the_checkers_of_gymnasium_and_sb3_have_nothing_to_say(env_id, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(env_id).unwrapped, skip_render_check=find_spec("pygame") is None)
        sb3_check_env(gym.make(env_id))
        play(gym.make(env_id), 20)


def test_a_seed_fixes_all_that_happens(env_id):
    steps = min(2 * gym.make(env_id).unwrapped.task.episode_steps + 3, 300)
    assert same(play(gym.make(env_id), steps), play(gym.make(env_id), steps))


def test_another_seed_is_another_episode(env_id):
    env = gym.make(env_id)
    assert not same(play(env, 30, seed=0), play(env, 30, seed=1))


def test_resets_without_a_seed_go_on_with_the_generator(env_id):
    env = gym.make(env_id)
    starts = [env.reset(seed=1)[0], *(play_on(env) for _ in range(3))]
    assert not all(same(starts[0], start) for start in starts[1:])


def play_on(env):
    """Begin another episode and return its first half (a first observation alone may tell nothing)."""
    heard = [env.reset()[0]]
    for _ in range(env.unwrapped.task.episode_steps // 2):
        heard.append(env.step(env.unwrapped.task.target()[0])[0])
    return heard


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("vector", [False, True])
def test_a_copy_goes_on_in_the_same_way(env_id, copied, vector):
    env = gym.make_vec(env_id, num_envs=2) if vector else gym.make(env_id)
    play(env, 2)
    twin = copied(env)
    for _ in range(3):
        action = env.action_space.sample()
        assert same(env.step(action), twin.step(action))


def test_an_episode_ends_with_terminated_and_its_time_is_known(env_id):
    env = gym.make(env_id)
    env.reset(seed=0)
    for step in range(1, env.unwrapped.task.episode_steps + 1):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert (terminated, truncated) == (step == env.unwrapped.task.episode_steps, False)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_the_vector_env_is_sync_vector_env_of_the_single_one(env_id, mode):
    vector = gym.make_vec(env_id, num_envs=3, autoreset_mode=mode)
    sync = SyncVectorEnv([lambda: gym.make(env_id)] * 3, autoreset_mode=mode)
    assert vector.metadata["autoreset_mode"] is mode
    assert same(vector.reset(seed=5), sync.reset(seed=5))
    vector.action_space.seed(0)
    for _ in range(min(2 * vector.task.episode_steps + 3, 300)):
        actions = vector.action_space.sample()
        result = vector.step(actions)
        assert same(result, sync.step(actions))
        if mode is AutoresetMode.DISABLED and result[2].any():
            again = [env.reset(options={"reset_mask": result[2].copy()}) for env in (vector, sync)]
            assert same(*again)


def test_render_modes(env_id):
    text = gym.make(env_id, render_mode="ansi")
    text.reset(seed=0)
    assert isinstance(text.render(), str)
    assert text.render().strip()
    image = gym.make(env_id, render_mode="rgb_array")
    image.reset(seed=0)
    frames = [image.render()]
    for _ in range(image.unwrapped.task.episode_steps):
        image.step(image.action_space.sample())
        frames.append(image.render())
        if len(frames) > 30:
            break
    assert {(frame.shape, frame.dtype) for frame in frames} == {(frames[0].shape, np.dtype(np.uint8))}
    assert any((frame != frames[0]).any() for frame in frames)


def test_a_vector_env_renders_each_copy(env_id):
    vector = gym.make_vec(env_id, num_envs=2, render_mode="rgb_array")
    vector.reset(seed=3)
    single = gym.make(env_id, render_mode="rgb_array")
    single.reset(seed=4)
    assert len(vector.render()) == 2
    assert (vector.render()[1] == single.render()).all()


def test_human_mode_draws_without_being_asked(env_id, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make(env_id, render_mode="human")
    env.unwrapped.metadata = {**env.unwrapped.metadata, "render_fps": 1000}
    env.reset(seed=0)
    env.step(env.action_space.sample())
    assert env.render() is None
    env.close()
    env.close()


def test_random_scores_nothing_and_the_oracle_everything(env_id):
    task = find_task(env_id)
    assert task is not None
    measured = measure_returns(*task, episodes=256, seed=1)
    assert score(env_id, measured.random) == pytest.approx(0, abs=0.05)
    assert score(env_id, measured.oracle) == pytest.approx(1, abs=0.05)


def test_queries_are_asked_and_their_targets_are_actions(env_id):
    env = gym.make(env_id)
    _, info = env.reset(seed=0)
    queries = []
    for _ in range(env.unwrapped.task.episode_steps):
        target = np.asarray(info["target"], env.action_space.dtype)
        assert env.action_space.contains(target if target.ndim else int(target))
        queries.append(info["query"])
        _, _, _, _, info = env.step(env.action_space.sample())
    assert any(queries)
    assert not info["query"]


def test_bad_calls_are_refused(env_id):
    env = gym.make(env_id).unwrapped
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=0)
    with pytest.raises(ValueError, match="actions"):
        env.step(np.full((3, 3), 2))
    with pytest.raises(ValueError, match="render_mode"):
        type(env)(render_mode="film")
    with pytest.raises(TypeError, match="color"):
        type(env)(color="blue")


def test_names_of_actions_are_as_many_as_actions(env_id):
    task = gym.make(env_id).unwrapped.task
    assert len(task.action_names) in (0, getattr(task.action_space, "n", 0))


def test_registering_twice_does_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plastic_rl.register_envs()


def test_goes_on_from_its_state_as_if_nothing_had_happened(env_id):
    first, second = (gym.make_vec(env_id, num_envs=3, autoreset_mode="SameStep") for _ in range(2))
    steps = first.unwrapped.task.episode_steps
    first.reset(seed=1)
    first.action_space.seed(2)
    for _ in range(steps // 2):
        first.step(first.action_space.sample())
    second.reset(seed=7)
    second.unwrapped.set_state(copy.deepcopy(first.unwrapped.state()))
    for _ in range(steps + 2):
        actions = first.action_space.sample()
        assert same(first.step(actions), second.step(actions))


def test_the_state_of_another_task_is_refused():
    small, large = (gym.make_vec(IDS[0], num_envs=2, episode_steps=steps).unwrapped for steps in (8, 9))
    small.reset(seed=1)
    large.reset(seed=1)
    with pytest.raises(ValueError, match=r"Maze with the same arguments; \['_places'\]"):
        large.set_state(small.state())
