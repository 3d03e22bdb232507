"""A rule and a core of one's own, as the README shows them, from the command line."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_core_trains_and_is_evaluated(tmp_path):
    (code,) = re.findall(r"```python\n(from plastic_rl\.cores.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "my_module.py").write_text(code)
    small = ["-n", "400", "-params", "n_envs:2", "n_steps:100", "batch_size:100", "--verbose", "0"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def run(command, *arguments):
        return subprocess.run(
            [sys.executable, "-m", f"plastic_rl.scripts.{command}", *arguments],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip

    core = ["--env", "plastic_rl/ColourBandit-v0", "--core", "my_module:MyCore", "--core-kwargs", "hidden_size:8"]
    trained = run("train", *core, *small)
    assert trained.returncode == 0, trained.stderr
    assert "ColourBandit-v0" in trained.stdout
    evaluated = run("evaluate", "runs/plastic_ppo/plastic_rl-ColourBandit-v0_1", "--episodes", "4")
    assert evaluated.returncode == 0, evaluated.stderr
