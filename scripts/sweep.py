"""Run a grid of trainings: `plastic-rl sweep FILE.yaml`.

On this machine, several at a time, or with `--address` on a Ray cluster whose machines see one file system. A run is
`train` in a process of its own. Where that process or its machine is lost, the run goes on from its last checkpoint.
The same command again goes on with a sweep that was stopped: a finished run is never run again, one that failed is.

In the file a list of values makes a run for each; the page "Scaling" of the documentation has every key:

    env: plastic_rl/Maze-v0
    core: [plastic_memory, lstm]
    hyperparams: {learning_rate: [1e-3, 3e-3]}
    seeds: 3
    n_timesteps: 1_000_000

Leaves, in the output folder, the run folders and `results.csv`; `plot` reads either.
"""

import os
import shlex
from functools import partial
from pathlib import Path
from typing import Any

from plastic_rl.files import write_whole
from plastic_rl.scripts import CommandParser, UsageError, command
from plastic_rl.scripts.experiments.grid import Run, read_sweep
from plastic_rl.scripts.experiments.runner import add_runner_options, attempts, finished, run_all, train_run

FIGURES = ("status", "return", "score", "episodes", "steps", "seconds", "attempts", "folder", "error")

PARSER = CommandParser("sweep", __doc__)
PARSER.add_argument("file", help="what to run, in YAML")
PARSER.add_argument("-o", "--output", metavar="FOLDER", help="default: sweeps/ and the file's name")
PARSER.add_argument("--dry-run", action="store_true", help="print the command lines of the runs, and run nothing")
add_runner_options(PARSER)


@command
def main(argv: list[str]) -> None:
    """Run what is missing of a sweep."""
    args = PARSER.parse_args(argv)
    runs = read_sweep(args.file)
    if args.dry_run:
        for run in runs:
            print(run.name, *run.argv)
        return
    import pandas as pd

    from plastic_rl.scripts.zoo.summary import command_line

    table = Path(args.output or f"sweeps/{Path(args.file).stem}").resolve() / "results.csv"
    folder = table.with_name("runs")
    folder.mkdir(parents=True, exist_ok=True)
    rows = {run.name: read_row(folder, run) for run in runs}
    waiting = [run for run in runs if rows[run.name]["status"] == "waiting"]
    print(f"{len(runs)} runs, {len(runs) - len(waiting)} of them finished before; {table}")

    def write() -> None:
        names = dict.fromkeys(name for run in runs for name in run.values)
        content = pd.DataFrame(list(rows.values()), columns=["run", *names, *FIGURES], dtype=object)
        write_whole(table, content.to_csv(index=False, lineterminator="\n"))

    def said(run: Run) -> str:
        row = rows[run.name] = read_row(folder, run)
        write()
        return ", ".join(f"{key} {row[key]}" for key in ("return", "score", "episodes", "seconds") if row.get(key))

    write()
    errors = run_all(waiting, partial(train_run, runs=folder, here=os.getcwd()), said, args.jobs, args.address)
    rows |= {name: {**rows[name], "status": "failed", "error": error} for name, error in errors.items()}
    write()
    print(f"{sum(row['status'] == 'finished' for row in rows.values())} of {len(runs)} runs finished; {table}")
    print(f"Look further:\n  {command_line('plot')} {shlex.quote(str(table))}")
    if errors:
        raise SystemExit(1)


def read_row(runs_folder: Path, run: Run) -> dict[str, Any]:
    """Return what tells a run of a sweep from the others, and what it learned, where it is finished."""
    from plastic_rl.scripts.runs.folder import open_run
    from plastic_rl.scripts.runs.monitor import learning_curve

    folder = runs_folder / run.name
    row = {"run": run.name, **run.values, "status": "waiting", "attempts": attempts(folder)}
    if (facts := finished(folder)) is None:
        return row
    row |= {"status": "finished", "folder": f"runs/{run.name}/{facts['folder']}"}
    opened = open_run(str(folder / facts["folder"]))
    try:
        curve = learning_curve(opened.folder)
    except UsageError:  # it says why: no episode ended, perhaps
        return row
    normalized = opened.score(curve.final_return)
    row |= {"return": f"{curve.final_return:.6g}", "score": "" if normalized is None else f"{normalized:.4f}"}
    return row | {"steps": int(curve.steps[-1]), "seconds": f"{curve.seconds[-1]:.1f}", "episodes": len(curve.returns)}
