"""One-shot classification: the course of an episode, nearest neighbor in pixels, labels that hold for it alone."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plastic_rl.envs.one_shot import OneShotEnv, OneShotVectorEnv, _distort

EPISODES = 400


def blurred(images: np.ndarray) -> np.ndarray:
    """Blur (n, 961) images: drawings of one character differ by a pixel or two."""
    padded = np.pad(images.reshape(-1, 31, 31), ((0, 0), (2, 2), (2, 2)))
    return sum(padded[:, y : y + 31, x : x + 31] for y in range(5) for x in range(5)).reshape(len(images), -1)


def right_by_nearest_neighbor(env: OneShotVectorEnv) -> float:
    """Play by observations alone, answer with the label of the nearest drawing; return the share of right answers."""
    observation, _ = env.reset(seed=0)
    images, labels, right = [], [], 0.0
    for _ in range(env.task.episode_steps):
        image = blurred(observation["image"])
        actions = np.zeros(EPISODES, np.int64)
        if observation["query"].all():
            distances = [((image - seen) ** 2).sum(axis=1) for seen in images]
            actions = np.stack(labels)[np.argmin(distances, axis=0), np.arange(EPISODES)]
        else:
            images.append(image)
            labels.append(observation["label"].argmax(axis=1))
        observation, reward, _, _, _ = env.step(actions)
        right += reward.sum()
    return right / (EPISODES * env.task.n_queries)


def test_nearest_neighbor_in_pixels_is_far_above_chance():
    assert right_by_nearest_neighbor(OneShotVectorEnv(EPISODES)) > 0.8  # of three


def test_nearest_neighbor_in_pixels_is_far_above_chance_with_handwriting(real_root):
    env = gym.make_vec("plastic_rl/OneShotOmniglot-v0", EPISODES, split="test", root=str(real_root))
    assert right_by_nearest_neighbor(env) > 0.55  # of five


@settings(max_examples=30, deadline=None)
@given(n_way=st.integers(2, 5), k_shot=st.integers(1, 3), n_queries=st.integers(1, 6), seed=st.integers(0, 999))
def test_an_episode_shows_every_label_k_times_and_then_asks(n_way, k_shot, n_queries, seed):
    env = OneShotEnv(n_way=n_way, k_shot=k_shot, n_queries=n_queries, n_classes=20)
    observation, info = env.reset(seed=seed)
    seen, labels = [], []
    for step in range(n_way * k_shot + n_queries):
        asked = step >= n_way * k_shot
        assert info["query"] == asked == observation["query"][0]
        assert observation["label"].sum() == (not asked)
        assert observation["image"].max() > 0.5
        assert not any(np.array_equal(observation["image"], image) for image in seen)
        seen.append(observation["image"])
        if not asked:
            labels.append(int(observation["label"].argmax()))
            assert info["target"] == labels[-1]
        wrong = step % 2
        observation, reward, over, _, new = env.step((info["target"] + wrong) % n_way)
        assert reward == (asked and not wrong)
        info = new
    assert over
    assert sorted(labels) == sorted([*range(n_way)] * k_shot)
    assert not observation["image"].any()


def test_of_more_labels_an_episode_uses_the_first():
    env, narrow = (OneShotEnv(n_way=2, n_labels=n_labels, n_queries=2) for n_labels in (5, None))
    assert env.action_space.n == 5
    assert env.observation_space["label"].shape == (5,)
    (observation, info), (same, _) = env.reset(seed=0), narrow.reset(seed=0)
    for _ in range(4):
        assert np.array_equal(observation["image"], same["image"])
        assert np.array_equal(observation["label"], [*same["label"], 0, 0, 0])
        assert info["target"] < 2
        observation, reward, _, _, info = env.step(4)
        same, *_ = narrow.step(0)
        assert reward == 0


def test_labels_cannot_be_told_from_the_drawing():
    env = OneShotVectorEnv(3000, n_way=2, n_queries=1, n_classes=12)
    env.reset(seed=0)
    for _ in range(2):
        observation, _, _, _, info = env.step(np.zeros(3000, np.int64))
    small = observation["image"].reshape(-1, 31, 31)[:, 3:27].reshape(-1, 8, 3, 31)[..., 2:29].reshape(-1, 8, 3, 9, 3)
    features = np.hstack([np.ones((3000, 1)), small.mean(axis=(2, 4)).reshape(3000, -1)])
    wanted, fit, rest = 2.0 * info["target"] - 1, slice(1500), slice(1500, None)
    gram = features[fit].T @ features[fit] + np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features[fit].T @ wanted[fit])
    assert ((features[rest] @ weights > 0) == (wanted[rest] > 0)).mean() == pytest.approx(0.5, abs=0.04)


def test_train_and_test_have_no_drawing_in_common():
    train, test = (OneShotEnv(split=split, n_classes=30).unwrapped.task.images for split in ("train", "test"))
    assert not {image.tobytes() for image in train.reshape(-1, 961)} & {i.tobytes() for i in test.reshape(-1, 961)}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_way": 1}, ValueError, "n_way must be at least 2, got 1"),
        ({"n_way": 5, "n_classes": 4}, ValueError, "n_way must be at most the 4 characters"),
        ({"k_shot": 0}, ValueError, "k_shot"),
        ({"n_labels": 2}, ValueError, "n_labels must be at least 3, got 2"),
        ({"k_shot": 1.5}, TypeError, "k_shot must be an integer"),
        ({"n_queries": 20}, ValueError, r"k_shot \+ n_queries must be at most the 20 drawings"),
        ({"source": "letters"}, ValueError, "source must be one of 'glyphs', 'omniglot', got 'letters'"),
        ({"split": "background"}, ValueError, "split must be one of 'train', 'test', got 'background'"),
        ({"n_classes": -1}, ValueError, "n_classes"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        gym.make("plastic_rl/OneShot-v0", **arguments)


def test_missing_omniglot_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"python -m plastic_rl data omniglot --root"):
        gym.make("plastic_rl/OneShotOmniglot-v0", root=str(tmp_path))


def test_renders_what_was_seen():
    env = gym.make("plastic_rl/OneShot-v0", render_mode="rgb_array")
    _, info = env.reset(seed=0)
    frames = [env.render()]
    for _ in range(8):
        *_, info = env.step(info["target"])
        frames.append(env.render())
    assert len({frame.tobytes() for frame in frames}) == 9
    assert len({frame.shape for frame in frames}) == 1
    assert "answered" in env.unwrapped.task.render_text(0)


def images_of_an_episode(seed: int, **arguments) -> np.ndarray:
    env = OneShotEnv(n_way=3, n_queries=4, n_classes=20, **arguments)
    observation, _ = env.reset(seed=seed)
    images = [observation["image"]]
    for _ in range(6):
        images.append(env.step(0)[0]["image"])
    return np.stack(images)


def test_distorted_drawings_are_of_the_same_characters_and_differ_a_little():
    plain, distorted = images_of_an_episode(3), images_of_an_episode(3, distortion=0.05)
    assert np.array_equal(distorted, images_of_an_episode(3, distortion=0.05))
    assert np.array_equal(plain, images_of_an_episode(3, distortion=0.0))
    distances = ((blurred(distorted)[:, None] - blurred(plain)) ** 2).sum(axis=2)
    assert np.diag(distances).min() > 1
    assert (distances.argmin(axis=0) == np.arange(7)).all()
    assert 0 <= distorted.min() < distorted.max() <= 1


def test_a_distortion_moves_the_drawing_as_it_says():
    drawing = np.zeros((31, 31), np.uint8)
    drawing[10:21, 15] = 255
    nothing, shifted, turned = _distort(
        np.stack([drawing] * 3), np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0.3, 0], [np.pi / 2, 0, 0, 0, 0, 0]])
    )
    assert np.array_equal(nothing, drawing)
    assert np.array_equal(shifted, np.roll(drawing, -3, axis=1))
    assert np.allclose(turned, drawing.T, atol=1)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_a_distortion_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="distortion must be a finite number between 0 and 1"):
        OneShotEnv(distortion=wrong)
