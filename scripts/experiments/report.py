"""RESULTS.md, the tables and the figures, from the files that `reproduce` left in the results folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plastic_rl.scripts.experiments.claim import FOLDER, UNITS, Claim, claim_names, read_claim
from plastic_rl.scripts.experiments.grid import file_name, full_name
from plastic_rl.scripts.figures.style import line_styles
from plastic_rl.scripts.runs.play import bootstrap_interval, mean_interval

MOST_ROWS = 15  # of a table in RESULTS.md
Result = dict[str, Any]
Results = dict[str, list[Result]]


def write_report(results: Path, report: Path) -> Path:
    """Write the report of all claims that have results, and their tables and figures into the results folder."""
    claims = sorted((read_claim(name) for name in claim_names()), key=lambda claim: (claim.order, claim.name))
    found = [(claim, arms) for claim in claims if (arms := read_results(claim, results))]
    text = [(FOLDER / "report.md").read_text(), "| claim | the paper | here | verdict |", "|---|---|---|---|"]
    for claim, arms in found:
        anchor = "".join(c for c in claim.title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        text.append(f"| [{claim.name}](#{anchor}) | {claim.paper} | {summary(claim, arms)} | {verdict(claim, arms)} |")
    for claim, arms in found:
        draw(claim, arms, results / f"{claim.name}.png")
        rows = [{"": arm, **_columns(claim, arms, runs)} for arm, runs in arms.items()]
        (results / claim.name / "table.md").write_text(f"# {claim.title}\n\n{_markdown(rows)}\n")
        text += _section(claim, arms, rows, results.relative_to(report.parent))
    report.write_text("\n".join(text) + "\n")
    return report


def read_results(claim: Claim, results: Path) -> Results:
    """Return the results on file of each arm of a claim that has any, seed by seed.

    The `curve` of each is (rows, 3): episodes, CPU seconds, value; `seconds` are those of version 0.1.
    """
    arms: Results = {}
    for arm in claim.arms:
        for file in sorted((results / claim.name).glob(f"{file_name(arm)}-[0-9]*.json")):
            seed = file.stem.removeprefix(f"{file_name(arm)}-")
            if seed.isdigit():
                result, rows = json.loads(file.read_text()), pd.read_csv(file.with_suffix(".csv"), dtype=str)
                used = "cpu_seconds" if "cpu_seconds" in result else "seconds"
                curve = rows[["episodes", used, "value"]].to_numpy(float)
                own = {"seed": int(seed), "file": file, "curve": curve, "cpu_seconds": result[used]}
                arms.setdefault(arm, []).append(result | own)
    return arms


def values_of(claim: Claim, arms: Results, arm: str) -> list[float]:
    """Return what each seed of an arm came to; of an arm without its task, the mean over the tasks."""
    names = [arm] if arm in claim.arms else [full_name(arm, task) for task in claim.tasks]
    first, *others = ({run["seed"]: run["value"] for run in arms.get(name, [])} for name in names)
    whole = [seed for seed in first if all(seed in other for other in others)]
    return [float(np.mean([part[seed] for part in (first, *others)])) for seed in whole]


def summary(claim: Claim, arms: Results) -> str:
    """Return what the arms came to that the claim is about, a line for each."""
    expected = [arm for pair in claim.expect for arm in pair.values() if isinstance(arm, str)]
    named = expected if any(values_of(claim, arms, arm) for arm in expected) else claim.arms  # no arm has all tasks yet
    found = {arm: values_of(claim, arms, arm) for arm in named}
    said = [f"{arm}: {_mean(claim, values)}, {len(values)} seed{'s' * (len(values) > 1)}"
            for arm, values in found.items() if values]  # fmt: skip
    return "<br>".join([f"*{UNITS[claim.measure].partition(' (')[0].partition(',')[0]}*", *said])


def verdict(claim: Claim, arms: Results) -> str:
    """Return whether what the claim comes to holds: reproduced, partly, not, or open while arms are missing."""
    holds = [_beats(claim, arms, **expected) for expected in claim.expect]
    if not holds:
        return "no claim"
    if None in holds:
        return "open"
    return "reproduced" if all(holds) else "partly" if any(holds) else "not"


def _beats(claim: Claim, arms: Results, arm: str, beats: str | float) -> bool | None:
    """Return whether an arm is better than another one, by more than their intervals, or than a number."""
    own = claim.sign * np.array(values_of(claim, arms, arm))
    other = claim.sign * np.array(values_of(claim, arms, beats) if isinstance(beats, str) else [beats])
    if not (len(own) and len(other)):
        return None
    if isinstance(beats, str):
        return mean_interval(own)[0] > mean_interval(other)[1]
    return bool(own.mean() >= other[0])


def _section(claim: Claim, arms: Results, rows: list[dict[str, str]], folder: Path) -> list[str]:
    if claim.tasks:
        rows = []
        for task in ["", *claim.tasks]:
            found = {arm: values_of(claim, arms, full_name(arm, task)) for arm in claim.grid["arms"]}
            if any(found.values()):
                rows.append({"": task or "mean", **{arm: _mean(claim, values) for arm, values in found.items()}})
    else:
        extra = [name for name in rows[0] if name in claim.tests or name.startswith("episodes to")][:1]
        rows = [{key: row[key] for key in ("", "seeds", UNITS[claim.measure], *extra, "CPU minutes")} for row in rows]
    own, first = folder / claim.name, next(iter(arms.values()))[0]
    notes = [f"[what else was tried]({own}/notes.md)"] * (first["file"].parent / "notes.md").exists()
    pictures = [f"[{file.name}]({own / file.name})" for file in sorted(first["file"].parent.glob("*-1-*.png"))]
    links = [f"[all columns]({own}/table.md)", *notes, *pictures]
    return [
        *("", f"## {claim.title}", "", f"**Question.** {claim.question}", "", f"**Protocol.** {claim.protocol}", ""),
        *(_markdown(rows[:MOST_ROWS]), "", f"![{claim.title}]({folder / claim.name}.png)", ""),
        *([f"**Differences.** {claim.differences}", ""] if claim.differences else []),
        f"`plastic-rl reproduce {claim.name}` on {first['machine']}, torch {first['torch']}, plastic_rl"
        f" {first['version']}; {', '.join(links)}.",
    ]


def _markdown(rows: list[dict[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _columns(claim: Claim, arms: Results, runs: list[Result]) -> dict[str, str]:
    """Return all columns of an arm's row."""
    values = [run["value"] for run in runs]
    tests = {name: [run["tests"][name] for run in runs if name in run["tests"]] for name in claim.tests}
    columns = {
        "seeds": str(len(runs)),
        "episodes": f"{int(runs[0]['curve'][-1, 0]):,}",
        "CPU minutes": f"{np.mean([run['cpu_seconds'] for run in runs]) / 60:.1f}",
        UNITS[claim.measure]: _mean(claim, values),
        "of each seed": ", ".join(_number(claim, value) for value in values),
        **{name: _mean(claim, found) for name, found in tests.items()},
    }
    for name in ["", *claim.tests] if claim.last_states else []:
        states = [np.mean(run["last_states"][name]) for run in runs if name in run.get("last_states", {})]
        columns[f"{name}, last states".removeprefix(", ")] = _mean(claim, states)
    for threshold in claim.thresholds:
        shown = f"{100 * threshold:g}%" if claim.measure.startswith("wrong") else f"{threshold:g}"
        there = [run["curve"][claim.sign * run["curve"][:, 2] >= claim.sign * threshold, 0] for run in runs]
        median = np.median([episodes[0] if len(episodes) else np.inf for episodes in there])  # of the seeds
        columns[f"episodes to {shown}"] = f"{int(median):,}" if np.isfinite(median) else "not reached"
    if len(arms) > 1:
        shortest = min(np.mean([run["curve"][-1, 1] for run in others]) for others in arms.values())
        then = [float(np.interp(shortest, run["curve"][:, 1], run["curve"][:, 2])) for run in runs]
        columns[f"in training, after {shortest / 60:.1f} minutes"] = _mean(claim, then)
    return columns


