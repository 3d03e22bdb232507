"""Check the paper's claims: `plastic-rl reproduce recall maze`, or `all`.

Trains what a claim compares, several runs at a time, on this machine or with `--address` on Ray, and writes
`RESULTS.md`. A finished run is never run again: its learning curve and its evaluation lie in the results folder, from
which the report is made. A run that was stopped or killed goes on from its last checkpoint. All run on the CPU, whose
time is what the report compares.
"""

import json
import os
from argparse import Namespace
from functools import partial
from pathlib import Path

from plastic_rl.arguments import check_name
from plastic_rl.scripts import CommandParser, command, refuse
from plastic_rl.scripts.experiments.claim import Claim, claim_names, read_claim
from plastic_rl.scripts.experiments.grid import Run, check_environment, check_runs, full_name
from plastic_rl.scripts.experiments.runner import add_runner_options, run_all

PARSER = CommandParser("reproduce", __doc__)
PARSER.add_argument("claims", nargs="*", metavar="NAME", help=f"all, or some of: {', '.join(claim_names())}")
PARSER.add_argument("--arms", nargs="+", metavar="ARM", help="run these arms only")
PARSER.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="run these seeds only")
PARSER.add_argument("--evaluate", action="store_true", help="only try the agents that are kept, on fresh episodes")
PARSER.add_argument("--report", action="store_true", help="only write the report of the results on file")
PARSER.add_argument("--results", default="results", help="folder of the results; RESULTS.md is beside it")
add_runner_options(PARSER)


@command
def main(argv: list[str]) -> None:
    """Run what is missing, then write the report."""
    args = PARSER.parse_args(argv)
    names = claim_names() if args.claims in ([], ["all"]) else args.claims
    for name in names:
        check_name("claim", name, claim_names())
    claims = {name: read_claim(name) for name in names}
    results = Path(args.results).resolve()
    if args.evaluate:
        return evaluate(claims, results)
    from plastic_rl.scripts.experiments.report import write_report

    errors = {} if args.report else reproduce(claims, results, args)
    print(write_report(results, results.parent / "RESULTS.md"))
    if errors:
        raise SystemExit(1)


def chosen(claim: Claim, arms: list[str] | None, seeds: list[int] | None) -> list[Run]:
    """Return the runs of a claim, or those of them that have one of these arms and seeds."""
    for arm in arms or []:
        check_name(f"arm of claim {claim.name!r}", arm, {*claim.grid["arms"], *claim.arms})
    wanted = {full_name(arm, task) for arm in arms or [] for task in claim.tasks} | set(arms or claim.arms)
    runs = [run for run in claim.runs() if run.values["arm"] in wanted]
    if unknown := set(seeds or []) - {run.values["seed"] for run in runs}:
        refuse(f"--seeds must be those of claim {claim.name!r}, which has none of {sorted(unknown)}")
    return [run for run in runs if seeds is None or run.values["seed"] in seeds]


def reproduce(claims: dict[str, Claim], results: Path, args: Namespace) -> dict[str, str]:
    """Run what is missing of some claims; return why runs failed, by name."""
    from plastic_rl.scripts.experiments.measure import train_and_measure

    wanted = [run for claim in claims.values() for run in chosen(claim, args.arms, args.seeds)]
    runs = [run for run in wanted if not (results / f"{run.result}.json").exists()]
    check_runs(runs)
    for claim in claims.values():
        for test in filter(None, [claim.test, *claim.tests.values()]):
            check_environment(claim.grid["env"], {**claim.grid.get("env_kwargs", {}), **test})
    work = partial(train_and_measure, claims=claims, results=results, here=os.getcwd())

    def said(run: Run) -> str:
        value = json.loads((results / f"{run.result}.json").read_text())["value"]
        return f"{claims[run.claim].measure} {value:.4f}"

    return run_all(runs, work, said, args.jobs, args.address)


def evaluate(claims: dict[str, Claim], results: Path) -> None:
    """Print what the kept agents of some claims do in episodes they have not seen."""
    from plastic_rl.scripts.experiments import measure
    from plastic_rl.scripts.runs.folder import open_run

    for name, claim in claims.items():
        if not (folder := results / "agents" / name).exists():
            again = f"; train one with: plastic-rl reproduce {name} --seeds 1" if claim.agent else ""
            print(f"{name}: no agent is kept{again}")
            continue
        opened = open_run(str(folder))
        model = opened.load(device="cpu")
        for test, settings in {"": claim.test, **claim.tests}.items():
            value = measure.evaluate(opened, model, settings, claim.measure, claim.episodes)
            what = ", ".join(filter(None, (name, claim.agent, test)))
            print(f"{what}: {claim.measure} {value:.4f} in {claim.episodes:,} episodes")
