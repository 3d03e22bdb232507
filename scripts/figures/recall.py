"""What a network that recalls images has learned: originals, what it was shown of them, its answers, and its memory."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from matplotlib.figure import Figure
from stable_baselines3.common.base_class import BaseAlgorithm

from plastic_rl.agents.matrix_image import diverging_colors

N_EPISODES = 4


def recall(model: BaseAlgorithm, env_id: str, **arguments: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Let a trained network play some episodes, with its most probable answers.

    Returns:
        The images that were asked for, what of them was shown, and the last answers, (N_EPISODES, n_pixels) each; and
        the recurrent state at the end.
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
    return originals, shown[:, : originals.shape[1]], answers, state


def draw_recall(model: BaseAlgorithm, env_id: str, sources: dict[str, dict[str, Any]], file: Path) -> None:
    """Draw episodes of a trained network, for some sources of images (arguments of the environment), as a PNG."""
    figure = Figure(figsize=(2 + 1.35 * N_EPISODES * len(sources), 4.8), layout="constrained")
    parts = figure.subfigures(1, len(sources), squeeze=False)
    for part, (name, arguments) in zip(parts[0], sources.items(), strict=True):
        rows = recall(model, env_id, **arguments)[:3]
        part.suptitle(name)
        grid = part.subplots(3, N_EPISODES)
        for axes, images, title in zip(grid, rows, ("image", "query", "answer"), strict=True):
            axes[0].set_ylabel(title)
            for ax, image in zip(axes, images, strict=True):
                side = round(image.size**0.5)
                ax.imshow(image.reshape(side, side), cmap="gray", vmin=-1, vmax=1)
                ax.set(xticks=[], yticks=[])
    figure.savefig(file, dpi=110)


def draw_memory(model: BaseAlgorithm, env_id: str, arguments: dict[str, Any], file: Path) -> None:
    """Draw the learned alpha and the trace at the end of one episode, (N, N) each, as a PNG."""
    core: Any = model.policy.core
    state = recall(model, env_id, **arguments)[3]
    figure = Figure(figsize=(9, 4.8), layout="constrained")
    trace = next(iter(core.traces(state).values()))[0]
    pictures = {"alpha": core.plasticity()["alpha"].numpy(), "trace at the end of an episode": trace}
    for ax, (name, matrix) in zip(figure.subplots(1, 2), pictures.items(), strict=True):
        most = float(np.quantile(np.abs(matrix), 0.99)) or 1.0
        ax.imshow(diverging_colors(matrix, most), interpolation="antialiased")
        ax.set(title=f"{name}: {-most:.2g} blue to {most:.2g} red", xlabel="postsynaptic", ylabel="presynaptic")
    figure.savefig(file, dpi=80)
