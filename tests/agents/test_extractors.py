"""Features of small images: the paper's 64, and what does not change them."""

import gymnasium as gym
import pytest
import torch

from plastic_rl.agents import SmallImageExtractor


def space(pixels: int = 31 * 31) -> gym.spaces.Dict:
    return gym.spaces.Dict({"image": gym.spaces.Box(0, 1, (pixels,)), "label": gym.spaces.Box(0, 1, (3,))})


def test_64_features_and_the_label():
    observations = {"image": torch.rand(2, 961), "label": torch.eye(3)[:2]}
    features = SmallImageExtractor(space())(observations)
    assert features.shape == (2, 67)
    assert torch.equal(features[:, 64:], observations["label"])


@pytest.mark.parametrize("standardize", [False, True])
def test_standardized_features_do_not_change_with_brightness_and_contrast(standardize):
    torch.manual_seed(0)
    extractor = SmallImageExtractor(space(), standardize=standardize)
    image = torch.rand(4, 961)
    image[3] = 0  # what is observed after a life's end
    bright = 0.5 * image + 0.3
    features, same = (extractor({"image": x, "label": torch.zeros(4, 3)}) for x in (image, bright))
    assert features.isfinite().all()
    assert torch.allclose(features, same, atol=1e-3) == standardize


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "gelu"}, "activation must be 'tanh' or 'relu', not 'gelu'"),
        ({"n_layers": 5}, "not of 961 pixels"),
        ({"observation_space": space(30)}, "not of 30 pixels"),
        ({"observation_space": gym.spaces.Box(0, 1, (961,))}, "must be a Dict with an 'image'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SmallImageExtractor(**{"observation_space": space(), **arguments})
