"""What a training run prints at its end."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm

from plastic_rl.agents import distributed
from plastic_rl.envs import score


def print_summary(
    model: BaseAlgorithm,
    env_id: str,
    env_kwargs: dict[str, Any],
    run: str,
    tensorboard_log: str | None,
    seconds: float,
    n_episodes: int | None = None,
) -> None:
    """Print a short table of what was learned, and the commands to look further.

    Args:
        model: the trained model.
        env_id: what it was trained on.
        env_kwargs: the environment's arguments.
        run: the run folder.
        tensorboard_log: the folder of its TensorBoard events, if any.
        seconds: how long it trained.
        n_episodes: how many episodes ended in that time in this process, if they were counted.
    """
    own = getattr(model, "acting", "policy") == "policy"
    episodes = list(model.ep_info_buffer or []) if own else []
    mean = float(np.mean([episode["r"] for episode in episodes])) if episodes else float("nan")
    normalized = score(env_id, mean, **env_kwargs) if own else None
    nothing = "no episode ended" if own else "the oracle acted; see evaluate"
    mean_return = f"{mean:.1f} over the last {len(episodes)} episodes" if episodes else nothing
    table = Table(title=f"{type(model).__name__} on {env_id}", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("mean return", mean_return)
    if normalized is not None:
        table.add_row("score (random 0, oracle 1)", f"{normalized:.2f}")
    if n_episodes is not None:
        table.add_row("episodes", f"{n_episodes:,}{' in this process' if distributed.world_size() > 1 else ''}")
    table.add_row("steps", f"{model.num_timesteps:,}")
    table.add_row(
        "steps per second", f"{(model.num_timesteps - model._num_timesteps_at_start) / max(seconds, 1e-9):,.0f}"
    )
    table.add_row("time", f"{seconds:.0f} s")
    console = Console()
    console.print(table)
    commands = [f"{command_line(name)} {shlex.quote(run)}" for name in ("evaluate", "plot", "watch")]
    commands.append(f"{commands[-1]} --ansi")
    if tensorboard_log is not None:
        commands.insert(0, f"{_python()} -m tensorboard.main --logdir {shlex.quote(tensorboard_log)}")
    print("Look further:", *commands, sep="\n  ")


def command_line(name: str) -> str:
    """Return how to start one of our commands: by the console script of the Python that runs now, or by that Python."""
    here = shutil.which("plastic-rl")
    installed = here is not None and Path(here).parent == Path(sys.executable).parent
    return f"plastic-rl {name}" if installed else f"{_python()} -m plastic_rl {name}"


def _python() -> str:
    return shlex.quote(os.path.relpath(sys.executable))
