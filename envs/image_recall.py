"""Recall of images: complete one that was seen before from its upper or lower half."""

import os
import warnings

import numpy as np
from gymnasium import spaces

from plastic_rl.arguments import check_choice, check_integer
from plastic_rl.envs.data.cifar10 import load_cifar10
from plastic_rl.envs.data.dead_leaves import dead_leaves
from plastic_rl.envs.data.folder import image_files, load_images
from plastic_rl.envs.pattern_recall import presentations
from plastic_rl.envs.rendering import Canvas
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv

N_GENERATED = 2000


class ImageRecall(Task):
    """Images are shown one after the other; then half of one comes back, and the other half is asked for.

    ## Description

    An episode begins with `n_images` images. All are shown, one after the other in random order, `n_presentations`
    times: each for `presentation_steps`, and then nothing for `blank_steps`. Then the upper or the lower half of one of
    them comes back for `query_steps`, and the agent must paint the image.

    Images are gray, `size` by `size` pixels, of zero mean and divided by their largest magnitude. Pixels of one image
    hang together, so a little of the hidden half can be guessed from the other without memory: the best linear map from
    one to the other has a score of 0.64.

    ## Action Space

    `Box` of `size * size` float32 from -1 to 1: the image, row by row. Only answers to the query count.

    ## Observation Space

    `Box` of `size * size + 2` float32:

    | elements | meaning | range |
    |---|---|---|
    | 0 to size * size - 1 | pixels shown, row by row; 0 where they are hidden or there is no image | -1 to 1 |
    | size * size | 1 on a query step | 0 or 1 |
    | size * size + 1 | fraction of the episode that has passed | 0 to 1 |

    ## Rewards

    On a query step, one minus the squared error of the hidden half, relative to that of answering zero: at most 1, 0
    for zeros, and as far below as the answer is wrong; else 0.

    ## Starting State

    The first image.

    ## Episode End

    Terminates after `n_presentations * n_images * (presentation_steps + blank_steps) + query_steps` steps.

    ## Information

    `target`: (size * size,) the image that is asked for at the end; `query`: whether an answer counts.

    ## Arguments

    * `n_images` (3), `n_presentations` (3), `presentation_steps` (20), `query_steps` (3): at least 1.
    * `blank_steps` (2): at least 0.
    * `settling_steps` (0): of the query steps, the first ones whose answers do not count yet: a network that answers
      with its own neurons needs a step to complete an image.
    * `source` (`"dead_leaves"`): `"dead_leaves"`, 2,000 generated images; `"cifar10"`; or `"folder:PATH"`, one's own,
      of any mode that Pillow reads.
    * `size` (32): side in pixels, even, 4 to 256; 32 for CIFAR-10.
    * `split` (`"train"`): `"train"` or `"test"`, without an image in common; every fifth of a folder is for tests.
    * `root` (None): the folder of the data sets; see `plastic_rl.envs.data.archives.data_root`.

    Raises FileNotFoundError, with the command that gets it, where CIFAR-10 is not there.

    Source: Miconi, Clune & Stanley (2018), "Differentiable plasticity".

    ## Version History

    * v0: first version
    """

    def __init__(
        self,
        num_envs: int = 1,
        n_images: int = 3,
        n_presentations: int = 3,
        presentation_steps: int = 20,
        blank_steps: int = 2,
        query_steps: int = 3,
        source: str = "dead_leaves",
        size: int = 32,
        split: str = "train",
        root: str | os.PathLike | None = None,
        settling_steps: int = 0,
    ) -> None:
        self.n_images = check_integer("n_images", n_images, 1)
        self.n_presentations = check_integer("n_presentations", n_presentations, 1)
        self.presentation_steps = check_integer("presentation_steps", presentation_steps, 1)
        self.blank_steps = check_integer("blank_steps", blank_steps, 0)
        self.query_steps = check_integer("query_steps", query_steps, 1)
        self.settling_steps = check_integer("settling_steps", settling_steps, 0, self.query_steps - 1)
        self.size = check_integer("size", size, 4, 256)
        if self.size % 2:
            raise ValueError(f"size must be even, for an upper and a lower half, got {size}")
        self.images = normalize(_load(source, self.size, check_choice("split", split, ("train", "test")), root))
        if len(self.images) < self.n_images:
            raise ValueError(
                f"n_images must be at most the {len(self.images)} images of source {source!r}, got {n_images}"
            )
        self.query_start = self.n_presentations * self.n_images * (self.presentation_steps + self.blank_steps)
        super().__init__(num_envs, self.query_start + self.query_steps)
        self.n_pixels = self.size * self.size
        low = np.array([-1] * self.n_pixels + [0, 0], np.float32)
        self.observation_space = spaces.Box(low, np.ones(self.n_pixels + 2, np.float32))
        self.action_space = spaces.Box(-1, 1, (self.n_pixels,), np.float32)
        self.chosen = np.zeros((self.num_envs, self.n_images), np.int64)  # the first is asked for
        self.schedule = np.full((self.num_envs, self.episode_steps + 1), -1)  # which of them is shown, -1 for none
        self.schedule[:, self.query_start : -1] = 0
        self.hidden = np.zeros((self.num_envs, self.n_pixels), bool)
        self._copies = np.arange(self.num_envs)

    def reset(self, copies: np.ndarray) -> None:
        """Draw images, the order in which they are shown, and the half that is hidden."""
        keys = np.empty((len(copies), self.n_presentations, self.n_images))
        for row, copy in enumerate(copies):
            rng = self.rngs[copy]
            self.chosen[copy] = rng.choice(len(self.images), self.n_images, replace=False)
            upper = rng.integers(2) == 0
            self.hidden[copy] = (np.arange(self.n_pixels) < self.n_pixels // 2) == upper
            keys[row] = rng.random(keys.shape[1:])
        self.schedule[copies, : self.query_start] = presentations(keys, self.presentation_steps, self.blank_steps, -1)

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Judge the answers of those who are asked."""
        rewards = np.zeros(self.num_envs)
        asked = np.flatnonzero(self.query())
        if asked.size:
            right = self.images[self.chosen[asked, 0]] * self.hidden[asked]
            errors = (actions[asked] * self.hidden[asked] - right) ** 2
            rewards[asked] = 1 - errors.sum(axis=1, dtype=np.float64) / (right**2).sum(axis=1, dtype=np.float64)
        return rewards

    def observe(self) -> np.ndarray:
        """Return (num_envs, size * size + 2) float32: an image, the query flag, time."""
        observation = np.empty((self.num_envs, self.n_pixels + 2), np.float32)
        row, asked = self.schedule[self._copies, self.time], self._asking()
        observation[:, :-2] = self.images[self.chosen[self._copies, row]]
        observation[row < 0, :-2] = 0
        observation[:, :-2][asked] *= ~self.hidden[asked]
        observation[:, -2] = asked
        observation[:, -1] = self.elapsed()
        return observation

    def target(self) -> np.ndarray:
        """Return (num_envs, size * size) float32, the images that are asked for at the end."""
        return self.images[self.chosen[:, 0]]

    def query(self) -> np.ndarray:
        """Return (num_envs,) bool: answers count on the last `query_steps`, after `settling_steps` of them."""
        return (self.time >= self.query_start + self.settling_steps) & (self.time < self.episode_steps)

    def _asking(self) -> np.ndarray:
        return (self.time >= self.query_start) & (self.time < self.episode_steps)

    def reference_returns(self) -> ReferenceReturns:
        """Return what uniform pixels pay on average over these images, and the images themselves."""
        halves = (self.images.reshape(len(self.images), 2, -1) ** 2).sum(axis=2, dtype=np.float64)
        # A uniform pixel u has E (u - x)^2 = 1/3 + x^2.
        counted = self.query_steps - self.settling_steps
        return ReferenceReturns(-counted * float((self.n_pixels / 6 / halves).mean()), float(counted))

    def render_text(self, copy: int) -> str:
        """Return the image as text, each character two rows of pixels, beside the answer and the right one."""
        pictures = [self.observe()[copy, :-2], *self._answers(copy)]
        rows = [_text(picture.reshape(self.size, self.size)) for picture in pictures]
        asked = ", asked" if self._asking()[copy] else ""
        lines = map("   ".join, zip(*rows, strict=True))
        return "\n".join([*lines, f"step {self.time[copy]}/{self.episode_steps}{asked}"])

    def render_frame(self, copy: int) -> np.ndarray:
        """Return the image shown, after an answer also that and the right one; and the time."""
        canvas = Canvas(536, 232)
        pictures = [self.observe()[copy, :-2], *self._answers(copy)]
        names = ["asked" if self._asking()[copy] else "shown", "answered", "right"]
        for k, (name, picture) in enumerate(zip(names, pictures, strict=False)):
            gray = np.asarray(127.5 * (np.clip(picture, -1, 1) + 1), np.uint8).reshape(self.size, self.size)
            canvas.text(24 + 168 * k, 8, name)
            canvas.picture(24 + 168 * k, 32, 152, 152, gray)
        canvas.bar(24, 206, 488, 10, self.time[copy] / self.episode_steps)
        return canvas.frame()

    def _answers(self, copy: int) -> list[np.ndarray]:
        if self.time[copy] <= self.query_start:
            return []
        return [self.previous_action[copy], self.images[self.chosen[copy, 0]]]


def normalize(images: np.ndarray) -> np.ndarray:
    """Return images as patterns: zero mean, divided by their largest magnitude; those with a flat half are left out.

    Args:
        images: (n, size, size) uint8.

    Returns:
        (n, size * size) float32 in [-1, 1], with perhaps fewer rows.
    """
    patterns = images.reshape(len(images), -1).astype(np.float32)
    patterns -= patterns.mean(axis=1, keepdims=True)
    patterns /= np.maximum(np.abs(patterns).max(axis=1, keepdims=True), 1e-6)
    energy = (patterns.reshape(len(patterns), 2, -1) ** 2).mean(axis=2)
    return patterns[(energy > 1e-3).all(axis=1)]


def _load(source: str, size: int, split: str, root: str | os.PathLike | None) -> np.ndarray:
    """Return (n, size, size) uint8."""
    if not isinstance(source, str):
        raise TypeError(f"source must be a string, got {source!r}")
    if source == "dead_leaves":
        return dead_leaves(N_GENERATED, size, seed=("train", "test").index(split))
    if source == "cifar10":
        if size != 32:
            raise ValueError(f"size must be 32 for source 'cifar10', got {size}")
        return load_cifar10(split, root)
    if source.startswith("folder:"):
        return _load_folder(source.removeprefix("folder:"), size, split)
    raise ValueError(f"source must be 'dead_leaves', 'cifar10' or 'folder:PATH', got {source!r}")


def _load_folder(folder: str, size: int, split: str) -> np.ndarray:
    files = [file for k, file in enumerate(image_files(folder)) if (k % 5 == 4) == (split == "test")]
    images = load_images(files, size)
    flat = [str(file) for file, image in zip(files, images, strict=True) if not len(normalize(image[None]))]
    if flat:
        warnings.warn(f"left out, since their upper or lower half has one gray: {', '.join(flat)}", stacklevel=2)
    return images


def _text(image: np.ndarray) -> list[str]:
    rows = image.reshape(len(image) // 2, 2, -1).mean(axis=1)
    return ["".join(" .:-=+*#%@"[int(4.999 * (pixel + 1))] for pixel in row) for row in np.clip(rows, -1, 1)]


class ImageRecallEnv(TaskEnv):
    """One copy of the task."""

    task_class = ImageRecall


class ImageRecallVectorEnv(TaskVectorEnv):
    """Many copies of the task."""

    task_class = ImageRecall
