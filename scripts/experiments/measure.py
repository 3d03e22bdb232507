"""What is measured of a claim's run, and kept in the results folder: `ARM-SEED.json` and `ARM-SEED.csv`."""

import json
import platform
import shlex
import shutil
import threading
import zipfile
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import plastic_rl
from plastic_rl.agents import checkpoint
from plastic_rl.envs import reference_returns
from plastic_rl.envs.task import ReferenceReturns
from plastic_rl.files import write_whole
from plastic_rl.scripts.experiments.claim import Claim
from plastic_rl.scripts.experiments.grid import Run, file_name
from plastic_rl.scripts.experiments.runner import train_run
from plastic_rl.scripts.figures.episode import EpisodeFigure
from plastic_rl.scripts.figures.recording import choice_names, record
from plastic_rl.scripts.runs.file import NAME, STATISTICS
from plastic_rl.scripts.runs.folder import Run as Folder
from plastic_rl.scripts.runs.folder import open_run
from plastic_rl.scripts.runs.monitor import Training, learning_curve
from plastic_rl.scripts.runs.play import play_run
from plastic_rl.scripts.zoo.clock import cpu_seconds

SEED = 1_000_000  # of the first environment of an evaluation
MOST_BYTES = 2_000_000  # of an agent that is kept
ROWS = 100
_one_at_a_time = threading.Lock()  # evaluations draw from torch's global generator


