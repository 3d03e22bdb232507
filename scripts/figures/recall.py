"""What a network that recalls images has learned: originals, what it was shown of them, and its answers."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from matplotlib.figure import Figure
from stable_baselines3.common.base_class import BaseAlgorithm

N_EPISODES = 4


def draw_recall(model: BaseAlgorithm, env_id: str, sources: dict[str, dict[str, Any]], file: Path) -> None:
    """Draw episodes of a trained network, for some sources of images (arguments of the environment), as a PNG."""
    figure = Figure(figsize=(2 + 1.35 * N_EPISODES * len(sources), 4.8), layout="constrained")
    parts = figure.subfigures(1, len(sources), squeeze=False)
    for part, (name, arguments) in zip(parts[0], sources.items(), strict=True):
        part.suptitle(name)
        grid = part.subplots(3, N_EPISODES)
        for axes, (title, images) in zip(grid, recall(model, env_id, **arguments).items(), strict=True):
            axes[0].set_ylabel(title)
            for ax, image in zip(axes, images, strict=True):
                side = round(image.size**0.5)
                ax.imshow(image.reshape(side, side), cmap="gray", vmin=-1, vmax=1)
                ax.set(xticks=[], yticks=[])
    figure.savefig(file, dpi=110)


def recall(model: BaseAlgorithm, env_id: str, **arguments: Any) -> dict[str, np.ndarray]:
    """Let a trained network play some episodes, with its most probable answers.

    Returns:
        The images that were asked for, what of them was shown, and the last answers, (N_EPISODES, n_pixels) each.
    """
    env = gym.make_vec(env_id, num_envs=N_EPISODES, autoreset_mode="Disabled", **arguments)
    observations, infos = env.reset(seed=2_000_000)
    state: Any = None
    over = np.zeros(N_EPISODES, bool)
    while not over.any():
        shown, originals = observations, infos["target"]
        answers, state = model.predict(observations, state, deterministic=True)
        observations, _, over, _, infos = env.step(answers)
    env.close()
    return {"image": originals, "query": shown[:, : originals.shape[1]], "answer": answers}
