"""Watch one life of a trained policy beside its memory: `python -m plastic_rl.scripts.watch RUN`.

Writes a GIF or MP4 of the environment's frames, the trace as a heat map, the activity, the probabilities of the
actions and the reward so far. `--ansi` shows the same live in the terminal; `--human` opens the environment's window.
"""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from plastic_rl.scripts.runs.folder import Run


FILMS = (".gif", ".mp4", ".png")


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder, as `train` printed it")
    parser.add_argument("-o", "--output", metavar="FILE", help="a .gif, .mp4 or .png file; default: RUN/life.gif")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--ansi", action="store_true", help="live in the terminal")
    where.add_argument("--human", action="store_true", help="live in the environment's own window")
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the life")
    parser.add_argument("--deterministic", action="store_true", help="take the most probable actions")
    parser.add_argument("--fps", type=float, default=12, help="pictures per second")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="draw each K-th step, and the last")
    parser.add_argument("--steps", type=int, help="stop after so many steps")
    parser.add_argument("--dpi", type=int, default=80, help="dots per inch: 80 is 960 by 512 pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--trust", action="store_true", help="read pickled files of a run, which can execute code")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Show a life as the command line says."""
    args = make_parser().parse_args(argv)
    import torch

    from plastic_rl.scripts.names import refuse
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
        output = Path(args.output or run.folder / "life.gif")
        n_frames = film(run, model, output, args)
        print(f"wrote {output}: {n_frames} pictures, {output.stat().st_size / 1e6:.1f} MB")


def film(run: "Run", model: Any, output: Path, args: argparse.Namespace) -> int:
    """Draw a life into a file, a .png of its last moment or all of it, and return the number of pictures."""
    from itertools import islice

    from tqdm import tqdm

    from plastic_rl.scripts.figures.episode import LifeFigure
    from plastic_rl.scripts.figures.recording import record

    most = None if args.steps is None else args.steps + 1
    moments = list(islice(record(run, model, args.seed, args.deterministic, "rgb_array"), most))
    figure = LifeFigure(moments, model.action_space, _title(run), args.dpi)
    last = len(moments) - 1
    steps = [last] if output.suffix == ".png" else sorted({*range(0, last + 1, args.every), last})
    frames = [figure.frame(step) for step in tqdm(steps, "drawing", unit="picture", disable=None, leave=False)]
    write_film(output, frames, args.fps)
    return len(frames)


def _title(run: "Run") -> str:
    arguments = ", ".join(f"{name}={value}" for name, value in run.env_kwargs.items())
    return f"{run.env_id}{f' ({arguments})' if arguments else ''}: one life of {run.label}"


def write_film(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write pictures (height, width, 3) uint8 as a GIF that repeats, an MP4, or a PNG of the last."""
    import imageio.v3 as iio

    from plastic_rl.scripts.names import refuse

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
            refuse("MP4 needs imageio-ffmpeg: pip install 'plastic_rl[plots]', or write a .gif")


def show_live(run: "Run", model: Any, args: argparse.Namespace) -> None:
    """Play a life at the pace of `--fps`, in the terminal or in the environment's window."""
    from rich.console import Console
    from rich.live import Live

    from plastic_rl.scripts.figures.recording import record
    from plastic_rl.scripts.figures.terminal import Scene

    console = Console()
    scene = Scene(model.action_space, _title(run))
    moments = record(run, model, args.seed, args.deterministic, "human" if args.human else "ansi")
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for step, moment in enumerate(moments):
            if step % args.every == 0 or moment.action is None:
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