def train_and_measure(run: Run, claims: dict[str, Claim], results: Path, here: str) -> None:
    """Train a run of one of the claims, then write its learning curve and evaluation into the folder of all results."""
    folder, claim, file = train_run(run, results / "runs", here), claims[run.claim], results / f"{run.result}.json"
    with _one_at_a_time:
        opened, training = open_run(str(folder)), learning_curve(folder)
        rows = _curve(opened, training, folder.parents[1] / "tb", claim)
        best = {"value": float(rows["return"].max()), "tests": {}}
        result = {
            **(best if claim.measure == "best return" else _evaluations(opened, claim)),
            "steps": int(training.steps[-1]),
            "episodes": len(training.steps),
            "cpu_seconds": round(float(cpu_seconds(folder)[-1, 1]), 1),
            **({"final_return": training.final_return} if claim.curve == "returns" else {}),
            "command": shlex.join(["plastic-rl", "train", *run.argv]),
            "folder": str(folder.relative_to(results)),
            "machine": f"{platform.machine()}, one thread",
            "torch": torch.__version__,
            "version": plastic_rl.__version__,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file.with_suffix(".csv"), rows.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
        for name, test in {"episode": claim.test, **claim.tests}.items() if claim.pictures else ():
            draw_end(replace(opened, env_kwargs={**opened.env_kwargs, **test}), name, file)
        if run.values["seed"] == 1 and run.values["arm"] == claim.agent:
            keep_agent(opened, results / "agents" / run.claim)
        write_whole(file, json.dumps(result, indent=1) + "\n")  # the last one says that it is finished


def measured(returns: Any, reference: ReferenceReturns | None, measure: str) -> Any:
    """Turn mean returns, numbers or arrays, into what a claim is about; `reference` is None without an oracle."""
    if measure in ("return", "best return"):
        return returns
    assert reference is not None
    if measure in ("error", "wrong answers"):  # the return is the number of queries times (1 - error)
        return 1 - returns / reference.oracle
    score = (returns - reference.random) / (reference.oracle - reference.random)
    return score if measure == "score" else (1 - score) / 2  # wrong bits: half of them by chance


def evaluate(run: Folder, model: Any, test: dict, measure: str, episodes: int, sampled: bool = False) -> float:
    """Return how a trained run does on fresh seeds, with `test` among the arguments of its environment."""
    rewards = play_run(run, model, episodes, SEED, not sampled, **test)
    return float(measured(np.nansum(rewards, axis=1).mean(), _reference(run, test), measure))


def keep_agent(run: Folder, folder: Path) -> None:
    """Copy a trained run's policy and settings into a run folder of their own, unless they are large."""
    with zipfile.ZipFile(run.model_file) as file:
        parameters = file.read("policy.pth")
    if len(parameters) > MOST_BYTES:
        return
    shutil.rmtree(folder, ignore_errors=True)
    settings = folder / run.settings.name
    settings.mkdir(parents=True)
    for name in (NAME, STATISTICS):
        if (run.settings / name).exists():
            shutil.copy(run.settings / name, settings / name)
    with zipfile.ZipFile(folder / run.model_file.name, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("policy.pth", parameters)


def draw_end(run: Folder, name: str, file: Path) -> None:
    """Draw the end of an episode beside the memory, as `watch` does."""
    model = run.load("cpu")
    moments = deque(record(run, model, SEED, True, "rgb_array"), maxlen=2)  # a memory of 1,000 neurons takes 8 MB
    names = choice_names(run, model.action_space)
    figure = EpisodeFigure([*moments], model.action_space, f"{run.env_id}: {name}", names=names)
    figure.film(file.with_name(f"{file.stem}-{file_name(name)}.png"))


def _reference(run: Folder, test: dict[str, Any]) -> ReferenceReturns | None:
    return reference_returns(run.env_id, **{**run.env_kwargs, **test})


def _curve(run: Folder, training: Training, events: Path, claim: Claim) -> pd.DataFrame:
    """Return a run's learning curve in at most 100 rows: where each ends, and the means of the episodes in it."""
    values = measured(training.returns, _reference(run, {}), claim.measure)
    steps, episodes = training.steps, np.arange(1, len(values) + 1)
    curve = pd.DataFrame({"steps": steps, "episodes": episodes, "return": training.returns, "value": values})
    if claim.curve == "accuracy":  # the oracle acted: its returns say nothing
        at, right = _accuracy(events)
        counts = np.interp(at, steps, episodes).round()
        curve = pd.DataFrame({"steps": at, "episodes": counts, "return": np.nan, "value": 1 - right})
    clock = np.concatenate([[[0, 0]], cpu_seconds(run.folder)])
    curve.insert(2, "cpu_seconds", np.interp(curve["steps"], *clock.T).round(2))
    rows = curve.groupby(np.arange(len(curve)) * min(ROWS, len(curve)) // len(curve))
    return rows.agg({"steps": "last", "episodes": "last", "cpu_seconds": "last", "return": "mean", "value": "mean"})


def _accuracy(events: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return steps, and the part of the answers that were right, of each of PlasticBPTT's updates."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[int, float] = {}
    for file in sorted(events.rglob("events*")):  # there are several where the run went on from a checkpoint
        accumulator = EventAccumulator(str(file), size_guidance={"scalars": 0})
        accumulator.Reload()
        found |= {row.step: row.value for row in accumulator.Scalars("train/accuracy")}
    return np.array(sorted(found), float), np.array([found[step] for step in sorted(found)])


def _evaluations(run: Folder, claim: Claim) -> dict[str, Any]:
    """Return what a trained run does in the tests of a claim, and with sampled answers in the first of them."""
    episodes, tests = claim.episodes, {"": claim.test, **claim.tests}
    models: list[Any] = []
    for file in checkpoint.checkpoints(run.folder / "checkpoints") if claim.last_states else []:  # the oldest first
        models.append(run.load("cpu"))
        models[-1].policy.load_state_dict(checkpoint.read(file)["policy"])
    models.append(run.load("cpu"))
    values = {n: [evaluate(run, model, test, claim.measure, episodes) for model in models] for n, test in tests.items()}
    return {
        "value": values[""][-1],
        "sampled": evaluate(run, models[-1], claim.test, claim.measure, episodes, sampled=True),
        "tests": {name: of_states[-1] for name, of_states in values.items() if name},
        **({"last_states": values} if claim.last_states else {}),
    }
