"""Evaluate trained runs on fresh episodes: `python -m plastic_rl.scripts.evaluate RUN [RUN ...]`.

Prints the mean return with its 95% bootstrap interval, the normalised score (0 random, 1 oracle), and the
within-episode learning curve: how the reward per step grows in the course of one life.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

BARS = " ▁▂▃▄▅▆▇█"


def evaluate(run: Any, episodes: int, seed: int, device: str, deterministic: bool) -> dict[str, Any]:
    """Play one run's episodes and return the figures.

    Args:
        run: a `Run`.
        episodes: how many lives.
        seed: of the first environment; far from those of training by default.
        device: for the policy.
        deterministic: whether to take the most probable actions.
    """
    from plastic_rl.envs import score
    from plastic_rl.scripts.lives import play

    env = run.make_env(min(episodes, 64), seed)
    lives = play(run.load(device), env, episodes, deterministic)
    env.close()
    low, high = lives.interval()
    mean = float(lives.returns.mean())
    scores = [score(run.env_id, value, **run.env_kwargs) for value in (mean, low, high)]
    return {
        "run": str(run.folder),
        "actions": "deterministic" if deterministic else "sampled",
        "episodes": len(lives.returns),
        "mean_return": mean,
        "interval": [low, high],
        "score": scores[0],
        "score_interval": scores[1:] if scores[0] is not None else None,
        "reward_per_step_by_quarter": lives.quarters().tolist(),
        "reward_by_time": lives.reward_by_time.tolist(),
    }


def curve(rewards: list[float], width: int = 32) -> str:
    """Draw mean rewards by time as one line of bars, from zero or the lowest to the highest."""
    means = [float(part.mean()) for part in np.array_split(np.array(rewards), min(width, len(rewards)))]
    low, high = min(0.0, *means), max(means)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def print_table(results: list[dict[str, Any]]) -> None:
    """Print one run's figures as a table, and the curves below."""
    from rich.console import Console
    from rich.table import Table

    table = Table("actions", "lives", "mean return (95%)", "score", "reward/step by quarter")
    for result in results:
        low, high = result["interval"]
        table.add_row(
            result["actions"],
            str(result["episodes"]),
            f"{result['mean_return']:.1f} ({low:.1f} to {high:.1f})",
            "" if result["score"] is None else f"{result['score']:.2f}",
            " ".join(f"{quarter:.2f}" for quarter in result["reward_per_step_by_quarter"]),
        )
    print(results[0]["run"])
    Console().print(table)
    print("reward by time in the life")
    for result in results:
        print(f"  {result['actions']:<13}  {curve(result['reward_by_time'])}")


def render(run: Any, mode: str, seed: int, device: str, deterministic: bool) -> None:
    """Show one life: in the terminal (`ansi`), in a window (`human`), or as a GIF or MP4 file."""
    from plastic_rl.scripts.names import refuse

    if mode not in ("ansi", "human") and Path(mode).suffix not in (".gif", ".mp4"):
        refuse(f"--render takes ansi, human, or a file that ends in .gif or .mp4, not {mode!r}")
    model = run.load(device)
    to_file = mode not in ("ansi", "human")
    env = run.make_single_env(seed, "rgb_array" if to_file else mode)
    frames: list[Any] = []

    def show() -> None:
        picture = env.env_method("render")[0]
        if to_file:
            frames.append(picture)
        elif mode == "ansi":
            print(picture, end="\n\n")

    observation: Any = env.reset()
    show()
    state, start = None, np.ones(1, bool)
    while True:
        action, state = model.predict(observation, state, start, deterministic=deterministic)
        observation, _, start, _ = env.step(action)
        if start[0]:
            break
        show()
    env.close()
    if to_file:
        _write(Path(mode), frames)
        print(f"wrote {mode}: {len(frames)} frames")


def _write(path: Path, frames: list[Any]) -> None:
    import imageio.v3 as iio

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        iio.imwrite(path, np.stack(frames), duration=80, loop=0)
    else:
        iio.imwrite(path, np.stack(frames), fps=12)


def print_reference(env_id: str, episodes: int) -> None:
    """Play a random policy and the oracle and print the figures that fix a task's score."""
    from plastic_rl.envs.score import find_task, measure_returns, reference_returns
    from plastic_rl.scripts.names import refuse

    task = find_task(env_id)
    if task is None:
        refuse(f"{env_id} is no task of this package: it has no oracle")
    exact, played = reference_returns(env_id), measure_returns(*task, episodes=episodes)
    assert exact is not None
    print(f"{env_id}: mean returns of a random policy and of the oracle")
    print(f"  the score uses   {exact.random:10.3f} {exact.oracle:10.3f}")
    print(f"  played {episodes:6,}    {played.random:10.3f} {played.oracle:10.3f}")


def make_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="*", help="run folder(s), as `train` printed them")
    parser.add_argument("--episodes", type=int, default=256, help="lives to play for each run")
    parser.add_argument("--seed", type=int, default=1_000_000, help="seed of the first environment")
    parser.add_argument("--device", default="cpu")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--deterministic", action="store_true", help="only with the most probable actions")
    actions.add_argument("--stochastic", action="store_true", help="only with sampled actions, as in training")
    parser.add_argument("--render", metavar="MODE", help="show one life instead: ansi, human, or a .gif or .mp4 file")
    parser.add_argument("--reference", metavar="ENV", help="recompute the figures behind an environment's score")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    args = make_parser().parse_args(argv)
    import torch

    from plastic_rl.scripts.names import check_name, refuse
    from plastic_rl.scripts.runs import open_run

    torch.set_num_threads(1)
    if args.episodes < 1:
        refuse(f"--episodes must be at least 1, not {args.episodes}")
    if args.reference:
        import gymnasium as gym

        check_name("environment", args.reference, gym.registry)
        print_reference(args.reference, args.episodes)
        return
    if not args.run:
        refuse("give one or more run folders, as `train` printed them")
    runs = [open_run(path) for path in args.run]
    if args.render:
        render(runs[0], args.render, args.seed, args.device, args.deterministic)
        return
    ways = [False] if args.stochastic else [True] if args.deterministic else [False, True]
    for run in runs:
        results = [evaluate(run, args.episodes, args.seed, args.device, way) for way in ways]
        (run.folder / "evaluation.json").write_text(json.dumps(results, indent=1))
        print_table(results)


if __name__ == "__main__":
    main()
