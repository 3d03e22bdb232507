"""Image recall: what is shown and hidden, what an answer pays, and that the nearest image seen is the answer."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from plastic_rl.envs.image_recall import ImageRecallEnv, ImageRecallVectorEnv, normalize


def test_the_nearest_image_seen_is_always_right():
    env = ImageRecallVectorEnv(20)
    observation, _ = env.reset(seed=0)
    seen, total, actions = [], 0.0, np.zeros(env.action_space.shape, np.float32)
    for _ in range(env.task.episode_steps):
        shown = observation[:, :-2]
        if observation[0, -2]:
            visible = shown != 0
            distances = [(((image - shown) * visible) ** 2).sum(axis=1) for image in seen]
            actions = np.stack(seen)[np.argmin(distances, axis=0), np.arange(20)]
        elif shown.any():
            seen.append(shown)
        observation, reward, *_ = env.step(actions)
        total += reward
    assert total == pytest.approx([3.0] * 20, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    n_images=st.integers(1, 3),
    n_presentations=st.integers(1, 2),
    presentation_steps=st.integers(1, 3),
    blank_steps=st.integers(0, 2),
    query_steps=st.integers(1, 3),
    seed=st.integers(0, 999),
)
def test_an_episode(seed, **arguments):
    env = ImageRecallEnv(size=8, **arguments)
    observation, info = env.reset(seed=seed)
    answer = info["target"]
    assert answer.mean() == pytest.approx(0, abs=1e-6)
    assert np.abs(answer).max() == pytest.approx(1)
    shown = []
    while not info["query"]:
        shown.append(observation[:-2])
        observation, reward, over, _, info = env.step(env.action_space.sample())
        assert (reward, over) == (0, False)
    times = sum(np.array_equal(image, answer) for image in shown)
    assert times == arguments["n_presentations"] * arguments["presentation_steps"]
    hidden = observation[:-2] == 0
    upper = hidden[:32].all()
    assert hidden[32:].all() != upper
    half = slice(None, 32) if upper else slice(32, None)
    for step in range(arguments["query_steps"]):
        action = np.zeros(64, np.float32)
        action[half] = answer[half] * step / 2
        observation, reward, over, _, info = env.step(action)
        assert reward == pytest.approx(1 - (1 - step / 2) ** 2, abs=1e-5)
    assert over


def test_what_can_be_guessed_from_the_other_half_is_little():
    task = ImageRecallEnv().unwrapped.task
    upper, lower = np.split(task.images, 2, axis=1)
    fit, rest = slice(1500), slice(1500, None)
    weights = np.linalg.solve(upper[fit].T @ upper[fit] + 300 * np.eye(512), upper[fit].T @ lower[fit])
    error = ((upper[rest] @ weights - lower[rest]) ** 2).sum(axis=1) / (lower[rest] ** 2).sum(axis=1)
    assert 1 - error.mean() < 0.2


def test_images_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(10):
        Image.fromarray(rng.integers(256, size=(20, 30, 3), dtype=np.uint8)).save(tmp_path / f"{k}.png")
    env = gym.make("plastic_rl/ImageRecall-v0", source=f"folder:{tmp_path}", size=16)
    assert len(env.unwrapped.task.images) == 8
    assert len(ImageRecallEnv(source=f"folder:{tmp_path}", n_images=2, split="test").unwrapped.task.images) == 2


def test_flat_images_are_left_out():
    images = np.zeros((3, 4, 4), np.uint8)
    images[1, :, 0] = 255
    images[2, :2, 0] = 255  # the lower half is flat, but not zero once the mean is taken off
    assert len(normalize(images)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 7}, "size must be even"),
        ({"size": 2}, "size must be at least 4"),
        ({"n_images": 0}, "n_images"),
        ({"n_images": 5000}, "n_images must be at most the 2000 images"),
        ({"source": "cats"}, "source must be 'dead_leaves', 'cifar10' or 'folder:PATH', got 'cats'"),
        ({"source": "cifar10", "size": 16}, "size must be 32 for source 'cifar10', got 16"),
        ({"source": "folder:nowhere"}, "must name a folder"),
        ({"source": "folder:"}, "must name a folder"),
        ({"split": "valid"}, "split must be one of 'train', 'test', got 'valid'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        gym.make("plastic_rl/ImageRecall-v0", **arguments)


def test_folders_without_readable_images(tmp_path):
    with pytest.raises(ValueError, match="has no image"):
        ImageRecallEnv(source=f"folder:{tmp_path}")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image"):
        ImageRecallEnv(source=f"folder:{tmp_path}")


def test_missing_cifar10_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m plastic_rl data cifar10 --root"):
        gym.make("plastic_rl/ImageRecall-v0", source="cifar10", root=str(tmp_path))
