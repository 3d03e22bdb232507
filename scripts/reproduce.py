"""Check the paper's claims: `python -m plastic_rl.scripts.reproduce recall maze`, or `all`.

Trains what a claim compares, several runs at a time, and writes `RESULTS.md`. A finished run is never run again: its
learning curve and its evaluation lie in the results folder, from which the report is made. A run that two claims share
is trained for one of them. Runs that were stopped in the middle begin anew. All run on the CPU, whose time is what the
report compares; many small networks at a time would only wait for each other on a GPU.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plastic_rl.scripts.experiments.claims import CLAIMS, Claim
from plastic_rl.scripts.names import check_name, refuse
from plastic_rl.scripts.runs.process import train, write_whole


@dataclass(frozen=True)
class Job:
    """One run of one arm of a claim.

    Attributes:
        claim: its name in `CLAIMS`.
        arm: its name in the claim.
        seed: of the run.
        quick: whether it is the small version.
        results: the folder of all results.
    """

    claim: str
    arm: str
    seed: int
    quick: bool
    results: Path

    @property
    def stem(self) -> Path:
        """Where its files lie, without their ending."""
        name = "".join(c if c.isalnum() else "-" for c in self.arm)
        return self.results / self.claim / f"{name}-{self.seed}"

    @property
    def done(self) -> bool:
        """Whether it has been finished."""
        return self.stem.with_suffix(".json").exists()

    def command(self, runs: Path) -> list[str]:
        """Return the arguments of `train`."""
        claim = CLAIMS[self.claim]
        arm = claim.arms[self.arm]
        flags = ["--seed", str(self.seed), "--verbose", "0", "-f", str(runs), "-tb", str(runs / "tb")]
        if self.quick:  # an arm's own number of steps does not hold
            return [*_merged(claim.quick, arm), *flags, "-n", str(claim.quick_steps)]
        return [*flags, "-n", str(claim.steps), *_merged(claim.flags, arm)]


def _merged(flags: list[str], more: list[str]) -> list[str]:
    """Join flags; hyperparameters that both give become one list, of which the later ones hold."""
    if "-params" not in flags or "-params" not in more:
        return [*flags, *more]
    at = more.index("-params")
    return [*flags, *more[at + 1 :], *more[:at]]


def _twin(job: Job) -> Job | None:
    """Return a finished run of another claim that was trained and evaluated as this one would be."""
    own = CLAIMS[job.claim]
    if own.pictures or job.arm == own.agent:  # these need the run itself
        return None
    for name, claim in CLAIMS.items():
        if name == job.claim or _evaluation(claim) != _evaluation(own):
            continue
        for arm in claim.arms:
            twin = Job(name, arm, job.seed, job.quick, job.results)
            if twin.done and twin.command(Path()) == job.command(Path()):
                return twin
    return None


def _evaluation(claim: Claim) -> tuple[Any, ...]:
    return claim.measure, claim.test, claim.tests, claim.lives, claim.curve, claim.last_states


def run(job: Job) -> dict[str, Any]:
    """Train, evaluate, and write the learning curve and the evaluation; a finished run is read again.

    Raises:
        RuntimeError: the training failed; the message ends with what it said last.
    """
    file = job.stem.with_suffix(".json")
    if job.done:
        return json.loads(file.read_text())
    file.parent.mkdir(parents=True, exist_ok=True)
    if (twin := _twin(job)) is not None:
        for ending in (".csv", ".json"):  # the last one says that it is finished
            write_whole(file.with_suffix(ending), twin.stem.with_suffix(ending).read_text())
        return json.loads(file.read_text())
    runs = job.results / "runs" / job.claim / job.stem.name / time.strftime("%Y%m%d-%H%M%S")
    begin = time.perf_counter()
    try:
        seconds = train([*job.command(runs), "--device", "cpu"], runs / "log.txt")
    except RuntimeError as error:
        what = f"{job.claim}, {job.arm}, seed {job.seed}"
        raise RuntimeError(f"{what} failed: {error}; see {runs / 'log.txt'}") from error
    speed = seconds / (time.perf_counter() - begin)
    # Here, since these load torch, which takes seconds.
    from plastic_rl.scripts.experiments.outcome import all_tests, learning_curve, versions
    from plastic_rl.scripts.runs.folder import open_run

    (monitor,) = runs.rglob("*.monitor.csv")
    opened, claim = open_run(str(monitor.parent)), CLAIMS[job.claim]
    result = {
        **all_tests(opened, claim, job.quick),
        "seconds": round(seconds, 1),
        "command": shlex.join(["python", "-m", "plastic_rl.scripts.train", *job.command(Path("runs"))]),
        "folder": str(opened.folder.relative_to(job.results)),
        **versions(),
    }
    job.stem.with_suffix(".csv").write_text(learning_curve(opened, runs / "tb", claim, speed))
    _look_closer(job, opened)
    write_whole(file, json.dumps(result, indent=1) + "\n")
    return result


def _look_closer(job: Job, opened: Any) -> None:
    """Draw what the run has learned, where the claim wants pictures, and keep the agent, where it wants that."""
    claim = CLAIMS[job.claim]
    if claim.pictures:
        from plastic_rl.scripts.figures import recall as recall_figure

        model = opened.load(device="cpu")
        tests = {"test images": claim.test, **({} if job.quick else claim.tests)}
        settings = {name: {**opened.env_kwargs, **test} for name, test in tests.items()}
        recall_figure.draw_recall(model, opened.env_id, settings, Path(f"{job.stem}-lives.png"))
        alpha = model.policy.core.plasticity().get("alpha")
        if alpha is not None and alpha.dim() == 2:
            first = next(iter(settings.values()))
            recall_figure.draw_memory(model, opened.env_id, first, Path(f"{job.stem}-memory.png"))
    if job.seed == 1 and job.arm == claim.agent:
        from plastic_rl.scripts.experiments.kept_agents import keep_agent

        keep_agent(opened, job.results / "agents" / job.claim)


def jobs_of(names: Sequence[str], seeds: int | None, quick: bool, results: Path) -> list[Job]:
    """Return the runs of some claims, seed by seed, so that all arms have been seen once before any is twice."""
    jobs = []
    for name in names:
        n_seeds = seeds or (1 if quick else CLAIMS[name].seeds)
        arms = list(CLAIMS[name].arms)[: 1 if quick else None]
        jobs += [Job(name, arm, seed, quick, results) for seed in range(1, n_seeds + 1) for arm in arms]
    return jobs


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="python -m plastic_rl.scripts.reproduce", description=__doc__)
    parser.add_argument("claims", nargs="*", metavar="CLAIM", help=f"all, or some of: {', '.join(CLAIMS)}")
    parser.add_argument("--seeds", type=int, help="runs of each arm; default: the claim's own, usually 3")
    quick = "a small version of the first arm, in a folder of its own"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--results", default="results", help="folder of the results")
    parser.add_argument("--evaluate", action="store_true", help="only try the agents that are kept, on fresh lives")
    parser.add_argument("--report", help="the report; default: RESULTS.md beside the results")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, then write the report."""
    args = make_parser().parse_args(argv)
    names = list(CLAIMS) if args.claims in ([], ["all"]) else args.claims
    for name in names:
        check_name("claim", name, CLAIMS)
    results = Path(args.results) / "quick" if args.quick else Path(args.results)
    if args.evaluate:
        return evaluate(names, results)
    jobs = jobs_of(names, args.seeds, args.quick, results)
    _check_data(names, args.quick)
    failures = _run_all([job for job in jobs if not job.done], args.jobs)
    from plastic_rl.scripts.experiments.report import write_report

    print(write_report(results, Path(args.report) if args.report else results.parent / "RESULTS.md"))
    if failures:
        print(*failures, sep="\n", file=sys.stderr)
        raise SystemExit(1)


