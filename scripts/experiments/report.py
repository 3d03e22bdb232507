"""RESULTS.md and its figures, from the files that `reproduce` left."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from plastic_rl.scripts.experiments.claims import CLAIMS, Claim
from plastic_rl.scripts.figures.style import line_style
from plastic_rl.scripts.runs.play import bootstrap_interval

_UNITS = {
    "score": "score (random 0, oracle 1)",
    "wrong bits": "wrong bits, of the hidden ones",
    "wrong answers": "wrong answers, of all queries",
    "error": "squared error, relative to answering zero",
}


def write_report(results: Path, report: Path) -> Path:
    """Write the report of all claims that have results, and their figures beside the results.

    What was tried beside a claim's runs is told in the `notes.md` of its folder, which is added to its section.

    Args:
        results: the folder of the results.
        report: the file to write.
    """
    text = [
        "# Results",
        "",
        "Written by `python -m plastic_rl.scripts.reproduce` from the files in `results/`. A value is the mean over",
        "seeds with a 95% bootstrap interval over them, of the most probable answers in lives with seeds not",
        "trained on; curves are of the lives of training, whose actions are sampled, or of the answers of its updates.",
        "Every run has one thread, and minutes are those that a processor worked for it, without what ran beside it.",
        "",
    ]
    for name, claim in CLAIMS.items():
        arms = {arm: _read(results / name, arm) for arm in claim.arms}
        arms = {arm: found for arm, found in arms.items() if found}
        if arms:
            figure = results / f"{name}.png"
            draw(claim, arms, figure)
            text += _section(claim, arms, figure.relative_to(report.parent))
            notes = results / name / "notes.md"
            text += [notes.read_text()] if notes.exists() else []
    report.write_text("\n".join(text))
    return report


def _read(folder: Path, arm: str) -> list[dict[str, Any]]:
    stem = "".join(c if c.isalnum() else "-" for c in arm)
    found = []
    for file in sorted(folder.glob(f"{stem}-[0-9]*.json")):
        with file.with_suffix(".csv").open() as rows:
            curve = [(float(r["episodes"]), float(r["seconds"]), float(r["value"])) for r in csv.DictReader(rows)]
        found.append(
            {
                **json.loads(file.read_text()),
                "curve": np.array(curve),
                "seed": int(file.stem.rpartition("-")[2]),
                "pictures": [f"{folder.name}/{picture.name}" for picture in sorted(folder.glob(f"{file.stem}-*.png"))],
            }
        )
    return found


def _section(claim: Claim, arms: dict[str, list[dict[str, Any]]], figure: Path) -> list[str]:
    percent = claim.measure in ("wrong bits", "wrong answers")
    lines = [f"## {claim.title}", "", f"The paper: {claim.paper}", ""]
    if claim.note:
        lines += [claim.note, ""]
    reached = [f"lives to {100 * value:g}%" if percent else f"lives to {value:g}" for value in claim.thresholds]
    shortest = min(np.mean([run["curve"][-1, 1] for run in runs]) for runs in arms.values())
    averaged = ["", *claim.tests] if claim.last_states else []
    columns = ["", "seeds", "lives", "minutes a run", _UNITS[claim.measure], "of each seed", *claim.tests]
    columns += [*(f"{name}, last states".removeprefix(", ") for name in averaged), *reached]
    if len(arms) > 1:
        columns.append(f"in training, after {shortest / 60:.1f} minutes")
    lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for arm, runs in arms.items():
        values = [run["value"] for run in runs]
        cells = [
            arm,
            str(len(runs)),
            f"{int(runs[0]['curve'][-1, 0]):,}",
            f"{np.mean([run['seconds'] for run in runs]) / 60:.1f}",
            _mean(values, percent),
            ", ".join(_number(value, percent) for value in values),
            *(_mean([run["tests"][name] for run in runs if name in run["tests"]], percent) for name in claim.tests),
            *(
                _mean([float(np.mean(s[name])) for run in runs if name in (s := run.get("last_states", {}))], percent)
                for name in averaged
            ),
            *(_lives_to(value, claim, runs) for value in claim.thresholds),
            *([_mean([_at_time(run["curve"], shortest) for run in runs], percent)] if len(arms) > 1 else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"![{claim.title}]({figure.as_posix()})", ""]
    for arm, runs in arms.items():
        for picture in runs[0]["pictures"]:
            lines += [f"{arm}, seed {runs[0]['seed']}:", "", f"![{arm}]({figure.parent / picture})", ""]
    lines += ["Commands:", "", *(f"    {runs[0]['command']}" for runs in arms.values()), ""]
    first = next(iter(arms.values()))[0]
    return [*lines, f"On {first['machine']}, torch {first['torch']}, plastic_rl {first['version']}.", ""]


def _at_time(curve: np.ndarray, seconds: float) -> float:
    return float(np.interp(seconds, curve[:, 1], curve[:, 2]))


def _mean(values: list[float], percent: bool) -> str:
    """Return a mean over seeds, with its interval where there are several."""
    if not values:
        return ""
    mean = _number(float(np.mean(values)), percent)
    if len(values) == 1:
        return mean
    low, high = bootstrap_interval(np.array(values)[:, None])[:, 0]
    return f"{mean} ({_number(low, percent)} to {_number(high, percent)})"


def _lives_to(threshold: float, claim: Claim, runs: list[dict[str, Any]]) -> str:
    """Return after how many lives the learning curves of the seeds reach a value: the median, if most do."""
    lives = []
    for run in runs:
        values = run["curve"][:, 2]
        there = np.flatnonzero(values >= threshold if claim.measure == "score" else values <= threshold)
        lives.append(run["curve"][there[0], 0] if len(there) else np.inf)
    median = np.median(lives)
    return f"{int(median):,}" if np.isfinite(median) else "not reached"


def _number(value: float, percent: bool) -> str:
    return f"{100 * value:.2f}%" if percent else f"{value:.2f}"


def draw(claim: Claim, arms: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw a claim's learning curves by lives and by minutes: mean over seeds, and an interval if there are some."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4.3), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for index, (arm, runs) in enumerate(arms.items()):
        n = min(len(run["curve"]) for run in runs)
        curves = np.stack([run["curve"][:n] for run in runs])
        mean = curves.mean(axis=0)
        for ax, x in zip(axes, (mean[:, 0], mean[:, 1] / 60), strict=True):
            (line,) = ax.plot(x, mean[:, 2], label=arm, linewidth=1.5, **line_style(index))
            if len(runs) > 1:
                interval = bootstrap_interval(curves[:, :, 2])
                ax.fill_between(x, *interval, color=line.get_color(), alpha=0.2, linewidth=0)
    axes[0].xaxis.set_major_locator(MaxNLocator(6))
    axes[0].set_xlabel("lives")
    axes[1].set_xlabel("minutes of a processor")
    axes[0].set_ylabel(_UNITS[claim.measure])
    if claim.measure.startswith("wrong"):
        axes[0].set_ylim(bottom=0)
    lives = [runs[0]["curve"][-1, 0] for runs in arms.values()]
    for ax in axes:
        ax.grid(alpha=0.3)
        if max(lives) > 10 * min(lives):
            ax.set_xscale("log")
    ncols = len(arms) if sum(map(len, arms)) < 110 else 2  # characters that fit on one line
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=ncols)
    figure.suptitle(claim.title)
    figure.savefig(path, dpi=110)
