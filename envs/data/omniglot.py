"""Omniglot: 1,623 handwritten characters of 50 alphabets, twenty drawings of each.

Source: Lake, Salakhutdinov & Tenenbaum (2015), "Human-level concept learning through probabilistic program induction".
"""

import os
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from pathlib import Path

import numpy as np

from plastic_rl.envs.data.archives import cached, data_root, members, missing
from plastic_rl.envs.data.gray import read_gray

SIZE, N_DRAWINGS = 31, 20
N_CLASSES = {"background": 964, "evaluation": 659}
N_TEST_CLASSES = 100


def load_omniglot(split: str = "train", root: str | os.PathLike | None = None) -> np.ndarray:
    """Return the drawings of some characters, at the paper's 31 x 31 pixels.

    Args:
        split: `"train"` and `"test"` are 1,523 and 100 characters, chosen once by chance from all of them, as many as
            the paper's; `"background"` and `"evaluation"` are the data set's own 964 and 659.
        root: the folder of the data sets, else PLASTIC_RL_DATA, else the user's cache. There
            `images_background` and `images_evaluation` are looked for, each a folder or a zip.

    Returns:
        (n_classes, 20, 31, 31) uint8, ink 255 on 0; read-only.

    Raises:
        FileNotFoundError: the data set is not there; the message has the command that gets it.
        ValueError: no such split, or an archive is damaged.
    """
    if split not in ("train", "test", *N_CLASSES):
        raise ValueError(f"split must be 'train', 'test', 'background' or 'evaluation', got {split!r}")
    return _load(split, data_root(root))


@lru_cache(maxsize=4)
def _load(split: str, root: Path) -> np.ndarray:
    if split in N_CLASSES:
        return _load_set(split, root)
    everything = np.concatenate([_load_set(part, root) for part in N_CLASSES])
    order = np.random.default_rng(0).permutation(len(everything))
    chosen = everything[order[:-N_TEST_CLASSES] if split == "train" else order[-N_TEST_CLASSES:]]
    chosen.setflags(write=False)
    return chosen


def _load_set(part: str, root: Path) -> np.ndarray:
    name = f"images_{part}"
    source = next((path for path in (root / name, root / f"{name}.zip") if path.exists()), None)
    if source is None:
        raise missing("omniglot", [name, f"{name}.zip"], root)
    return cached([source], f"omniglot-{part}-{SIZE}", lambda: _read(source, part))


def _read(source: Path, part: str) -> np.ndarray:
    """Decode the drawings: `ALPHABET/characterNN/XXXX_YY.png` at the end of each name."""
    drawings = [
        (name, _decode(content, f"{name} in {source}"))
        for name, content in members(source, (".png",))
        if not name.rpartition("/")[2].startswith(".")  # macOS leaves such files beside the real ones
    ]
    classes = [
        np.stack([image for _, image in group])
        for _, group in groupby(drawings, key=lambda drawing: drawing[0].rpartition("/")[0])
    ]
    counts = sorted({len(images) for images in classes})
    if len(classes) != N_CLASSES[part] or counts != [N_DRAWINGS]:
        raise ValueError(
            f"{source} holds {len(classes)} characters with {counts} drawings each, not {N_CLASSES[part]} with "
            f"{N_DRAWINGS}: it is not whole; delete it and get it again"
        )
    return np.stack(classes)


def _decode(content: bytes, name: str) -> np.ndarray:
    from PIL import Image

    small = read_gray(BytesIO(content), name).resize((SIZE, SIZE), Image.Resampling.BOX)
    return 255 - np.asarray(small, np.uint8)
