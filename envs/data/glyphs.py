"""Characters of invented alphabets, drawn by programs: as many classes as asked for, without a download."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

from plastic_rl.arguments import check_integer

_SPLITS = {"train": 0, "test": 1}
_POINTS = 80  # a stroke as this many dots of ink


@lru_cache(maxsize=8)
def draw_glyphs(
    n_classes: int, n_drawings: int = 20, size: int = 31, seed: int = 0, split: str = "train"
) -> np.ndarray:
    """Return drawings of random characters.

    A class is a program of two to four strokes, each a Bezier curve that mostly begins where the last one ended. A
    drawing of it moves the control points a little and then turns, scales and shifts the whole. Class k of a split is
    the same however many are asked for.

    Args:
        n_classes: how many characters.
        n_drawings: how many drawings of each.
        size: side of the images, in pixels, at least 8.
        seed: of all alphabets.
        split: `"train"` or `"test"`, which have no class in common.

    Returns:
        (n_classes, n_drawings, size, size) uint8, ink 255 on 0; read-only, since it is kept for the next caller.

    Raises:
        ValueError: an argument is out of range.
    """
    check_integer("n_classes", n_classes, 1)
    check_integer("n_drawings", n_drawings, 1)
    check_integer("size", size, 8)
    if split not in _SPLITS:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    images = np.empty((n_classes, n_drawings, size, size), np.uint8)
    for k in range(n_classes):
        rng = np.random.default_rng([seed, _SPLITS[split], k])
        strokes = _program(rng)
        jittered = strokes + rng.normal(0, 0.035, (n_drawings, *strokes.shape))
        images[k] = _render(_move(_curves(jittered), rng), size)
    images.setflags(write=False)
    return images


def _program(rng: np.random.Generator) -> np.ndarray:
    """Return a character's strokes, (n_strokes, 4, 2): control points in the unit square."""
    strokes = rng.uniform(0, 1, (rng.integers(2, 5), 4, 2))
    for before, stroke in pairwise(strokes):
        if rng.random() < 0.7:
            stroke[0] = before[rng.choice([0, 3])]
    return strokes


def _curves(strokes: np.ndarray) -> np.ndarray:
    """Return the dots of cubic Bezier curves: (..., n_strokes, 4, 2) to (..., n_strokes * _POINTS, 2)."""
    t = np.linspace(0, 1, _POINTS)[:, None]
    basis = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    dots = basis @ strokes
    return dots.reshape(*strokes.shape[:-3], -1, 2)


def _move(dots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn by up to 10 degrees, scale by up to a tenth, shift by up to a twentieth: each drawing by its own."""
    n = len(dots)
    angle = np.deg2rad(rng.uniform(-10, 10, n))
    scale = rng.uniform(0.9, 1.1, (n, 1, 1))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(n, 2, 2)
    return (dots - 0.5) @ turn * scale + 0.5 + rng.uniform(-0.05, 0.05, (n, 1, 2))


def _render(dots: np.ndarray, size: int) -> np.ndarray:
    """Spread each dot's ink over the pixels around it, and draw with a pen about two pixels wide."""
    margin = 0.1 * size
    place = np.clip(dots * (size - 1 - 2 * margin) + margin, 0, size - 1.001)
    corner = place.astype(np.int64)
    part = place - corner
    ink = np.zeros((len(dots), size, size))
    drawing = np.arange(len(dots))[:, None]
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - part[..., 1]) * np.abs(1 - dx - part[..., 0])
            np.add.at(ink, (drawing, corner[..., 1] + dy, corner[..., 0] + dx), share)
    padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
    pen = sum(
        weight * padded[:, 1 + dy : 1 + dy + size, 1 + dx : 1 + dx + size]
        for dy, dx, weight in [(0, 0, 1.0), (0, 1, 0.5), (0, -1, 0.5), (1, 0, 0.5), (-1, 0, 0.5)]
    )
    return np.asarray(255 * np.clip(pen, 0, 1), np.uint8)
