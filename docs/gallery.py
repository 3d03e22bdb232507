"""Draw the gallery of the docs: `python docs/gallery.py RUN [RUN ...]`.

Writes docs/gallery.md and its pictures: of each task a small film of what a trained agent does in it beside the trace
it writes, with the agent's score. A task that no run is of is played by the oracle.
"""

import argparse
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plastic_rl.arguments import check_name
from plastic_rl.scripts import command, refuse

if TYPE_CHECKING:
    from plastic_rl.scripts.runs.folder import Run

MOST = 36  # pictures of a film
EPISODES = 256
SEED = 1_000_000
HEADING = """# Gallery

What each task looks like, and what a trained agent does in it: on the left what the environment draws, on the right the
trace that the agent writes. The trace is empty when an episode begins. Of a long episode the film shows the beginning
and the end. Actions are the most probable ones.

`python docs/gallery.py` writes this page. `plastic-rl watch RUN` draws an episode of your own agent.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="*", help="run folders, one for each task")
    parser.add_argument("-o", "--output", default="docs", metavar="FOLDER", help="where to write; default: docs")
    parser.add_argument("--tasks", nargs="+", metavar="ENV", help="tasks to show; default: all of this package")
    parser.add_argument("--trust", action="store_true", help="read pickled files of a run, which can execute code")
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Draw the gallery as the command line says."""
    args = make_parser().parse_args(argv)
    import gymnasium as gym
    import torch

    from plastic_rl.envs.registration import ENVIRONMENTS
    from plastic_rl.scripts.runs.folder import open_run

    torch.set_num_threads(1)
    tasks = args.tasks or [f"plastic_rl/{name}" for name in ENVIRONMENTS]
    for task in tasks:
        check_name("environment", task, gym.registry)
    runs = [open_run(path, trust=args.trust) for path in args.run]
    by_task = {run.env_id: run for run in runs}
    if len(by_task) < len(runs):
        refuse("give one run for each task: there are two of the same")
    folder = Path(args.output) / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [HEADING]
    for task in tasks:
        name = task.rpartition("/")[2]
        file = folder / f"{name}.gif"
        try:
            run = by_task.get(task)
            caption = play_oracle(task, file) if run is None else play_run(run, file)
        except FileNotFoundError as error:  # a data set that is not there
            print(f"left out {task}: {error}")
            continue
        print(f"wrote {file}: {file.stat().st_size / 1e3:.0f} kB")
        parts.append(f"## {name}\n\n{summary_of(task)}\n\n![{name}](gallery/{name}.gif)\n\n{caption}\n")
    page = Path(args.output) / "gallery.md"
    page.write_text("\n".join(parts))
    print(f"wrote {page}")


def play_run(run: "Run", file: Path) -> str:
    """Film one episode of a trained agent, evaluate it, and return a line on both."""
    from plastic_rl.scripts.figures.episode import EpisodeFigure
    from plastic_rl.scripts.figures.recording import record
    from plastic_rl.scripts.runs.play import evaluate

    model = run.load("cpu")
    moments = list(record(run, model, SEED, True, "rgb_array"))
    figure = EpisodeFigure(moments, model.action_space, title=None, dpi=120)
    write([figure.frame(step) for step in chosen_steps(len(moments))], file)
    figures = evaluate(run, model, EPISODES, SEED, deterministic=True)
    memory = f"`{run.core}` core" if run.core else f"`{run.algo}`"
    score = (
        ""
        if figures["score"] is None
        else "score {:.2f} ({:.2f} to {:.2f}), ".format(figures["score"], *figures["score_interval"])
    )
    arguments = f" with {run.env_kwargs}" if run.env_kwargs else ""
    returns = f"mean return {figures['mean_return']:.1f} over {figures['episodes']} episodes with fresh seeds"
    return f"`{run.algo}`, {memory}{arguments}: {score}{returns}."


def play_oracle(task: str, file: Path) -> str:
    """Film one episode of the oracle, and return a line on it."""
    import gymnasium as gym

    env = gym.make(task, render_mode="rgb_array")
    _, info = env.reset(seed=SEED)
    frames: list[Any] = [env.render()]
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(np.asarray(info["target"]))
        frames.append(env.render())
        over = terminated or truncated
    env.close()
    write([frames[step] for step in chosen_steps(len(frames))], file)
    return "Played by the oracle, who knows the right answers."


def chosen_steps(n: int) -> list[int]:
    """Return which of n pictures to show: all, or else the first and the last of them."""
    return list(range(n)) if n <= MOST else [*range(MOST // 2), *range(n - MOST // 2, n)]


def write(frames: list[np.ndarray], file: Path) -> None:
    """Write a small GIF: few colors, the same for all pictures; slower where there are few pictures."""
    from PIL import Image

    sample = Image.fromarray(np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]]))
    palette = sample.quantize(128, dither=Image.Dither.NONE)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    pace = 800 if len(frames) <= 12 else 250  # milliseconds
    durations = [pace] * (len(frames) - 1) + [2500]
    pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False)


def summary_of(task: str) -> str:
    """Return the first sentence of a task's docstring."""
    from plastic_rl.envs.scores import find_task

    found = find_task(task)
    text = inspect.getdoc(found[0]) if found else None
    return (text or "").partition("\n\n")[0].replace("\n", " ")


if __name__ == "__main__":
    main()
