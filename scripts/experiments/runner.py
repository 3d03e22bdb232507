"""Runs many trainings at a time: in processes of this machine, or on Ray. Killed runs go on from their checkpoints."""

import argparse
import fcntl
import json
import logging
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from plastic_rl.files import write_whole
from plastic_rl.scripts import refuse, whole_number
from plastic_rl.scripts.experiments.grid import Run
from plastic_rl.scripts.runs.process import KilledError, train

ATTEMPTS, FINISHED = "attempts.txt", "finished.json"
OBJECT_STORE = 100 * 2**20  # bytes; runs pass no data through Ray

Work = Callable[[Run], Any]
Ended = Iterator[tuple[Run, str | None]]  # each run as it ends, with what went wrong


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where runs run."""
    parser.add_argument("--jobs", type=whole_number, metavar="N", help="cores of this machine to use; default: all")
    parser.add_argument("--address", help="run on Ray: host:port or auto of a cluster, or local; default: without Ray")


def run_all(runs: list[Run], work: Work, said: Work, jobs: int | None = None, address: str | None = None) -> dict:
    """Do the work of some runs, several at a time, and show how far it is; return why runs failed, by name.

    `said` puts a result in words. Leaves with exit code 130 where Ctrl-C stops it: the same call goes on.
    """
    from tqdm import tqdm

    if not runs:
        return {}
    errors: dict[str, str] = {}
    ended = _on_ray(runs, work, jobs, address) if address else _here(runs, work, jobs or os.cpu_count() or 1)
    try:
        for run, error in tqdm(ended, "runs", len(runs), disable=None):
            if error is not None:
                errors[run.name] = error
            tqdm.write(f"{run.name}: {said(run) if error is None else f'failed: {error}; see its log.txt'}")
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
    return errors


def train_run(run: Run, runs: Path, here: str) -> Path:
    """Train into the folder of all runs, go on with what was begun before, and return the run folder.

    `here` is the working folder of the command, for modules of one's own. Raises `KilledError` where its process was
    killed, and `RuntimeError` where it failed, or where another command is running it.
    """
    folder = runs / run.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError("another command is running it") from None
        if (facts := finished(folder)) is None:
            if os.path.isdir(here):
                os.chdir(here)
            argv = _command(run, folder)
            with (folder / ATTEMPTS).open("a") as file:
                print(time.strftime("%Y-%m-%d %H:%M:%S"), socket.gethostname(), os.getpid(), file=file)
            train(argv, folder / "log.txt", max(1, int(run.cpus)))
            (found,) = folder.glob("*/*/*/run.json")
            facts = {"folder": str(found.parents[1].relative_to(folder)), "attempts": attempts(folder)}
            write_whole(folder / FINISHED, json.dumps(facts))
    return folder / str(facts["folder"])


def _command(run: Run, folder: Path) -> list[str]:
    """Return the flags of `train` that begin the run or go on with it."""
    for checkpoint in folder.glob("*/*/checkpoints/*.pt"):
        if any(checkpoint.parents[1].glob("*/command.json")):
            return ["--resume", str(checkpoint.parents[1])]
    for left in folder.glob("*/"):  # it was killed before there was anything to go on from
        shutil.rmtree(left)
    return ["--verbose", "0", *run.argv, "-f", str(folder), "-tb", str(folder / "tb")]


def finished(folder: Path) -> dict[str, Any] | None:
    """Return where in the folder of a run its run folder is, and after how many attempts; None before its end."""
    file = folder / FINISHED
    return json.loads(file.read_text()) if file.exists() else None


def attempts(folder: Path) -> int:
    """Return how often a run was started."""
    file = folder / ATTEMPTS
    return file.read_text().count("\n") if file.exists() else 0


def _here(runs: Sequence[Run], work: Work, jobs: int) -> Ended:
    """Run as many at a time as there are cores for."""
    if (most := max(run.cpus for run in runs)) > jobs:
        refuse(f"cpus of a run must be at most the {jobs} of --jobs, not {most}")
    if any(run.gpus for run in runs):
        refuse("runs with gpus want Ray, which shares them out: --address local, or a cluster's")
    # Where this process ends, so do the pool's threads, and with them their trainings.
    with ThreadPool(min(len(runs), int(jobs / most))) as pool:
        yield from pool.imap_unordered(lambda run: (run, _attempt(run, work)), runs)


def _attempt(run: Run, work: Work) -> str | None:
    """Do a run's work, again where it is killed; return what went wrong."""
    killed = None
    for _ in range(run.retries + 1):
        try:
            work(run)
            return None
        except KilledError as error:
            killed = str(error)
        except (Exception, SystemExit) as error:  # whatever it is, the other runs go on
            return " ".join(str(error).split()) or type(error).__name__
    return killed


def _on_ray(runs: Sequence[Run], work: Work, jobs: int | None, address: str) -> Ended:
    """Run on a cluster, or on this machine, whatever Ray has room for."""
    ray = _start_ray(runs, jobs, address)
    task = ray.remote(lambda run: work(run))
    started = {}
    try:
        for run in runs:
            needs = {"num_cpus": run.cpus, "num_gpus": run.gpus, "max_retries": run.retries}
            started[task.options(**needs, retry_exceptions=[KilledError], name=run.name).remote(run)] = run
        while started:
            ended, _ = ray.wait(list(started), num_returns=1, timeout=1)  # Ctrl-C is heard in between
            for reference in ended:
                error = None
                try:
                    ray.get(reference)
                except ray.exceptions.RayError as lost:
                    error = " ".join(str(getattr(lost, "cause", None) or lost).split())
                yield started.pop(reference), error
    finally:
        ray.shutdown()


def _start_ray(runs: Sequence[Run], jobs: int | None, address: str) -> Any:
    """Start Ray on this machine, or join a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else it warns that it hides GPUs from runs that asked for none; those are told --device cpu.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        refuse("--address wants Ray: pip install 'plastic_rl[sweep]'")
    local: Any = {"object_store_memory": OBJECT_STORE, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, num_cpus=jobs, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:  # a cluster takes no --jobs, too
        refuse(f"--address {address!r} is no Ray cluster that answers: {str(error).partition(chr(10))[0]}")
    for name, wanted in (("cpus", max(run.cpus for run in runs)), ("gpus", max(run.gpus for run in runs))):
        if local and wanted > (there := ray.cluster_resources().get(name.upper()[:-1], 0)):
            ray.shutdown()
            refuse(f"{name} of a run must be at most the {there:g} of this machine, not {wanted}")
    return ray
