"""The results of a sweep in one table."""

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from plastic_rl.envs import score
from plastic_rl.files import write_whole
from plastic_rl.scripts import UsageError
from plastic_rl.scripts.experiments.grid import Run
from plastic_rl.scripts.experiments.runner import attempts
from plastic_rl.scripts.runs.folder import open_run
from plastic_rl.scripts.runs.monitor import finished, learning_curve
from plastic_rl.scripts.zoo.summary import command_line

FIGURES = ("status", "return", "score", "episodes", "steps", "seconds", "attempts", "folder", "error")


class Table:
    """Keeps `results.csv` in the folder of a sweep: for each run what tells it from the others and what it learned.

    `finished` has the rows of the runs that are finished, by name.
    """

    def __init__(self, output: Path, runs: list[Run]) -> None:
        self.file, self.runs_folder = output / "results.csv", output / "runs"
        self._runs = runs
        self.finished = {run.name: row for run in runs if (row := self._read(run))}
        self.runs_folder.mkdir(parents=True, exist_ok=True)
        self._write({})

    def add(self, run: Run) -> str:
        """Add a finished run, and return its result in words."""
        row = self.finished[run.name] = self._read(run)
        self._write({})
        return ", ".join(f"{key} {row[key]}" for key in ("return", "score", "episodes", "seconds") if row.get(key))

    def print(self, errors: dict[str, str]) -> None:
        """Print how many runs are finished, and which failed why."""
        self._write(errors)
        print(f"{len(self.finished)} of {len(self._runs)} runs finished; the table is {self.file}")
        for name, error in errors.items():
            print(f"{name} failed: {error}; see {self.runs_folder / name / 'log.txt'}")
        print(f"Look further:\n  {command_line('plot')} {shlex.quote(str(self.file))}")

    def _read(self, run: Run) -> dict[str, Any]:
        folder = self.runs_folder / run.name
        if (facts := finished(folder)) is None:
            return {}
        row = {"status": "finished", "attempts": facts["attempts"], "folder": f"runs/{run.name}/{facts['folder']}"}
        opened = open_run(str(folder / facts["folder"]))
        try:
            training = learning_curve(opened.folder)
        except UsageError:  # it says why: no episode ended, perhaps
            return row
        normalized = score(opened.env_id, training.final_return, **opened.env_kwargs)
        row |= {"return": f"{training.final_return:.6g}", "score": "" if normalized is None else f"{normalized:.4f}"}
        ends = {"steps": int(training.steps[-1]), "seconds": f"{training.seconds[-1]:.1f}"}
        return {**row, "episodes": len(training.returns), **ends}

    def _write(self, errors: dict[str, str]) -> None:
        def row(run: Run) -> dict[str, Any]:
            failed = {"status": "failed", "error": errors[run.name]} if run.name in errors else {"status": "waiting"}
            figures = self.finished.get(run.name) or {**failed, "attempts": attempts(self.runs_folder / run.name)}
            return {"run": run.name, **run.values, **figures}

        names = dict.fromkeys(name for run in self._runs for name in run.values)
        rows = pd.DataFrame([row(run) for run in self._runs], columns=["run", *names, *FIGURES], dtype=object)
        write_whole(self.file, rows.to_csv(index=False, lineterminator="\n"))
