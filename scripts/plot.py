"""Plot what runs learned.

    plastic-rl plot RUN [RUN ...]
    plastic-rl plot sweeps/mine/results.csv --smooth 5

Draws, as PNG and SVG, the learning curves of each task by episodes, steps and time, grouped by core with intervals over
seeds, and the learning within an episode; over all tasks rliable's aggregate metrics. Runs that are still in training
are welcome; what is no run is named and left out.

The learning within an episode is what `evaluate` left in a run folder. So are final scores, where all runs were
evaluated; else those are of the last 100 training episodes.
"""

from pathlib import Path

from plastic_rl.scripts import CommandParser, UsageError, command, refuse, whole_number

PARSER = CommandParser("plot", __doc__, run="+")
PARSER.add_argument("-o", "--output", default="plots", metavar="FOLDER", help="where to write; default: plots")
PARSER.add_argument("--smooth", type=whole_number, default=1, metavar="BINS", help="bins of 100 that a point averages")


@command
def main(argv: list[str]) -> None:
    """Plot as the command line says."""
    args = PARSER.parse_args(argv)
    from plastic_rl.scripts.figures.plots import every_figure
    from plastic_rl.scripts.runs.folder import open_run
    from plastic_rl.scripts.runs.monitor import learning_curve, read_results

    folders = [folder for path in args.run for folder in (_of_table(Path(path)) if path.endswith(".csv") else [path])]
    runs = []
    for folder in dict.fromkeys(folders):
        try:
            run = open_run(folder, trained=False, trust=args.trust)
            learning_curve(run.folder)
            runs.append(run)
        except UsageError as error:
            if len(folders) == 1:
                raise
            print(f"left out: {error}")
    if not runs:
        refuse(f"none of these {len(folders)} folders is a run with a learning curve")
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    for name, figure in every_figure(read_results(runs), args.smooth):
        for ending in ("png", "svg"):
            file = output / f"{name}.{ending}"
            figure.savefig(file, dpi=120, bbox_inches="tight")
            print(f"wrote {file}")


def _of_table(file: Path) -> list[str]:
    """Return the folders of the runs in a sweep's table."""
    import pandas as pd

    try:
        folders = pd.read_csv(file)["folder"].dropna()
    except (OSError, KeyError, ValueError):
        refuse(f"{str(file)!r} is no table of a sweep")
    if folders.empty:
        refuse(f"{str(file)!r} holds no finished run yet")
    return [str(file.parent / folder) for folder in folders]
