"""Features of small images."""

import math
from typing import Literal

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn import functional


class SmallImageExtractor(BaseFeaturesExtractor):
    """Convolutions over the `image` of a `Dict` observation, followed by its other entries as they are.

    Each convolution has 3 x 3 filters at a stride of 2, and an activation after it. Four with 64 filters and tanh make
    64 features of 31 x 31 pixels: the network of the paper's one-shot task.

    Args:
        observation_space: a `Dict` whose `image` is a square gray image, flat, (side * side,).
        filters: of each convolution.
        n_layers: convolutions.
        batch_norm: whether each is followed by batch normalization.
        activation: `"tanh"` or `"relu"`; the last one is always tanh.
        standardize: whether each image is first shifted and scaled to a mean of 0 and a standard deviation of 1,
            which speeds up the beginning of learning.

    Raises:
        ValueError: there is no square `image`, `n_layers` leave nothing of it, or `activation` is neither of the two.

    Source: Miconi, Clune & Stanley (2018), section 4.5.

    Example:
        >>> from plastic_rl import PlasticPPO, SmallImageExtractor
        >>> features = dict(features_extractor_class=SmallImageExtractor, features_extractor_kwargs=dict(filters=16))
        >>> model = PlasticPPO("MultiInputPolicy", "plastic_rl/OneShot-v0", policy_kwargs=features)
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        filters: int = 64,
        n_layers: int = 4,
        batch_norm: bool = False,
        activation: Literal["tanh", "relu"] = "tanh",
        standardize: bool = False,
    ) -> None:
        if activation not in ("tanh", "relu"):
            raise ValueError(f"activation must be 'tanh' or 'relu', not {activation!r}")
        if not isinstance(observation_space, spaces.Dict) or "image" not in observation_space.spaces:
            raise ValueError(f"observation_space must be a Dict with an 'image', not {observation_space}")
        n_pixels = math.prod(observation_space["image"].shape or ())
        whole = side = math.isqrt(n_pixels)
        for _ in range(n_layers):
            side = (side - 3) // 2 + 1
        if whole * whole != n_pixels or side < 1:
            raise ValueError(f"image must be square and large enough for n_layers={n_layers}, not of {n_pixels} pixels")
        self.others = [name for name in observation_space.spaces if name != "image"]
        others = sum(math.prod(observation_space[name].shape or ()) for name in self.others)
        super().__init__(observation_space, filters * side * side + others)
        self.side, self.standardize = whole, standardize
        layers: list[nn.Module] = []
        for layer in range(n_layers):
            layers.append(nn.Conv2d(filters if layer else 1, filters, 3, stride=2))
            if batch_norm:
                layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.ReLU() if activation == "relu" and layer < n_layers - 1 else nn.Tanh())
        self.convolutions = nn.Sequential(*layers, nn.Flatten())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Return (B, features_dim): the image's features, then the other entries in the space's order."""
        pixels = observations["image"].float()
        if self.standardize:
            pixels = functional.layer_norm(pixels, pixels.shape[1:])
        # Channels last, in which convolutions of small images are faster; what they give is in the order of its input.
        images = pixels.reshape(-1, self.side, self.side, 1).permute(0, 3, 1, 2)
        return torch.cat([self.convolutions(images), *(observations[name].flatten(1) for name in self.others)], dim=1)