def _mean(claim: Claim, values: list[float]) -> str:
    """Return a mean over seeds, with its interval where there are several."""
    if not values:
        return ""
    mean = _number(claim, float(np.mean(values)))
    low, high = (_number(claim, end) for end in mean_interval(values))
    return mean if len(values) == 1 else f"{mean} ({low} to {high})"


def _number(claim: Claim, value: float) -> str:
    return f"{100 * value:.2f}%" if claim.measure.startswith("wrong") else f"{value:.2f}"


def draw(claim: Claim, arms: Results, path: Path) -> None:
    """Draw learning curves over episodes and CPU minutes: the mean over seeds, and an interval where there are some."""
    tasks = [task for task in claim.tasks or [""] if any(full_name(arm, task) in arms for arm in claim.grid["arms"])]
    n_columns = 2 if len(tasks) == 1 else 4
    n_rows = -(-2 * len(tasks) // n_columns)
    figure = Figure(figsize=(5 * n_columns, 4.3 if n_rows == 1 else 3 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for task, pair in zip(tasks, panels[: 2 * len(tasks)].reshape(-1, 2), strict=True):
        _draw_task(claim, {arm: arms.get(full_name(arm, task), []) for arm in claim.grid["arms"]}, pair, task)
    for panel in panels[2 * len(tasks) :]:
        panel.set_axis_off()
    lines = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    width = sum(len(label) + 12 for label in lines)  # in characters; a line's sample takes as much room as twelve
    n_lines = -(-width // (75 * n_columns))
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=-(-len(lines) // n_lines))
    figure.suptitle(claim.title)
    figure.savefig(path, dpi=110 if n_rows == 1 else 75)


def _draw_task(claim: Claim, arms: Results, axes: Any, task: str) -> None:
    styles = line_styles(arms)
    arms = {arm: runs for arm, runs in arms.items() if runs}
    for arm, runs in arms.items():
        n = min(len(run["curve"]) for run in runs)
        curves = np.stack([run["curve"][:n] for run in runs])
        mean = curves.mean(axis=0)
        for ax, x in zip(axes, (mean[:, 0], mean[:, 1] / 60), strict=True):
            ax.plot(x, mean[:, 2], label=arm, linewidth=1.5, **styles[arm])
            if len(runs) > 1:
                band = bootstrap_interval(curves[:, :, 2])
                ax.fill_between(x, *band, color=styles[arm]["color"], alpha=0.2, linewidth=0)
    axes[0].xaxis.set_major_locator(MaxNLocator(6))
    axes[0].set(xlabel="episodes", ylabel=UNITS[claim.measure].replace("best ", ""), title=task)
    axes[1].set_xlabel("CPU minutes")
    axes[0].sharey(axes[1])
    episodes = [runs[0]["curve"][-1, 0] for runs in arms.values()]
    for ax in axes:
        ax.set_ylim(bottom=0 if claim.measure.startswith("wrong") else None)
        ax.grid(alpha=0.3)
        if episodes and max(episodes) > 10 * min(episodes):
            ax.set_xscale("log")
