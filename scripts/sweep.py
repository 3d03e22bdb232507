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
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from plastic_rl.scripts import CommandParser, command
from plastic_rl.scripts.experiments.grid import Run, read_sweep
from plastic_rl.scripts.experiments.runner import add_runner_options, run_all, train_run


def make_parser() -> CommandParser:
    """Return the command's parser."""
    parser = CommandParser("sweep", __doc__)
    parser.add_argument("file", help="what to run, in YAML")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: sweeps/ and the file's name")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines of the runs, and run nothing")
    add_runner_options(parser)
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Run what is missing of a sweep."""
    args = make_parser().parse_args(argv)
    runs = read_sweep(args.file)
    if args.dry_run:
        for run in runs:
            print(run.name, *run.argv)
        return
    from plastic_rl.scripts.experiments.table import read_row, write_table
    from plastic_rl.scripts.zoo.summary import command_line

    table = Path(args.output or f"sweeps/{Path(args.file).stem}").resolve() / "results.csv"
    folder = table.with_name("runs")
    folder.mkdir(parents=True, exist_ok=True)
    rows = {run.name: read_row(folder, run) for run in runs}
    waiting = [run for run in runs if not rows[run.name]]
    print(f"{len(runs)} runs, {len(runs) - len(waiting)} of them finished before; {table}")

    def said(run: Run) -> str:
        row = rows[run.name] = read_row(folder, run)
        write_table(table, runs, rows, {})
        return ", ".join(f"{key} {row[key]}" for key in ("return", "score", "episodes", "seconds") if row.get(key))

    write_table(table, runs, rows, {})
    errors = run_all(waiting, partial(train_run, runs=folder, here=os.getcwd()), said, args.jobs, args.address)
    write_table(table, runs, rows, errors)
    print(f"{sum(map(bool, rows.values()))} of {len(runs)} runs finished; the table is {table}")
    for name, error in errors.items():
        print(f"{name} failed: {error}; see {folder / name / 'log.txt'}")
    print(f"Look further:\n  {command_line('plot')} {shlex.quote(str(table))}")
    if errors:
        raise SystemExit(1)
