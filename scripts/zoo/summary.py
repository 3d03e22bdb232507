"""What a training run prints at its end."""

import os
import shlex
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from stable_baselines3.common.base_class import BaseAlgorithm

from plastic_rl.agents import distributed
from plastic_rl.envs import score


def print_summary(model: BaseAlgorithm, env_id: str, env_kwargs: dict, n_episodes: int | None, run: str) -> None:
    """Print a short table of what was learned, and the commands that show more of the run."""
    own = getattr(model, "acting", "policy") == "policy"
    returns = [episode["r"] for episode in model.ep_info_buffer or []] if own else []
    nothing = "no episode ended" if own else "the oracle acted; see evaluate"
    mean = float(np.mean(returns)) if returns else float("nan")
    normalized = score(env_id, mean, **env_kwargs) if own else None
    seconds, steps = (time.time_ns() - model.start_time) / 1e9, model.num_timesteps - model._num_timesteps_at_start
    rows = {
        "mean return": f"{mean:.1f} over the last {len(returns)} episodes" if returns else nothing,
        "score (random 0, oracle 1)": None if normalized is None else f"{normalized:.2f}",
        "episodes": n_episodes and f"{n_episodes:,}{' in this process' if distributed.world_size() > 1 else ''}",
        "steps": f"{model.num_timesteps:,}",
        "steps per second": f"{steps / max(seconds, 1e-9):,.0f}",
        "time": f"{seconds:.0f} s",
    }
    table = Table("", Column(justify="right"), title=f"{type(model).__name__} on {env_id}", show_header=False)
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, str(value))
    Console().print(table)
    more = [f"{command_line(name)} {shlex.quote(run)}" for name in ("evaluate", "plot", "watch")]
    boards = [f"tensorboard --logdir {shlex.quote(model.tensorboard_log)}"] if model.tensorboard_log else []
    print("Look further:", *boards, *more, f"{more[-1]} --ansi", sep="\n  ")


def command_line(name: str) -> str:
    """Return how to start one of our commands: by the console script of the Python that runs now, or by that Python."""
    here = shutil.which("plastic-rl")
    installed = here is not None and Path(here).parent == Path(sys.executable).parent
    return f"plastic-rl {name}" if installed else f"{shlex.quote(os.path.relpath(sys.executable))} -m plastic_rl {name}"
