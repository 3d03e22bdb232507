"""Evaluate trained runs on fresh episodes.

    plastic-rl evaluate RUN [RUN ...]
    plastic-rl evaluate RUN --ablate trace

Prints the mean return and the normalized score (0 random, 1 oracle) with 95% bootstrap intervals over episodes, and how
the reward per step grows in the course of one episode, by its quarters. The figures, with the reward of every step, are
also left in each run folder as evaluation.json, from which `plot` reads them.

`--ablate trace` plays a second time with the plastic trace held at zero, `--ablate state` with the activity reset
before every step, which leaves a plastic core nothing to write into its trace, so no memory at all.
"""

import json
from pathlib import Path
from typing import Any

from plastic_rl.files import write_whole
from plastic_rl.scripts import CommandParser, command, whole_number

PARSER = CommandParser("evaluate", __doc__, run="+")
PARSER.add_argument("--episodes", type=whole_number, default=256, help="episodes to play for each run; default: 256")
PARSER.add_argument("--seed", type=int, default=1_000_000, help="of the first environment and of sampled actions")
PARSER.add_argument("--device", default="cpu", help="default: cpu")
PARSER.add_argument("--ablate", choices=("trace", "state"), help="play also without this part of the memory")
PARSER.add_argument("--json", metavar="FILE", help="write the figures of all runs into this file, too")


@command
def main(argv: list[str]) -> None:
    """Evaluate as the command line says."""
    args = PARSER.parse_args(argv)
    import torch

    from plastic_rl.scripts.runs.folder import open_run
    from plastic_rl.scripts.runs.play import ablated, evaluate

    torch.set_num_threads(1)
    runs = [open_run(path, trust=args.trust) for path in args.run]
    models = [run.load(args.device) for run in runs]
    for model in models if args.ablate else []:
        ablated(model, args.ablate)  # refuses what cannot be, before anything is played
    plays = [(memory, way) for memory in dict.fromkeys([None, args.ablate]) for way in (False, True)]
    everything = []
    for run, model in zip(runs, models, strict=True):
        results = [evaluate(run, model, args.episodes, args.seed, way, memory) for memory, way in plays]
        if run.output == run.folder:
            write_whole(run.folder / "evaluation.json", json.dumps(results, indent=1))
        everything += results
    print_table(everything)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(args.json), json.dumps(everything, indent=1))


def print_table(results: list[dict[str, Any]]) -> None:
    """Print figures of one or more runs as one table of at most 80 columns, and below it which run is which."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    runs = list(dict.fromkeys(result["run"] for result in results))
    headings = ("run", "actions", "episodes", "mean return\n(95%)", "score\n(95%)", "reward per step\nby quarter")
    columns = [Column(heading, no_wrap=True) for heading in headings]
    table = Table(*columns, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for result in results:
        actions = result["actions"] + (f"\nwithout {result['ablate']}" if result["ablate"] else "")
        mean = "{:.1f}\n{:.1f} to {:.1f}".format(result["mean_return"], *result["interval"])
        between = "{:.2f}\n{:.2f} to {:.2f}"
        score = "" if result["score"] is None else between.format(result["score"], *result["score_interval"])
        by_quarter = " ".join(f"{quarter:.2f}" for quarter in result["reward_per_step_by_quarter"])
        table.add_row(str(runs.index(result["run"]) + 1), actions, str(result["episodes"]), mean, score, by_quarter)
    Console().print(table)
    for number, run in enumerate(runs, 1):
        print(f"run {number}: {run}")
