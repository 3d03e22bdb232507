"""Plot what runs learned.

    plastic-rl plot RUN [RUN ...]
    plastic-rl plot sweeps/mine/results.csv --smooth 5

Draws, as PNG and SVG, the learning curves of each task by episodes, steps and time, grouped by core with intervals over
seeds, and the learning within an episode; over all tasks rliable's aggregate metrics and sample-efficiency curves. Runs
that are still in training are welcome; what is no run is named and left out.

The learning within an episode is what `evaluate` left in a run folder. So are final scores, where all runs were
evaluated; else those are of the last 100 training episodes.
"""

import argparse
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plastic_rl.scripts import UsageError, command, command_parser, refuse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from plastic_rl.scripts.runs.folder import Run
    from plastic_rl.scripts.runs.monitor import Result

FORMATS = ("png", "svg")


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("plot", __doc__)
    parser.add_argument("run", nargs="+", help="run folders, as `train` printed them, or the table of a `sweep`")
    parser.add_argument("-o", "--output", default="plots", metavar="FOLDER", help="where to write; default: plots")
    parser.add_argument("--smooth", type=int, default=1, metavar="BINS", help="bins of 100 that a point is the mean of")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="default: both")
    parser.add_argument("--dpi", type=int, default=120, help="dots per inch of a PNG; default: 120")
    parser.add_argument("--trust", action="store_true", help="read pickled files of a run, which can execute code")
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Plot as the command line says."""
    args = make_parser().parse_args(argv)
    from plastic_rl.scripts.runs.monitor import read_results

    for name in ("dpi", "smooth"):
        if getattr(args, name) <= 0:
            refuse(f"--{name} must be more than 0, not {getattr(args, name)}")
    folders = [folder for path in args.run for folder in (_of_table(Path(path)) if path.endswith(".csv") else [path])]
    results = read_results(_runs(list(dict.fromkeys(folders)), args.trust))
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(results, args.smooth):
        for ending in args.formats:
            file = output / f"{name}.{ending}"
            figure.savefig(file, dpi=args.dpi, bbox_inches="tight")
            print(f"wrote {file}")


def _runs(folders: list[str], trust: bool) -> list["Run"]:
    """Return the runs with a learning curve among some folders, and name the others."""
    from plastic_rl.scripts.runs.folder import open_run
    from plastic_rl.scripts.runs.monitor import learning_curve

    runs = []
    for folder in folders:
        try:
            run = open_run(folder, trained=False, trust=trust)
            learning_curve(run.folder)
            runs.append(run)
        except UsageError as error:
            if len(folders) == 1:
                raise
            print(f"left out: {error}")
    if not runs:
        refuse(f"none of these {len(folders)} folders is a run with a learning curve")
    return runs


def _of_table(file: Path) -> list[str]:
    """Return the folders of the runs in a sweep's table."""
    try:
        with file.open(newline="") as lines:
            folders = [row["folder"] for row in csv.DictReader(lines)]
    except (OSError, KeyError):
        refuse(f"{str(file)!r} is no table of a sweep")
    if not any(folders):
        refuse(f"{str(file)!r} holds no finished run yet")
    return [str(file.parent / folder) for folder in folders if folder]


def figures(results: list["Result"], smooth: int = 1) -> Iterator[tuple[str, "Figure"]]:
    """Draw all that these results allow, and say on the way what was left out and why.

    Args:
        results: at least one.
        smooth: the number of bins, of 100, that each point of a learning curve is the mean of.

    Yields:
        A file's name without its ending, and a figure.
    """
    from plastic_rl.scripts.figures import curves
    from plastic_rl.scripts.figures.style import line_styles

    results = _without_short_runs(results)
    styles = line_styles(sorted({result.label for result in results}))
    for task in sorted({result.task for result in results}):
        of_task = [result for result in results if result.task == task]
        yield f"learning_{_slug(task)}", curves.learning_curves(of_task, styles, smooth)
        evaluated = [result for result in of_task if result.evaluation is not None]
        if evaluated:
            yield f"within_episode_{_slug(task)}", curves.within_episode(evaluated, styles)
        for result in of_task:
            if result.evaluation is None:
                print(f"no learning within an episode of {result.run.folder}: `evaluate` it first")
    yield from _aggregates(*_scored(results), styles)


def _aggregates(scored: list["Result"], source: str, styles: dict[str, Any]) -> Iterator[tuple[str, "Figure"]]:
    from plastic_rl.scripts.figures import aggregates

    table = aggregates.score_table(scored)
    if missing := sorted({result.label for result in scored} - set(table)):
        print(f"not in the aggregates: {', '.join(missing)}, not trained on every task")
    if not table or max(len(by_task) * len(by_task[0]) for by_task in table.values()) < 2:
        print("no aggregates: they want at least two runs of a core")
        return
    try:
        import rliable.library
        import rliable.plot_utils  # noqa: F401
    except (ImportError, TypeError) as error:  # TypeError: from a library below it that does not fit another one
        print(f"no aggregates: they want rliable (pip install 'rliable>=1.2' 'pandas<3'): {error}")
        return
    yield "aggregates", aggregates.aggregates(table, styles, source)
    yield "sample_efficiency", aggregates.sample_efficiency(table, styles)


def _scored(results: list["Result"]) -> tuple[list["Result"], str]:
    """Return the results that have a score, their evaluations left out unless all have one, and what it is of."""
    scored = [result for result in results if result.final is not None]
    if all(result.evaluation is not None for result in scored):
        return scored, "episodes on fresh seeds"
    return [replace(result, evaluation=None) for result in scored], "last 100 training episodes"


def _without_short_runs(results: list["Result"]) -> list["Result"]:
    """Return the runs at least half as long as the longest of their kind: curves end where their shortest run does."""
    from plastic_rl.scripts.runs.monitor import grouped

    kept = []
    for result in results:
        kind = [other for other in grouped(results)[result.label] if other.task == result.task]
        steps, most = result.training.steps[-1], max(other.training.steps[-1] for other in kind)
        if steps >= most / 2:
            kept.append(result)
        else:
            print(f"left out {result.run.folder}: {steps:,.0f} steps, others of {result.label} have {most:,.0f}")
    return kept


def _slug(task: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=-]+", "_", task).strip("_")


if __name__ == "__main__":
    main()
