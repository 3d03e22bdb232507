"""Watch one episode of a trained policy beside its memory.

    plastic-rl watch RUN                        writes RUN/episode.gif
    plastic-rl watch pretrained/Maze-v0 --ansi  an agent of this package, live in the terminal

Shows the environment's frames, the trace as a heat map and the plastic weight that it makes (alpha times the trace),
the activity, the probabilities of the actions and the reward so far.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plastic_rl.scripts import command, command_parser, refuse

if TYPE_CHECKING:
    from plastic_rl.scripts.runs.folder import Run


FILMS = (".gif", ".mp4", ".png")
MOST = 100  # pictures of a film, unless --every says otherwise


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("watch", __doc__)
    parser.add_argument("run", help="run folder, as `train` printed it, or pretrained/NAME")
    parser.add_argument("-o", "--output", metavar="FILE", help="a .gif, .mp4 or .png file; default: RUN/episode.gif")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--ansi", action="store_true", help="live in the terminal")
    where.add_argument("--human", action="store_true", help="live in the environment's own window")
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the episode; default: 1000000")
    parser.add_argument("--deterministic", action="store_true", help="take the most probable actions")
    parser.add_argument("--fps", type=float, default=12, help="pictures per second; default: 12")
    every = f"draw each K-th step, and the last; default: 1, or what makes {MOST} pictures of a long episode"
    parser.add_argument("--every", type=int, metavar="K", help=every)
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--dpi", type=int, default=80, help="dots per inch; default: 80, which is 960 by 512 pixels")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--trust", action="store_true", help="read pickled files of a run, which can execute code")
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Show an episode as the command line says."""
    args = make_parser().parse_args(argv)
    import torch

    from plastic_rl.scripts.runs.folder import open_run

    torch.set_num_threads(1)
    for name in ("fps", "every", "steps", "dpi"):
        if getattr(args, name) is not None and getattr(args, name) <= 0:
            refuse(f"--{name} must be more than 0, not {getattr(args, name)}")
    if args.output and Path(args.output).suffix not in FILMS:
        refuse(f"--output must end in .gif, .mp4 or .png, not {args.output!r}")
    run = open_run(args.run, trust=args.trust)
    model = run.load(args.device)
    if args.ansi or args.human:
        show_live(run, model, args)
    else:
        output = Path(args.output or run.output / "episode.gif")
        n_frames = film(run, model, output, args)
        print(f"wrote {output}: {n_frames} pictures, {output.stat().st_size / 1e6:.1f} MB")


def film(run: "Run", model: Any, output: Path, args: argparse.Namespace) -> int:
    """Draw an episode into a file, a .png of its last moment or all of it, and return the number of pictures."""
    from itertools import islice

    from tqdm import tqdm

    from plastic_rl.scripts.figures.episode import EpisodeFigure
    from plastic_rl.scripts.figures.recording import action_names, record

    most = None if args.steps is None else args.steps + 1
    moments = list(islice(record(run, model, args.seed, args.deterministic, "rgb_array"), most))
    figure = EpisodeFigure(moments, model.action_space, _title(run), args.dpi, actions=action_names(run))
    last = len(moments) - 1
    every = args.every or -(-last // (MOST - 1)) or 1
    steps = [last] if output.suffix == ".png" else sorted({*range(0, last + 1, every), last})
    frames = [figure.frame(step) for step in tqdm(steps, "drawing", unit="picture", disable=None, leave=False)]
    write_film(output, frames, args.fps)
    return len(frames)


def _title(run: "Run") -> str:
    arguments = ", ".join(f"{name}={value}" for name, value in run.env_kwargs.items())
    return f"{run.env_id}{f' ({arguments})' if arguments else ''}: one episode of {run.label}"


def write_film(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write pictures (height, width, 3) uint8 as a GIF that repeats, an MP4, or a PNG of the last."""
    import imageio.v3 as iio

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        iio.imwrite(path, frames[-1])
    elif path.suffix == ".gif":
        durations = [1000 / fps] * (len(frames) - 1) + [2000]  # milliseconds; the end stays for a while
        iio.imwrite(path, np.stack(frames), duration=durations, loop=0)
    else:
        try:
            iio.imwrite(path, np.stack(frames), fps=fps, macro_block_size=2)
        except ImportError:
            refuse("MP4 needs imageio-ffmpeg: pip install imageio-ffmpeg, or write a .gif")


def show_live(run: "Run", model: Any, args: argparse.Namespace) -> None:
    """Play an episode at the pace of `--fps`, in the terminal or in the environment's window."""
    from rich.console import Console
    from rich.live import Live

    from plastic_rl.scripts.figures.recording import action_names, record
    from plastic_rl.scripts.figures.terminal import Scene

    console = Console()
    scene = Scene(model.action_space, _title(run), action_names(run))
    moments = record(run, model, args.seed, args.deterministic, "human" if args.human else "ansi")
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for step, moment in enumerate(moments):
            if step % (args.every or 1) == 0 or moment.action is None:
                _update(live, console, scene.draw(step, moment), 1 / args.fps)
            if args.steps is not None and step >= args.steps:
                break


def _update(live: Any, console: Any, picture: Any, seconds: float) -> None:
    if console.is_terminal:
        live.update(picture, refresh=True)
        time.sleep(seconds)
    else:
        console.print(picture)  # into a file or a pipe: one below the other, at once


if __name__ == "__main__":
    main()
