"""Images of one's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from plastic_rl.envs.data.archives import expanded
from plastic_rl.envs.data.gray import read_gray

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".webp", ".tif", ".tiff")


def image_files(folder: str | os.PathLike) -> list[Path]:
    """Return the image files in a folder and those below, in the order of their names.

    Files and folders whose name begins with a dot, or `__MACOSX`, are what programs leave beside images, and are
    passed over. Links to folders are followed.

    Args:
        folder: where the images are (PNG, JPEG, BMP, GIF, PGM, PPM, WebP or TIFF).

    Raises:
        ValueError: no such folder, no image in it, or what is named like an image is no file, such as a broken link.
    """
    path = expanded(folder)
    if not folder or not path.is_dir():
        raise ValueError(f"source 'folder:{folder}' must name a folder, and there is none at {path}")
    files = sorted(file for file in _files(path) if file.suffix.lower() in ENDINGS)
    if not files:
        raise ValueError(f"source 'folder:{folder}' has no image ({', '.join(ENDINGS)})")
    broken = [str(file) for file in files if not file.is_file()]
    if broken:
        raise ValueError(f"source 'folder:{folder}' has broken links, or what is no file: {', '.join(broken)}")
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


def _files(folder: Path) -> Iterator[Path]:
    seen = set()
    for home, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(home)
        folders[:] = [] if real in seen else sorted(name for name in folders if not _left_by_a_program(name))
        if real not in seen:
            yield from (Path(home, name) for name in names if not _left_by_a_program(name))
        seen.add(real)


def _left_by_a_program(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
