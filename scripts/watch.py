"""Watch one episode of a trained policy beside its memory.

    plastic-rl watch RUN                        writes RUN/episode.gif
    plastic-rl watch pretrained/Maze-v0 --ansi  an agent of this package, live in the terminal

Shows the environment's frames, the trace as a heat map and the plastic weight that it makes (alpha times the trace),
the activity, the probabilities of the actions and the reward so far.
"""

from itertools import islice
from pathlib import Path

from plastic_rl.scripts import CommandParser, command, refuse, whole_number

FILMS = (".gif", ".mp4", ".png")

PARSER = CommandParser("watch", __doc__, run="one")
PARSER.add_argument("-o", "--output", metavar="FILE", help="a .gif, .mp4 or .png file; default: RUN/episode.gif")
LIVE = PARSER.add_mutually_exclusive_group()
LIVE.add_argument("--ansi", action="store_true", help="live in the terminal")
LIVE.add_argument("--human", action="store_true", help="live in the environment's own window")
PARSER.add_argument("--seed", type=int, default=1_000_000, help="seed of the episode; default: 1000000")
PARSER.add_argument("--deterministic", action="store_true", help="take the most probable actions")
PARSER.add_argument("--fps", type=whole_number, default=12, help="pictures per second; default: 12")
PARSER.add_argument("--every", type=whole_number, metavar="K", help="draw each K-th step; default: for 100 pictures")
PARSER.add_argument("--steps", type=whole_number, help="stop after so many steps")
PARSER.add_argument("--dpi", type=whole_number, default=80, help="dots per inch; default: 80, for 960 by 512 pixels")
PARSER.add_argument("--device", default="cpu", help="default: cpu")


@command
def main(argv: list[str]) -> None:
    """Show an episode as the command line says."""
    args = PARSER.parse_args(argv)
    if args.output and Path(args.output).suffix not in FILMS:
        refuse(f"--output must end in {', '.join(FILMS)}, not {args.output!r}")
    import torch

    from plastic_rl.scripts.figures.recording import choice_names, record
    from plastic_rl.scripts.runs.folder import open_run

    torch.set_num_threads(1)
    run = open_run(args.run, trust=args.trust)
    model = run.load(args.device)
    title, names = f"{run.task}: one episode of {run.core or run.algo}", choice_names(run, model.action_space)
    mode = "human" if args.human else "ansi" if args.ansi else "rgb_array"
    moments = record(run, model, args.seed, args.deterministic, mode)
    moments = moments if args.steps is None else islice(moments, args.steps + 1)
    if mode == "rgb_array":
        from plastic_rl.scripts.figures.episode import EpisodeFigure

        output = Path(args.output or run.output / "episode.gif")
        figure = EpisodeFigure(list(moments), model.action_space, title, args.dpi, names)
        n_frames = figure.film(output, args.every, args.fps)
        print(f"wrote {output}: {n_frames} pictures, {output.stat().st_size / 1e6:.1f} MB")
    else:
        from plastic_rl.scripts.figures.terminal import Scene, show_live

        show_live(Scene(model.action_space, title, names), moments, args.every or 1, args.fps)
