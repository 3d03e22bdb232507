"""One-shot classification: learn the names of new characters from one drawing each, within an episode."""

import os
from typing import Any

import numpy as np
from gymnasium import spaces
from PIL import Image

from plastic_rl.arguments import check_choice, check_integer, check_number
from plastic_rl.envs.data.glyphs import draw_glyphs
from plastic_rl.envs.data.omniglot import load_omniglot
from plastic_rl.envs.rendering import GREEN, RED, Canvas
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv

SIZE = 31


class OneShot(Task):
    """Characters are shown with labels that hold for one episode; then other drawings of them are to be named.

    ## Description

    An episode has `n_way` characters, drawn anew, each with a label that means nothing outside this episode: the first
    `n_way` of `n_labels`. First `k_shot` drawings of each are shown with their labels, in random order; then come
    `n_queries` drawings without one, of characters drawn from the same ones, none of which was seen before. A character
    is turned by 0, 90, 180 or 270 degrees, the same all episode long.

    ## Action Space

    `Discrete(n_labels)`: the label. Only answers to queries count.

    ## Observation Space

    `Dict` of float32:

    | key | shape | meaning | range |
    |---|---|---|---|
    | image | (961,) | the drawing, 31 x 31 pixels row by row, ink 1 on 0; zeros at the end | 0 to 1 |
    | label | (n_labels,) | its label, one-hot; zeros on a query | 0 or 1 |
    | query | (1,) | 1 on a query | 0 or 1 |

    ## Rewards

    On a query 1 for the right label, 0 for a wrong one; before that 0.

    ## Starting State

    The first drawing with its label.

    ## Episode End

    Terminates after `n_way * k_shot + n_queries` steps.

    ## Information

    `target`: the label of the drawing shown; `query`: whether this is a query.

    ## Arguments

    * `n_way` (3), `k_shot` (1), `n_queries` (5): at least 1, `n_way` at least 2. A character has 20 drawings, of which
      `k_shot + n_queries` may be needed.
    * `n_labels` (None): at least `n_way`, by default as many. With more, an agent trained on many characters can be
      tested on fewer; answers that no character here has are wrong.
    * `source` (`"glyphs"`): `"glyphs"`, characters drawn by random programs, or `"omniglot"`, handwritten ones.
    * `n_classes` (None): take only the first so many characters of the source; by default 200 glyphs, or all.
    * `split` (`"train"`): `"train"` or `"test"`, without a character in common; for Omniglot also its own
      `"background"` and `"evaluation"`.
    * `distortion` (0.0): how differently a drawing is shown each time, from 0 to 1: by chance it is turned by up to so
      many radians, sheared and scaled by up to such a part, and shifted by up to ten times as many pixels. Training
      with a little of it, such as 0.15, makes more of the same drawings.
    * `root` (None): the folder of the data sets; see `plastic_rl.envs.data.archives.data_root`.

    Raises FileNotFoundError, with the command that gets it, where Omniglot is not there.

    Source: Miconi, Clune & Stanley (2018), "Differentiable plasticity"; `plastic_rl/OneShotOmniglot-v0` has its size.

    ## Version History

    * v0: first version
    """

    def __init__(
        self,
        num_envs: int = 1,
        n_way: int = 3,
        k_shot: int = 1,
        n_queries: int = 5,
        source: str = "glyphs",
        n_classes: int | None = None,
        split: str = "train",
        root: str | os.PathLike | None = None,
        n_labels: int | None = None,
        distortion: float = 0.0,
    ) -> None:
        self.n_way = check_integer("n_way", n_way, 2)
        self.k_shot = check_integer("k_shot", k_shot, 1)
        self.n_queries = check_integer("n_queries", n_queries, 1)
        self.n_labels = self.n_way if n_labels is None else check_integer("n_labels", n_labels, self.n_way, 10_000)
        self.distortion = check_number("distortion", distortion, 0, 1)
        self.images = _load(check_choice("source", source, ("glyphs", "omniglot")), n_classes, split, root)
        there, n_drawings = self.images.shape[:2]
        if self.n_way > there:
            raise ValueError(f"n_way must be at most the {there} characters there are, got {n_way}")
        if self.k_shot + self.n_queries > n_drawings:
            drawings = f"the {n_drawings} drawings of a character"
            raise ValueError(f"k_shot + n_queries must be at most {drawings}, got {k_shot} + {n_queries}")
        self.query_start = self.n_way * self.k_shot
        super().__init__(num_envs, self.query_start + self.n_queries)
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 1, (SIZE * SIZE,), np.float32),
                "label": spaces.Box(0, 1, (self.n_labels,), np.float32),
                "query": spaces.Box(0, 1, (1,), np.float32),
            }
        )
        self.action_space = spaces.Discrete(self.n_labels)
        shape = (self.num_envs, self.episode_steps + 1)  # a row more: what is observed at the end
        self.drawing = np.zeros(shape, np.int64)  # index into the flattened images
        self.turn = np.zeros(shape, np.int64)
        self.label = np.zeros(shape, np.int64)
        self.bent = np.zeros((*shape, 6))  # turn, shear, size across and down, shift across and down, from -1 to 1
        self._drawings = self.images.reshape(-1, SIZE, SIZE)
        self._copies = np.arange(self.num_envs)

    def reset(self, copies: np.ndarray) -> None:
        """Draw characters, their turns, which of their drawings to show, the order, and the queries."""
        there, n_drawings = self.images.shape[:2]
        way, shown, asked = self.n_way, self.query_start, self.n_queries
        parts = np.cumsum([way, way, shown, asked])
        # One call for each copy, since that is all that cannot be done for many at once.
        numbers = np.stack([self.rngs[copy].random(parts[-1] + way * n_drawings) for copy in copies])
        which, turns, order, queries, drawings = np.split(numbers, parts, axis=1)
        characters = _distinct(which, there)
        label = np.empty((len(copies), self.episode_steps), np.int64)
        use = np.empty_like(label)  # the how-manieth drawing of its character
        ranks = order.argsort(axis=1)
        label[:, :shown], use[:, :shown] = ranks % way, ranks // way
        label[:, shown:], use[:, shown:] = queries * way, self.k_shot + np.arange(asked)
        of_character = drawings.reshape(len(copies), way, n_drawings).argsort(axis=2)
        row = np.arange(len(copies))[:, None]
        self.label[copies, :-1] = label
        self.drawing[copies, :-1] = characters[row, label] * n_drawings + of_character[row, label, use]
        self.turn[copies, :-1] = (4 * turns).astype(np.int64)[row, label]
        if self.distortion:
            for copy in copies:
                self.bent[copy] = self.rngs[copy].uniform(-1, 1, self.bent.shape[1:])

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Judge the answers of those who are asked."""
        right = actions == self.label[self._copies, np.minimum(self.time, self.episode_steps)]
        return np.where(self.query(), right, 0).astype(np.float64)

    def observe(self) -> dict[str, np.ndarray]:
        """Return image (num_envs, 961), label (num_envs, n_way) and query (num_envs, 1), float32."""
        now = self._copies, self.time
        over = self.time >= self.episode_steps
        image = np.zeros((self.num_envs, SIZE, SIZE), np.float32)
        upright = self._shown(*now) * np.float32(1 / 255)
        for quarters in range(4):
            turned = (self.turn[now] == quarters) & ~over
            image[turned] = np.rot90(upright[turned], quarters, axes=(1, 2))
        label = np.zeros((self.num_envs, self.n_labels), np.float32)
        told = self.time < self.query_start
        label[told, self.label[now][told]] = 1
        query = self.query()[:, None].astype(np.float32)
        return {"image": image.reshape(-1, SIZE * SIZE), "label": label, "query": query}

    def target(self) -> np.ndarray:
        """Return (num_envs,) int64, the label of what is shown."""
        return self.label[self._copies, self.time]

    def query(self) -> np.ndarray:
        """Return (num_envs,) bool: the last `n_queries` steps ask."""
        return (self.time >= self.query_start) & (self.time < self.episode_steps)

    def reference_returns(self) -> ReferenceReturns:
        """Return one query in `n_labels` right, and all of them."""
        return ReferenceReturns(self.n_queries / self.n_labels, float(self.n_queries))

    def render_text(self, copy: int) -> str:
        """Return the drawing, its label or a question mark, and after an answer that and the right one."""
        image = self.observe()["image"][copy].reshape(SIZE, SIZE)
        rows = ["".join(" .#"[int(2.99 * pixel)] * 2 for pixel in row) for row in image]
        return "\n".join([*rows, self._caption(copy), f"step {self.time[copy]}/{self.episode_steps}"])

    def render_frame(self, copy: int) -> np.ndarray:
        """Return what was seen so far, the drawings with their labels above, the queries below with the answer."""
        columns = max(self.query_start, self.n_queries)
        canvas = Canvas(max(320, 24 + 76 * columns), 254)
        for t in range(min(int(self.time[copy]) + 1, self.episode_steps)):
            asked = t >= self.query_start
            x, y = 16 + 76 * (t - self.query_start if asked else t), 112 if asked else 8
            canvas.picture(x, y, 68, 68, 255 - np.rot90(self._shown([copy], [t])[0], self.turn[copy, t]))
            canvas.text(x + 28, y + 70, "?" if asked else str(self.label[copy, t]), size=16)
        if self.time[copy] > self.query_start:
            last = self.label[copy, self.time[copy] - 1]
            right = self.previous_action[copy] == last
            canvas.text(16, 206, self._caption(copy).partition("; ")[2], GREEN if right else RED)
        canvas.bar(16, 234, max(320, 24 + 76 * columns) - 32, 10, self.time[copy] / self.episode_steps)
        return canvas.frame()

    def _shown(self, copies: Any, steps: Any) -> np.ndarray:
        """Return the drawings of some steps as they are shown, before their quarter turns, (n, 31, 31) uint8."""
        drawings = self._drawings[self.drawing[copies, steps]]
        return _distort(drawings, self.distortion * self.bent[copies, steps]) if self.distortion else drawings

    def _caption(self, copy: int) -> str:
        t = self.time[copy]
        now = "label ?" if self.query()[copy] else f"label {self.label[copy, t]}"
        if t == self.episode_steps:
            now = "the end"
        if t <= self.query_start:
            return now
        return f"{now}; answered {self.previous_action[copy]}, right was {self.label[copy, t - 1]}"


def _distort(drawings: np.ndarray, bent: np.ndarray) -> np.ndarray:
    """Return drawings (n, 31, 31) turned, sheared, scaled and shifted as `bent` (n, 6) says."""
    angle, shear, across, down, right, below = bent.T
    cosine, sine, middle = np.cos(angle), np.sin(angle), SIZE / 2
    a, b, d, e = cosine * (1 + across), shear - sine, sine, cosine * (1 + down)
    maps = np.stack([a, b, middle * (1 - a - b) + 10 * right, d, e, middle * (1 - d - e) + 10 * below], axis=1)
    size, affine, bilinear = (SIZE, SIZE), Image.Transform.AFFINE, Image.Resampling.BILINEAR
    pairs = zip(map(Image.fromarray, drawings), maps.tolist(), strict=True)
    return np.stack([np.asarray(image.transform(size, affine, six, bilinear)) for image, six in pairs])


def _distinct(uniform: np.ndarray, n: int) -> np.ndarray:
    """Return in each row different integers below n, from independent uniform numbers (rows, k) below 1.

    The k-th is the floor(u * (n - k))-th of those that are not taken yet.
    """
    chosen = np.empty(uniform.shape, np.int64)
    for k in range(uniform.shape[1]):
        number = (uniform[:, k] * (n - k)).astype(np.int64)
        for taken in np.sort(chosen[:, :k], axis=1).T:
            number += number >= taken
        chosen[:, k] = number
    return chosen


def _load(source: str, n_classes: int | None, split: str, root: str | os.PathLike | None) -> np.ndarray:
    """Return (n_classes, n_drawings, 31, 31) uint8."""
    if n_classes is not None:
        check_integer("n_classes", n_classes, 1, 10_000)
    if source == "glyphs":
        check_choice("split", split, ("train", "test"))
        return draw_glyphs(200 if n_classes is None else n_classes, split=split)
    check_choice("split", split, ("train", "test", "background", "evaluation"))
    images = load_omniglot(split, root)
    if n_classes is not None and n_classes > len(images):
        raise ValueError(f"n_classes must be at most the {len(images)} characters of split {split!r}, got {n_classes}")
    return images[:n_classes]


class OneShotEnv(TaskEnv):
    """One copy of the task."""

    task_class = OneShot


class OneShotVectorEnv(TaskVectorEnv):
    """Many copies of the task."""

    task_class = OneShot
