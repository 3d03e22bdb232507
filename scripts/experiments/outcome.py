"""What came out of one run: its learning curve and how it does in lives it has not seen."""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from plastic_rl.agents import checkpoint
from plastic_rl.envs import reference_returns
from plastic_rl.envs.task import ReferenceReturns
from plastic_rl.scripts.experiments.claims import Claim, Measure
from plastic_rl.scripts.runs.folder import Run

_ROWS = 100


def measured(returns: Any, reference: ReferenceReturns, measure: Measure) -> Any:
    """Turn mean returns into what a claim is about.

    Args:
        returns: mean returns, numbers or arrays.
        reference: of a random policy and of the oracle.
        measure: see `Claim`.
    """
    if measure == "error":  # the return is the number of queries times (1 - error)
        return 1 - returns / reference.oracle
    score = (returns - reference.random) / (reference.oracle - reference.random)
    if measure == "score":
        return score
    if measure == "wrong bits":  # half of them by chance
        return (1 - score) / 2
    return 1 - returns / reference.oracle


def learning_curve(run: Run, events: Path, claim: Claim, speed: float) -> str:
    """Return a run's learning curve as CSV: episodes, seconds, and the measure over the episodes since the row before.

    Args:
        run: the run.
        events: the folder of its TensorBoard events.
        claim: what is to be measured, and from what.
        speed: seconds of a processor for each second that passed; the curve's are those of a processor.
    """
    (monitor,) = run.folder.glob("*.monitor.csv")
    rows = np.loadtxt(monitor, delimiter=",", skiprows=2, ndmin=2)
    if claim.curve == "accuracy":
        episodes, seconds, values = _accuracy(events, lives_of_a_step=1 / rows[:, 1].mean())
        values = 1 - values
    else:
        episodes, seconds = np.arange(1, len(rows) + 1), rows[:, 2]
        values = measured(rows[:, 0], _reference(run, {}), claim.measure)
    lines = ["episodes,seconds,value"]
    for part in np.array_split(np.arange(len(values)), min(_ROWS, len(values))):
        last = part[-1]
        lines.append(f"{episodes[last]:.0f},{speed * seconds[last]:.1f},{values[part].mean():.5f}")
    return "\n".join(lines) + "\n"


def _accuracy(events: Path, lives_of_a_step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lives, seconds, and the part of the answers that were right, of each of PlasticBPTT's updates."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = events.rglob("events*")
    accumulator = EventAccumulator(str(file), size_guidance={"scalars": 0})
    accumulator.Reload()
    rows = np.array([(row.step, row.wall_time, row.value) for row in accumulator.Scalars("train/accuracy")])
    return rows[:, 0] * lives_of_a_step, rows[:, 1] - rows[0, 1], rows[:, 2]


def all_tests(run: Run, claim: Claim, quick: bool = False) -> dict[str, Any]:
    """Return what a trained run does in the tests of a claim, and with sampled answers in the first of them.

    Args:
        run: the run.
        claim: the claim.
        quick: whether to play a few lives of the first test only.
    """
    lives = 64 if quick else claim.lives
    tests = {"": claim.test, **({} if quick else claim.tests)}
    models = list(last_states(run)) if claim.last_states else [run.load(device="cpu")]
    values = {n: [fresh_lives(run, model, test, claim.measure, lives) for model in models] for n, test in tests.items()}
    return {
        "value": values[""][-1],
        "sampled": fresh_lives(run, models[-1], claim.test, claim.measure, lives, deterministic=False),
        "tests": {name: of_states[-1] for name, of_states in values.items() if name},
        **({"last_states": values} if claim.last_states else {}),
    }


def last_states(run: Run) -> Iterator[Any]:
    """Yield a run's model in each of the states that were saved last: its checkpoints, then what it ended with."""
    for file in checkpoint.checkpoints(run.folder / "checkpoints"):
        model = run.load(device="cpu")
        model.policy.load_state_dict(checkpoint.read(file)["policy"])
        yield model
    yield run.load(device="cpu")


def fresh_lives(
    run: Run, model: Any, test: dict[str, Any], measure: Measure, episodes: int, deterministic: bool = True
) -> float:
    """Return how a trained run does on fresh seeds.

    Args:
        run: the run.
        model: its model.
        test: arguments of the environment, on top of those of training.
        measure: what to give.
        episodes: how many lives.
        deterministic: whether it gives its most probable answers, or sampled ones.
    """
    from plastic_rl.scripts.runs.play import play

    env = run.make_env(min(64, episodes), seed=1_000_000, **test)
    model.set_random_seed(1_000_000)  # of the answers that are sampled
    value = float(measured(play(model, env, episodes, deterministic).returns.mean(), _reference(run, test), measure))
    env.close()
    return value


def _reference(run: Run, test: dict[str, Any]) -> ReferenceReturns:
    reference = reference_returns(run.env_id, **{**run.env_kwargs, **test})
    assert reference is not None
    return reference


def versions() -> dict[str, str]:
    """Return what the run ran on."""
    import torch

    from plastic_rl import __version__ as version

    return {"machine": f"{platform.machine()}, one thread", "torch": torch.__version__, "version": version}
