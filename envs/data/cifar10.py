"""CIFAR-10 as gray images.

Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images".
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from plastic_rl.envs.data.archives import cached, data_root, members, missing

SIZE = 32
_RECORD = 1 + 3 * SIZE * SIZE
_FILES = {"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test": ("test_batch.bin",)}
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # luma, ITU-R BT.601


def load_cifar10(split: str = "train", root: str | os.PathLike | None = None) -> np.ndarray:
    """Return images as gray values.

    Args:
        split: `"train"` (`data_batch_1.bin` to `data_batch_5.bin`, those that are there) or `"test"`.
        root: the folder of the data sets, else PLASTIC_RL_DATA, else the user's cache. There the binary version is
            looked for: `cifar-10-batches-bin`, or a `cifar-10*-binary.tar.gz`.

    Returns:
        (n_images, 32, 32) uint8; read-only.

    Raises:
        FileNotFoundError: the data set is not there; the message has the command that gets it.
        ValueError: no such split, or the archive is damaged.
    """
    if split not in _FILES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    return _load(split, data_root(root))


@lru_cache(maxsize=4)
def _load(split: str, folder: Path) -> np.ndarray:
    source = next(iter([*folder.glob("cifar-10-batches-bin"), *sorted(folder.glob("cifar-10*-binary.tar.gz"))]), None)
    if source is None:
        raise missing("cifar10", ["cifar-10-batches-bin", "cifar-10*-binary.tar.gz"], folder)
    return cached([source], f"cifar10-{split}-gray", lambda: _read(source, split))


def _read(source: Path, split: str) -> np.ndarray:
    parts = []
    for name, content in members(source, _FILES[split]):
        if not content or len(content) % _RECORD:
            raise ValueError(f"{name} in {source} is no whole number of {_RECORD}-byte records: it is damaged")
        colors = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)[:, 1:].reshape(-1, 3, SIZE, SIZE)
        parts.append(np.einsum("nchw,c->nhw", colors, _GRAY).round().astype(np.uint8))
    if not parts:
        raise ValueError(f"{source} holds none of {', '.join(_FILES[split])}")
    return np.concatenate(parts)
