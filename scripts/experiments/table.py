"""The results of a sweep in one table."""

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

FIGURES = ("status", "return", "score", "episodes", "steps", "seconds", "attempts", "folder", "error")

Row = dict[str, Any]


def read_row(runs_folder: Path, run: Run) -> Row:
    """Return what a run of a sweep learned, where it is finished, and else nothing."""
    folder = runs_folder / run.name
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


def write_table(file: Path, runs: list[Run], rows: dict[str, Row], errors: dict[str, str]) -> None:
    """Write a row for each run: what tells it from the others, and what it learned, or why it failed."""

    def whole(run: Run) -> Row:
        failed = {"status": "failed", "error": errors[run.name]} if run.name in errors else {"status": "waiting"}
        figures = rows[run.name] or {**failed, "attempts": attempts(file.with_name("runs") / run.name)}
        return {"run": run.name, **run.values, **figures}

    names = dict.fromkeys(name for run in runs for name in run.values)
    table = pd.DataFrame([whole(run) for run in runs], columns=["run", *names, *FIGURES], dtype=object)
    write_whole(file, table.to_csv(index=False, lineterminator="\n"))
