"""All figures that some runs allow, and what is left out of them and why."""

import re
from collections.abc import Iterator
from dataclasses import replace

from matplotlib.figure import Figure

from plastic_rl.scripts.figures import aggregates, curves
from plastic_rl.scripts.figures.style import Styles, line_styles
from plastic_rl.scripts.runs.monitor import Result


def every_figure(results: list[Result], smooth: int = 1) -> Iterator[tuple[str, Figure]]:
    """Yield a file's name without its ending, and a figure; say on the way what was left out and why.

    Each point of a learning curve is the mean of `smooth` bins, of 100.
    """
    results = _without_short_runs(results)
    styles = line_styles(sorted({result.label for result in results}))
    for task in sorted({result.run.task for result in results}):
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", task).strip("_")
        of_task = [result for result in results if result.run.task == task]
        yield f"learning_{name}", curves.learning_curves(of_task, styles, smooth)
        evaluated = [result for result in of_task if result.evaluation is not None]
        if evaluated:
            yield f"within_episode_{name}", curves.within_episode(evaluated, styles)
        for result in of_task:
            if result.evaluation is None:
                print(f"no learning within an episode of {result.run.folder}: `evaluate` it first")
    yield from _aggregates([result for result in results if result.final is not None], styles)


def _aggregates(scored: list[Result], styles: Styles) -> Iterator[tuple[str, Figure]]:
    source = "episodes on fresh seeds"
    if any(result.evaluation is None for result in scored):
        scored, source = [replace(result, evaluation=None) for result in scored], "last 100 training episodes"
    table = aggregates.score_table(scored)
    if missing := sorted({result.label for result in scored} - set(table)):
        print(f"not in the aggregates: {', '.join(missing)}, not trained on every task")
    if not table or max(len(by_task) * len(by_task[0]) for by_task in table.values()) < 2:
        return print("no aggregates: they want at least two runs of a core")
    try:
        import rliable.library
        import rliable.plot_utils  # noqa: F401
    except (ImportError, TypeError) as error:  # TypeError: from a library below it that does not fit another one
        return print(f"no aggregates: they want rliable (pip install 'rliable>=1.2' 'pandas<3'): {error}")
    yield "aggregates", aggregates.aggregates(table, styles, source)
    yield "sample_efficiency", aggregates.sample_efficiency(table, styles)


def _without_short_runs(results: list[Result]) -> list[Result]:
    """Return the runs at least half as long as the longest of their kind: curves end where their shortest run does."""
    kept = []
    for result in results:
        kind = [other for other in results if (other.label, other.run.task) == (result.label, result.run.task)]
        steps, most = result.training.steps[-1], max(other.training.steps[-1] for other in kind)
        if steps >= most / 2:
            kept.append(result)
        else:
            print(f"left out {result.run.folder}: {steps:,.0f} steps, others of {result.label} have {most:,.0f}")
    return kept
