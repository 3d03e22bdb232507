"""What `soak` knows of each task: what its arguments may be, and what then must hold."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Known(NamedTuple):
    """What is known of a task.

    Attributes:
        choices: what its arguments may be.
        rewards: the lowest and highest reward of a step.
        queries: questions in an episode.
        seen: where observations show the previous action, one-hot, and the previous reward.
    """

    choices: dict[str, tuple[Any, ...]]
    rewards: Callable[[Any], tuple[float, float]]
    queries: Callable[[Any], int]
    seen: Callable[[Any], tuple[slice, int]] | None = None


_FEW = (1, 2, 3, 5)
_SHOWN = {"n_presentations": _FEW, "presentation_steps": _FEW, "blank_steps": (0, 1, 4), "query_steps": (2, 3, 6)}
KNOWN = {
    "Maze": Known(
        {"size": (5, 7, 9, 13), "episode_steps": (1, 7, 50, 250), "reward": (0.5, 10), "bump_penalty": (0, 0.1, 2)},
        lambda task: (-task.bump_penalty, task.reward),
        lambda task: task.episode_steps,
        lambda task: (slice(9, 13), 13),
    ),
    "ColourBandit": Known(
        {"episode_steps": (1, 7, 100)},
        lambda task: (0, 1),
        lambda task: task.episode_steps,
        lambda task: (slice(6, 8), 8),
    ),
    "CueReward": Known(
        {"n_cues": (3, 4, 9), "cue_bits": (2, 10, 62), "n_trials": _FEW, "cue_steps": _FEW, "blank_steps": (0, 2)},
        lambda task: (-1, 1),
        lambda task: task.n_trials,
        lambda task: (slice(2 * task.cue_bits + 1, 2 * task.cue_bits + 4), 2 * task.cue_bits + 4),
    ),
    "PatternRecall": Known(
        {"n_patterns": _FEW, "n_bits": (4, 6, 31), "degraded": (0.25, 0.5), "settling_steps": (0, 1), **_SHOWN},
        lambda task: (-1, 1),
        lambda task: task.query_steps - task.settling_steps,
    ),
    "ImageRecall": Known(
        {"n_images": _FEW, "size": (4, 8, 32), "settling_steps": (0, 1), "split": ("train", "test"), **_SHOWN},
        lambda task: (-np.inf, 1),
        lambda task: task.query_steps - task.settling_steps,
    ),
    "OneShot": Known(
        {
            "n_way": (2, 3, 5),
            "k_shot": _FEW,
            "n_queries": _FEW,
            "n_classes": (5, 50),
            "split": ("train", "test"),
            "n_labels": (None, 9),
        },
        lambda task: (0, 1),
        lambda task: task.n_queries,
    ),
}
