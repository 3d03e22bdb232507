"""Plot what runs learned: `python -m plastic_rl.scripts.plot RUN [RUN ...]`.

Draws, as PNG and SVG, for each task the learning curves by episodes, steps and time, grouped by core with intervals
over seeds, and the learning within a life; over all tasks a radar of the scores, and rliable's aggregate metrics and
sample-efficiency curves. Runs that are still in training are welcome.

The learning within a life is what `evaluate` left in a run folder. So are final scores, where all runs were evaluated;
else those are of the last 5% of the training episodes.
"""

import argparse
import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from plastic_rl.scripts.runs.monitor import Result

FORMATS = ("png", "svg")


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="+", help="run folders, as `train` printed them, or the table of a `sweep`")
    parser.add_argument("-o", "--output", default="plots", metavar="FOLDER", help="where to write; default: plots")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--dpi", type=int, default=120, help="dots per inch of a PNG")
    parser.add_argument("--trust", action="store_true", help="read pickled files of a run, which can execute code")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Plot as the command line says."""
    args = make_parser().parse_args(argv)
    from plastic_rl.scripts.names import refuse
    from plastic_rl.scripts.runs.folder import open_run
    from plastic_rl.scripts.runs.monitor import read_results

    if args.dpi <= 0:
        refuse(f"--dpi must be more than 0, not {args.dpi}")
    folders = [folder for path in args.run for folder in (_of_table(Path(path)) if path.endswith(".csv") else [path])]
    runs = [open_run(path, trained=False, trust=args.trust) for path in dict.fromkeys(folders)]
    results = read_results(runs)
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(results):
        for ending in args.formats:
            file = output / f"{name}.{ending}"
            figure.savefig(file, dpi=args.dpi)
            print(f"wrote {file}")


def _of_table(file: Path) -> list[str]:
    """Return the folders of the runs in a sweep's table."""
    from plastic_rl.scripts.names import refuse

    try:
        with file.open(newline="") as lines:
            folders = [row["folder"] for row in csv.DictReader(lines)]
    except (OSError, KeyError):
        refuse(f"{str(file)!r} is no table of a sweep")
    if not any(folders):
        refuse(f"{str(file)!r} holds no finished run yet")
    return [str(file.parent / folder) for folder in folders if folder]


def figures(results: list["Result"]) -> "Iterator[tuple[str, Figure]]":
    """Draw all that these results allow, and say on the way what was left out and why.

    Args:
        results: at least one.

    Yields:
        A file's name without its ending, and a figure.
    """
    from plastic_rl.scripts.figures import aggregates as plot_scores
    from plastic_rl.scripts.figures import curves as plot_curves

    results = _without_short_runs(results)
    styles = {label: number for number, label in enumerate(sorted({result.label for result in results}))}
    tasks = sorted({result.task for result in results})
    for task in tasks:
        of_task = [result for result in results if result.task == task]
        yield f"learning_{_slug(task)}", plot_curves.learning_curves(of_task, styles)
        evaluated = [result for result in of_task if result.evaluation is not None]
        if evaluated:
            yield f"within_episode_{_slug(task)}", plot_curves.within_episode(evaluated, styles)
        for result in of_task:
            if result.evaluation is None:
                print(f"no learning within a life of {result.run.folder}: `evaluate` it first")
    scored, source = _scored(results)
    if len({result.task for result in scored}) >= 3:
        yield "radar", plot_scores.radar(scored, styles, source)
    else:
        print("no radar: it wants at least three tasks that have a score")
    yield from _aggregates(scored, styles, source)


def _aggregates(scored: list["Result"], styles: dict[str, int], source: str) -> "Iterator[tuple[str, Figure]]":
    from plastic_rl.scripts.figures import aggregates as plot_scores

    table = plot_scores.score_table(scored)
    if missing := sorted({result.label for result in scored} - set(table)):
        print(f"not in the aggregates: {', '.join(missing)}, not trained on every task")
    if not table or max(len(by_task) * len(by_task[0]) for by_task in table.values()) < 2:
        print("no aggregates: they want at least two runs of a core")
        return
    try:
        import rliable.library  # noqa: F401
    except (ImportError, TypeError) as error:  # TypeError: from a library below it that does not fit another one
        print(f"no aggregates: they want rliable (pip install 'plastic_rl[plots]'): {error}")
        return
    yield "aggregates", plot_scores.aggregates(table, styles, source)
    yield "sample_efficiency", plot_scores.sample_efficiency(table, styles)


def _scored(results: list["Result"]) -> tuple[list["Result"], str]:
    """Return the results that have a score, their evaluations left out unless all have one, and what it is of."""
    scored = [result for result in results if result.final is not None]
    if all(result.evaluation is not None for result in scored):
        return scored, "lives on fresh seeds"
    return [replace(result, evaluation=None) for result in scored], "last 5% of the training episodes"


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
