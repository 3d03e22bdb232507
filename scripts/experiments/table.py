"""The results of a sweep in one table."""

import csv
import io
import shlex
from pathlib import Path
from typing import Any

from plastic_rl.envs import score
from plastic_rl.files import write_whole
from plastic_rl.scripts import UsageError
from plastic_rl.scripts.experiments.grid import Run
from plastic_rl.scripts.experiments.runner import attempts
from plastic_rl.scripts.runs.folder import open_run
from plastic_rl.scripts.runs.monitor import final_return, finished, learning_curve
from plastic_rl.scripts.zoo.summary import command_line

FIGURES = ("status", "return", "score", "episodes", "steps", "seconds", "attempts", "folder", "error")


class Table:
    """Keeps `results.csv`: a row for each run, with what tells it from the others and what it learned.

    Args:
        output: the folder of the sweep.
        runs: all of its runs.

    Attributes:
        runs_folder: of the run folders.
        errors: why runs failed, by name.
    """

    def __init__(self, output: Path, runs: list[Run]) -> None:
        self.file, self.runs_folder = output / "results.csv", output / "runs"
        self.errors: dict[str, str] = {}
        self._runs = runs
        self._rows = {run.name: row for run in runs if (row := self._read(run)) is not None}
        self.runs_folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def has(self, run: Run) -> bool:
        """Return whether a run was finished."""
        return run.name in self._rows

    def add(self, run: Run) -> str:
        """Add a finished run, and return its result in words."""
        row = self._rows[run.name] = self._read(run) or {}
        self._write()
        return ", ".join(f"{key} {row[key]}" for key in ("return", "score", "episodes", "seconds") if row.get(key))

    def print(self, errors: dict[str, str]) -> None:
        """Say what came out, and why runs failed, by name."""
        self.errors = errors
        self._write()
        print(f"{len(self._rows)} of {len(self._runs)} runs finished; the table is {self.file}")
        for name, error in self.errors.items():
            print(f"{name} failed: {error}; see {self.runs_folder / name / 'log.txt'}")
        print(f"Look further:\n  {command_line('plot')} {shlex.quote(str(self.file))}")

    def _read(self, run: Run) -> dict[str, Any] | None:
        folder = self.runs_folder / run.name
        if (facts := finished(folder)) is None:
            return None
        row = {"status": "finished", "attempts": facts["attempts"], "folder": f"runs/{run.name}/{facts['folder']}"}
        opened = open_run(str(folder / facts["folder"]))
        try:
            training = learning_curve(opened.folder)
        except UsageError:  # it says why: no episode ended, perhaps
            return row
        mean = final_return(training)
        normalized = score(opened.env_id, mean, **opened.env_kwargs)
        return {
            **row,
            "return": f"{mean:.6g}",
            "score": "" if normalized is None else f"{normalized:.4f}",
            "episodes": len(training.returns),
            "steps": int(training.steps[-1]),
            "seconds": f"{training.seconds[-1]:.1f}",
        }

    def _row(self, run: Run) -> dict[str, Any]:
        figures = {"status": "waiting", "attempts": attempts(self.runs_folder / run.name)}
        if run.name in self.errors:
            figures |= {"status": "failed", "error": self.errors[run.name]}
        return {"run": run.name, **run.values, **self._rows.get(run.name, figures)}

    def _write(self) -> None:
        names = dict.fromkeys(name for run in self._runs for name in run.values)
        content = io.StringIO()
        writer = csv.DictWriter(content, ["run", *names, *FIGURES], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._row(run) for run in self._runs)
        write_whole(self.file, content.getvalue())
