"""Run a grid of trainings on Ray: `python -m plastic_rl.scripts.sweep FILE.yaml`.

On this machine, all of it at once with nothing to be started before, or with `--address` on a cluster whose machines
see one file system. A run is `train` in a process of its own. Where that process or its machine is lost, the run goes
on from its last checkpoint elsewhere. The same command again goes on with a sweep that was stopped: a finished run is
never run again, one that failed is. docs/sweeps.md says what the file may hold.

Leaves, in the output folder, the run folders and `results.csv`; `plot` reads either.
"""

import argparse
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plastic_rl.scripts.experiments.grid import SweepRun, read_sweep
from plastic_rl.scripts.names import refuse

if TYPE_CHECKING:
    from plastic_rl.scripts.experiments.table import Table

OBJECT_STORE = 100 * 2**20  # bytes; runs pass no data through Ray


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(
        prog="python -m plastic_rl.scripts.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="what to run, in YAML")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="default: sweeps/ and the file's name")
    parser.add_argument("--address", help="of a Ray cluster, host:port or auto; default: this machine alone")
    parser.add_argument("--cpus", type=int, help="cores of this machine to use; default: all")
    parser.add_argument("--dry-run", action="store_true", help="print the command lines of the runs, and run nothing")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Run what is missing of a sweep."""
    args = make_parser().parse_args(argv)
    if args.cpus is not None and (args.cpus < 1 or args.address):
        refuse(f"--cpus must be at least 1, and is for this machine, without --address; not {args.cpus}")
    runs = read_sweep(args.file)
    if args.dry_run:
        for run in runs:
            print(run.name, *run.argv)
        return
    output = Path(args.output or f"sweeps/{Path(args.file).stem}").resolve()
    output.mkdir(parents=True, exist_ok=True)
    lock = (output / "lock").open("w")  # held until this process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        refuse(f"another sweep is running in {output}")
    from plastic_rl.scripts.experiments.table import Table

    table = Table(output, runs)
    waiting = [run for run in runs if not table.has(run)]
    print(f"{len(runs)} runs, {len(runs) - len(waiting)} of them finished before; {output / 'results.csv'}")
    if waiting:
        _run_all(_start(args, waiting), waiting, table)
    table.print()
    if table.errors:
        raise SystemExit(1)


def _start(args: argparse.Namespace, runs: list[SweepRun]) -> Any:
    """Start Ray on this machine, or join a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else it warns that it hides GPUs from runs that asked for none; those are told --device cpu.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        refuse("a sweep wants Ray: pip install 'plastic_rl[sweep]'")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if args.address:
        try:
            ray.init(args.address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            refuse(f"--address {args.address!r} is no Ray cluster that answers: {str(error).partition(chr(10))[0]}")
        return ray
    ray.init("local", num_cpus=args.cpus, object_store_memory=OBJECT_STORE, include_dashboard=False, **quiet)
    here = ray.cluster_resources()
    for name, wanted in (("cpus", max(run.cpus for run in runs)), ("gpus", max(run.gpus for run in runs))):
        if wanted > (there := here.get(name.upper()[:-1], 0)):
            ray.shutdown()
            refuse(f"{name} of a run must be at most the {there:g} of this machine, not {wanted}")
    return ray


def _run_all(ray: Any, runs: list[SweepRun], table: "Table") -> None:
    """Give runs to Ray, show how far they are, and stop Ray."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns) as progress:
            bar = progress.add_task("runs", total=len(runs))
            for run, error in _results(ray, runs, table, lambda said: progress.update(bar, description=said)):
                progress.console.print(f"{run.name}: {error or table.said(run)}", markup=False, highlight=False)
                progress.advance(bar)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        ray.shutdown()


def _results(
    ray: Any, runs: list[SweepRun], table: "Table", say: Callable[[str], None]
) -> Iterator[tuple[SweepRun, str | None]]:
    """Yield each run as it ends, with what went wrong."""
    from plastic_rl.scripts.experiments.runner import attempts, work
    from plastic_rl.scripts.runs.process import KilledError

    task, here, started = ray.remote(work), os.getcwd(), {}
    before = {run.name: attempts(table.runs_folder / run.name) for run in runs}
    for run in runs:
        needs = {"num_cpus": run.cpus, "num_gpus": run.gpus, "max_retries": run.retries}
        given = task.options(**needs, retry_exceptions=[KilledError], name=run.name)
        started[given.remote(run, table.runs_folder, here)] = run
    while started:
        ended, _ = ray.wait(list(started), num_returns=1, timeout=1)
        for reference in ended:
            run, error = started.pop(reference), None
            try:
                ray.get(reference)
            except ray.exceptions.RayError as lost:
                error = " ".join(str(getattr(lost, "cause", None) or lost).split())
            table.add(run, error)
            yield run, error
        n_running = sum(attempts(table.runs_folder / run.name) > before[run.name] for run in started.values())
        say(f"{n_running} running, {len(started) - n_running} waiting, {len(table.errors)} failed")


if __name__ == "__main__":
    main()
