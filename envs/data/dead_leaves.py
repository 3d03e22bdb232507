"""Dead leaves: images of discs that hide one another, with statistics close to those of natural images."""

from functools import lru_cache

import numpy as np

from plastic_rl.arguments import check_integer

_DISCS = 400
_SMALLEST = 1.5  # radius, in pixels


@lru_cache(maxsize=8)
def dead_leaves(n_images: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Return random images of opaque gray discs, whose radii have a density that falls with their third power.

    Args:
        n_images: how many.
        size: side, in pixels, at least 4.
        seed: of all images.

    Returns:
        (n_images, size, size) uint8; read-only, since it is kept for the next caller.

    Raises:
        ValueError: an argument is out of range.

    Source: Lee, Mumford & Huang (2001), "Occlusion models for natural images", which finds the cubic law.
    """
    check_integer("n_images", n_images, 1)
    check_integer("size", size, 4)
    rng = np.random.default_rng(seed)
    images = np.full((n_images, size, size), 128, np.uint8)
    x = np.arange(size, dtype=np.float32)
    largest = size / 2
    for _ in range(_DISCS):  # a later disc lies above the earlier ones, in every image at once
        # Inverse of the distribution of radii: between 1 / largest^2 and 1 / smallest^2, 1 / r^2 is uniform.
        radius = rng.uniform(largest**-2, _SMALLEST**-2, n_images).astype(np.float32) ** -0.5
        center = rng.uniform(-largest, size + largest, (2, n_images, 1)).astype(np.float32)
        inside = ((x - center[0]) ** 2)[:, :, None] + ((x - center[1]) ** 2)[:, None, :] < radius[:, None, None] ** 2
        gray = rng.integers(256, size=n_images, dtype=np.uint8)
        np.copyto(images, gray[:, None, None], where=inside)
    images.setflags(write=False)
    return images
