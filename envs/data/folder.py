"""Images of one's own."""

import os
from pathlib import Path

import numpy as np

from plastic_rl.envs.data.archives import expanded
from plastic_rl.envs.data.gray import read_gray

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def image_files(folder: str | os.PathLike) -> list[Path]:
    """Return the image files in a folder and those below, in the order of their names.

    Files and folders whose name begins with a dot, or `__MACOSX`, are what programs leave beside images, and are
    passed over.

    Args:
        folder: where the images are (PNG, JPEG, BMP, WebP or TIFF).

    Raises:
        ValueError: no such folder, no image in it, or a link to an image that is not there.
    """
    path = expanded(folder)
    if not folder or not path.is_dir():
        raise ValueError(f"source 'folder:{folder}' must name a folder, and there is none at {path}")
    named = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS and not file.is_dir())
    files = [file for file in named if not any(map(_left_by_a_program, file.relative_to(path).parts))]
    if not files:
        raise ValueError(f"source 'folder:{folder}' has no image ({', '.join(ENDINGS)})")
    broken = [str(file) for file in files if not file.exists()]
    if broken:
        raise ValueError(f"source 'folder:{folder}' has links to images that are not there: {', '.join(broken)}")
    return files


def load_images(files: list[Path], size: int) -> np.ndarray:
    """Return images as (n, size, size) uint8: gray, cut to a square, resized.

    Raises:
        ValueError: one of them cannot be read; the message names it.
    """
    from PIL import ImageOps

    images = np.empty((len(files), size, size), np.uint8)
    for k, file in enumerate(files):
        images[k] = np.asarray(ImageOps.fit(read_gray(file, str(file)), (size, size)))
    return images


def _left_by_a_program(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