def evaluate(names: Sequence[str], results: Path) -> None:
    """Print what the kept agents of some claims do in lives they have not seen."""
    from plastic_rl.scripts.experiments.outcome import fresh_lives
    from plastic_rl.scripts.runs.folder import open_run

    for name in names:
        folder, claim = results / "agents" / name, CLAIMS[name]
        if not folder.exists():
            print(f"{name}: no agent is kept; train one with: python -m plastic_rl.scripts.reproduce {name} --seeds 1")
            continue
        opened = open_run(str(folder))
        model = opened.load(device="cpu")
        for test, settings in {"": claim.test, **claim.tests}.items():
            value = fresh_lives(opened, model, settings, claim.measure, claim.lives)
            what = ", ".join(filter(None, (name, claim.agent, test)))
            print(f"{what}: {claim.measure} {value:.4f} in {claim.lives:,} lives")


def _check_data(names: Sequence[str], quick: bool) -> None:
    """Leave with one line where a data set is missing, before anything is trained."""
    import gymnasium as gym

    for name in names:
        flags = CLAIMS[name].quick if quick else CLAIMS[name].flags
        for test in () if quick else (CLAIMS[name].test, *CLAIMS[name].tests.values()):
            try:
                gym.make(flags[flags.index("--env") + 1], **test).close()
            except FileNotFoundError as error:
                refuse(str(error))


def _run_all(jobs: list[Job], at_a_time: int) -> list[str]:
    """Run jobs with a progress bar; return what went wrong."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    failures: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress, ThreadPoolExecutor(at_a_time) as pool:
        task = progress.add_task("runs", total=len(jobs))

        def work(job: Job) -> None:
            progress.console.print(f"{job.claim}: {job.arm}, seed {job.seed}")
            try:
                run(job)
            except (RuntimeError, OSError, ValueError) as error:
                failures.append(str(error))
            progress.advance(task)

        list(pool.map(work, jobs))
    return failures


if __name__ == "__main__":
    main()
