"""Commands work in unusual surroundings: the variables of a notebook, and output that is not UTF-8."""

import os
import subprocess
import sys

import pytest

from tests.scripts.small_runs import MAZE, PARAMS

CODE = """
import sys
from pathlib import Path
from plastic_rl.scripts import evaluate, plot, train, watch
folder, *flags = sys.argv[1:]
train.main([*flags, "-f", folder, "-tb", "", "-n", "160", "--seed", "1"])
(run,) = Path(folder).glob("*/*_1")
evaluate.main([str(run), "--episodes", "4"])
watch.main([str(run), "--ansi", "--steps", "2"])
plot.main([str(run), "-o", folder])
"""


@pytest.mark.slow
def test_a_run_from_training_to_plots(tmp_path):
    flags = [*MAZE, *PARAMS, "--core", "gru", "--core-kwargs", "hidden_size:4"]
    environment = {**os.environ, "MPLBACKEND": "module://no_such_backend", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", CODE, str(tmp_path), *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "learning_Maze-v0_size=5_episode_steps=20.png").exists()
    assert "wrote" in done.stdout


def test_whoever_reads_may_stop_reading():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "plastic_rl", "list", "environments"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
