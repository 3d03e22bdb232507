"""The export command, and what docs/export.md shows."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plastic_rl.scripts import export, train
from plastic_rl.scripts.runs.folder import open_run

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
SMALL = ["--env-kwargs", "size:5", "episode_steps:20", "-params", "n_envs:4", "n_steps:20", "batch_size:40"]

PLAY = """
import sys
lives = np.load("lives.npz")
for observation, start, expected in zip(lives["observations"], lives["starts"], lives["actions"]):
    action, state = act(observation, start, state)
    assert action == expected
assert not {"torch", "plastic_rl", "stable_baselines3"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    normalised = "normalize:{'norm_obs': True, 'norm_reward': False}"
    train.main([*SMALL, normalised, "-f", str(folder), "-tb", "", "-n", "800", "--verbose", "0"])
    return folder / "plastic_ppo" / "plastic_rl-Maze-v0_1"


def record_lives(run, path):
    """Play two lives of the run; keep the observations as the environment gives them, and the actions."""
    opened = open_run(str(run))
    model, env = opened.load("cpu"), opened.make_env(1, seed=3)
    observations, state, starts = env.reset(), None, np.ones(1, bool)
    rows = []
    for _ in range(40):
        actions, state = model.predict(observations, state, starts, deterministic=True)
        rows.append((env.get_original_obs()[0], starts[0], actions[0]))
        observations, _, starts, _ = env.step(actions)
    np.savez(path, **dict(zip(("observations", "starts", "actions"), map(np.array, zip(*rows)))))  # noqa: B905


def test_what_the_page_shows_plays_whole_lives_as_predict_does(run, tmp_path, capsys):
    export.main([str(run), "-o", str(tmp_path / "policy.onnx")])
    assert "wrote" in capsys.readouterr().out
    record_lives(run, tmp_path / "lives.npz")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code + PLAY], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_lies_in_the_run_folder_by_default(run):
    export.main([str(run)])
    assert (run / "policy.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "policy.h5"], "path must end in .onnx or .pt2, not 'policy.h5'"),
        (["-o", "no_such_folder/policy.onnx"], "No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line(run, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        export.main([str(run), *arguments])
    error = capsys.readouterr().err.strip()
    assert left.value.code == 2
    assert message in error
    assert "\n" not in error
