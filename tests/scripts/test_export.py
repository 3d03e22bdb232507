"""The export command, and what docs/export.md shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plastic_rl.scripts import export
from plastic_rl.scripts.runs.folder import open_run
from tests.scripts.small_runs import refusal

PAGE = Path(__file__).parents[2] / "docs" / "export.md"

PLAY = """
import sys
episodes = np.load("episodes.npz")
for observation, start, expected in zip(episodes["observations"], episodes["starts"], episodes["actions"]):
    action, state = act(observation, start, state)
    assert action == expected
assert not {"torch", "plastic_rl", "stable_baselines3"} & set(sys.modules)
"""


def record_episodes(plastic_run, path):
    """Play two episodes of the run; keep the observations as the environment gives them, and the actions."""
    opened = open_run(str(plastic_run))
    model, env = opened.load("cpu"), opened.make_env(1, seed=3)
    observations, state, starts = env.reset(), None, np.ones(1, bool)
    rows = []
    for _ in range(40):
        actions, state = model.predict(observations, state, starts, deterministic=True)
        rows.append((env.get_original_obs()[0], starts[0], actions[0]))
        observations, _, starts, _ = env.step(actions)
    np.savez(path, **dict(zip(("observations", "starts", "actions"), map(np.array, zip(*rows)))))  # noqa: B905


def test_what_the_page_shows_plays_whole_episodes_as_predict_does(plastic_run, tmp_path, capsys):
    export.main([str(plastic_run)])
    assert "wrote" in capsys.readouterr().out
    shutil.copy(plastic_run / "policy.onnx", tmp_path)  # it lies in the run folder by default
    record_episodes(plastic_run, tmp_path / "episodes.npz")
    (code,) = re.findall(r"```python\n(import numpy.*?\n)\n\nobservation = ", PAGE.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code + PLAY], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "policy.h5"], "path must end in .onnx or .pt2, not 'policy.h5'"),
        (["-o", "no_such_folder/policy.onnx"], "No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(plastic_run, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, export.main, [plastic_run, *arguments])
