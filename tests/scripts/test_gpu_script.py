"""The script of benchmarks for a GPU runs to its end on a machine without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmarks" / "gpu.sh"


@pytest.mark.slow
def test_runs_to_its_end_without_a_gpu(tmp_path):
    environment = {**os.environ, "QUICK": "1", "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([SCRIPT, tmp_path], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in (tmp_path / "summary.md").read_text().splitlines()[4:]]
    results = {row[0].strip("| "): row[1] for row in rows}
    assert len(results) == 12
    assert {name for name, result in results.items() if result == "done"} == {"training-cpu", "ops-cpu"}, results
    assert sum(result == "skipped: no GPU" for result in results.values()) == 10
