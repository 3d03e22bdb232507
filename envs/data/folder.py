"""Images of one's own."""

import os
from pathlib import Path

import numpy as np

from plastic_rl.envs.data.grey import read_grey

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def load_folder(folder: str | os.PathLike, size: int) -> np.ndarray:
    """Return the images in a folder and those below, in the order of their names: grey, cut to a square, resized.

    Args:
        folder: where the images are (PNG, JPEG, BMP, WebP or TIFF).
        size: side of the result, in pixels.

    Returns:
        (n_images, size, size) uint8.

    Raises:
        ValueError: no such folder, no image in it, or one that cannot be read.
    """
    from PIL import ImageOps

    path = Path(folder).expanduser()
    if not folder or not path.is_dir():
        raise ValueError(f"source 'folder:{folder}' must name a folder, and there is none at {path}")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
    if not files:
        raise ValueError(f"source 'folder:{folder}' has no image ({', '.join(ENDINGS)})")
    images = np.empty((len(files), size, size), np.uint8)
    for k, file in enumerate(files):
        images[k] = np.asarray(ImageOps.fit(read_grey(file, str(file)), (size, size)))
    return images
