"""Evaluate trained runs on fresh episodes.

    plastic-rl evaluate RUN [RUN ...]
    plastic-rl evaluate RUN --ablate trace

Prints the mean return and the normalized score (0 random, 1 oracle) with 95% bootstrap intervals over episodes, and the
within-episode learning curve: how the reward per step grows in the course of one episode. The figures are also left in
each run folder as evaluation.json, from which `plot` reads them.

`--ablate trace` plays a second time with the plastic trace held at zero, `--ablate state` with the activity reset
before every step, which leaves a plastic core nothing to write into its trace, so no memory at all.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plastic_rl.files import write_whole
from plastic_rl.scripts import command, command_parser, refuse

if TYPE_CHECKING:
    from plastic_rl.scripts.runs.folder import Run
    from plastic_rl.scripts.runs.play import Ablation

BARS = " ▁▂▃▄▅▆▇█"
ASCII_BARS = " .:-=+*#@"


def evaluate(
    run: "Run", model: Any, episodes: int, seed: int, deterministic: bool, ablate: "Ablation | None" = None
) -> dict[str, Any]:
    """Play one run's episodes and return the figures.

    Args:
        run: the run.
        model: its model.
        episodes: how many.
        seed: of the first environment and of sampled actions.
        deterministic: whether to take the most probable actions.
        ablate: what of the memory is set to zero before every step; see `play.ablated`.

    Raises:
        ValueError: the model has no such memory.
    """
    import torch

    from plastic_rl.envs import score
    from plastic_rl.scripts.runs.play import ablated, play

    erased = () if ablate is None else ablated(model, ablate)
    env = run.make_env(min(episodes, 64), seed)
    torch.manual_seed(seed)  # of sampled actions
    played = play(model, env, episodes, deterministic, erased)
    env.close()
    low, high = played.interval()
    mean = float(played.returns.mean())
    scores = [score(run.env_id, value, **run.env_kwargs) for value in (mean, low, high)]
    return {
        "run": str(run.folder),
        "env": run.env_id,
        "actions": "deterministic" if deterministic else "sampled",
        "ablate": ablate,
        "episodes": len(played.returns),
        "seed": seed,
        "mean_return": mean,
        "interval": [low, high],
        "score": scores[0],
        "score_interval": scores[1:] if scores[0] is not None else None,
        "reward_per_step_by_quarter": played.quarters().tolist(),
        "reward_by_time": played.reward_by_time.tolist(),
        "reward_by_time_interval": played.interval_by_time().tolist(),
    }


def curves(rewards: list[list[float]], width: int = 44) -> list[str]:
    """Draw mean rewards by time as lines of bars, all from zero (or the lowest) to the highest of all."""
    means = [[float(p.mean()) for p in np.array_split(np.array(row), min(width, len(row)))] for row in rewards]
    low, high = min(0.0, *map(min, means)), max(map(max, means))
    bars = BARS if "utf" in (sys.stdout.encoding or "").lower() else ASCII_BARS
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return ["".join(bars[round((mean - low) * scale)] for mean in row) for row in means]


def print_table(results: list[dict[str, Any]]) -> None:
    """Print figures of one or more runs as one table of at most 80 columns, and the curves below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    runs = list(dict.fromkeys(result["run"] for result in results))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    quarters = "reward per step\nby quarter of episode"
    for heading in ("run", "actions", "episodes", "mean return\n(95%)", "score\n(95%)", quarters):
        table.add_column(heading, no_wrap=True)
    for number, run in enumerate(runs, 1):
        for result in (result for result in results if result["run"] == run):
            table.add_row(
                str(number),
                _how(result, "\n"),
                str(result["episodes"]),
                "{:.1f}\n{:.1f} to {:.1f}".format(result["mean_return"], *result["interval"]),
                "" if result["score"] is None else _score(result),
                " ".join(f"{quarter:.2f}" for quarter in result["reward_per_step_by_quarter"]),
            )
    Console().print(table)
    for number, run in enumerate(runs, 1):
        print(f"\nrun {number}: {run}\nreward by time in the episode")
        own = [result for result in results if result["run"] == run]
        for result, bars in zip(own, curves([result["reward_by_time"] for result in own]), strict=True):
            print(f"  {_how(result, ', '):<28}  {bars}")


def _how(result: dict[str, Any], separator: str) -> str:
    return result["actions"] + (f"{separator}without {result['ablate']}" if result["ablate"] else "")


def _score(result: dict[str, Any]) -> str:
    return "{:.2f}\n{:.2f} to {:.2f}".format(result["score"], *result["score_interval"])


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = command_parser("evaluate", __doc__)
    parser.add_argument("run", nargs="+", help="run folder(s), as `train` printed them, or pretrained/NAME")
    parser.add_argument("--episodes", type=int, default=256, help="episodes to play for each run; default: 256")
    parser.add_argument("--seed", type=int, default=1_000_000, help="of the first environment and of sampled actions")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--deterministic", action="store_true", help="only with the most probable actions")
    actions.add_argument("--stochastic", action="store_true", help="only with sampled actions, as in training")
    parser.add_argument("--ablate", choices=("trace", "state"), help="play also without this part of the memory")
    parser.add_argument("--json", metavar="FILE", help="write the figures of all runs into this file, too")
    parser.add_argument("--trust", action="store_true", help="read pickled files of a run, which can execute code")
    return parser


@command
def main(argv: Sequence[str]) -> None:
    """Evaluate as the command line says."""
    args = make_parser().parse_args(argv)
    import torch

    from plastic_rl.scripts.runs.folder import open_run
    from plastic_rl.scripts.runs.play import ablated

    torch.set_num_threads(1)
    if args.episodes < 1:
        refuse(f"--episodes must be at least 1, not {args.episodes}")
    runs = [open_run(path, trust=args.trust) for path in args.run]
    models = [run.load(args.device) for run in runs]
    if args.ablate:
        for run, model in zip(runs, models, strict=True):
            try:
                ablated(model, args.ablate)
            except ValueError as error:
                refuse(f"run {str(run.folder)!r}: {error}")
    ways = [False] if args.stochastic else [True] if args.deterministic else [False, True]
    memories = [None] if args.ablate is None else [None, args.ablate]
    everything = []
    for run, model in zip(runs, models, strict=True):
        results = [evaluate(run, model, args.episodes, args.seed, way, memory) for memory in memories for way in ways]
        if run.output == run.folder:
            write_whole(run.folder / "evaluation.json", json.dumps(results, indent=1))
        everything += results
    print_table(everything)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(args.json), json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
