"""What runs left behind: learning curves, evaluations, final returns, and which runs are seeds of one thing."""

import glob
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from stable_baselines3.common.monitor import LoadMonitorResultsError, load_results

from plastic_rl.scripts import refuse
from plastic_rl.scripts.runs.folder import Run

LAST = 100  # episodes of a training that its final return is the mean of


class Training(NamedTuple):
    """The (n,) episodes of a training as they ended: undiscounted returns, steps of all copies so far, and seconds."""

    returns: np.ndarray
    steps: np.ndarray
    seconds: np.ndarray

    def binned(self, x: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return the mean return in each bin of x, (n,), where each episode lies; bins without one are interpolated."""
        means = pd.Series(self.returns).groupby(pd.cut(x, edges, labels=False)).mean()
        return means.reindex(range(len(edges) - 1)).interpolate(limit_direction="both").to_numpy()

    @property
    def final_return(self) -> float:
        """The mean return of the last 100 episodes, as `train` prints it."""
        return float(self.returns[-LAST:].mean())


@dataclass(frozen=True)
class Result:
    """A run with what is plotted of it: runs of one label are seeds of one thing; `evaluate` left the evaluation."""

    run: Run
    label: str
    training: Training
    evaluation: dict[str, Any] | None

    @property
    def final(self) -> float | None:
        """The score of the evaluation, or, without one, of the last episodes of the training."""
        return self.evaluation["score"] if self.evaluation else self.run.score(self.training.final_return)


def read_results(runs: list[Run]) -> list[Result]:
    """Read the learning curves and evaluations of some runs; `UsageError` where one has no learning curve."""
    return [
        Result(run, label, learning_curve(run.folder, run.processes), _evaluation(run))
        for run, label in zip(runs, group_labels(runs), strict=True)
    ]


def learning_curve(folder: Path, processes: int = 1) -> Training:
    """Read the Monitor files of a run folder, those of the first of its processes; `UsageError` without an episode."""
    try:
        rows = load_results(glob.escape(str(folder)))[list("rlt")]
    except LoadMonitorResultsError:
        refuse(f"run {str(folder)!r} holds no learning curve: *.monitor.csv is missing")
    except (ValueError, LookupError, AssertionError) as error:
        refuse(f"a *.monitor.csv of run {str(folder)!r} is no Monitor file: {error or type(error).__name__}")
    rows = rows.apply(pd.to_numeric, errors="coerce").dropna()  # the last line may be half written
    if rows.empty:
        refuse(f"run {str(folder)!r} has no finished episode yet")
    returns, lengths, seconds = (rows[name].to_numpy(float).repeat(processes) for name in "rlt")
    return Training(returns, lengths.cumsum(), seconds)


def _evaluation(run: Run) -> dict[str, Any] | None:
    file = run.folder / "evaluation.json"
    if not file.exists():
        return None
    try:
        figures = [figure for figure in json.loads(file.read_text()) if figure.get("ablate") is None]
        figures.sort(key=lambda figure: figure["actions"] != "sampled")
        return {key: figures[0][key] for key in ("score", "actions", "episodes", "reward_by_time")} if figures else None
    except (ValueError, KeyError, AttributeError):
        refuse(f"{str(file)!r} is cut off or of another version: evaluate the run again")


def group_labels(runs: list[Run]) -> list[str]:
    """Return what to call each run's policy: its core (or algorithm), and what tells it from the others of its task."""
    several_algos = len({run.algo for run in runs}) > 1
    labels = []
    for run in runs:
        kin = [other.core_kwargs for other in runs if (other.task, other.core) == (run.task, run.core)]
        told = [f"{k}={v}" for k, v in run.core_kwargs.items() if any(str(other.get(k, v)) != str(v) for other in kin)]
        labels.append(", ".join([run.core or run.algo, *told, *[run.algo] * (run.core is not None and several_algos)]))
    return labels


def grouped(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return results by label, labels in alphabetical order."""
    label = attrgetter("label")
    return {name: list(group) for name, group in groupby(sorted(results, key=label), label)}
