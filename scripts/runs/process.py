"""A `train` in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PARENT = "PLASTIC_RL_PARENT"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class KilledError(RuntimeError):
    """A run was killed; it did not fail by itself, and may be tried again."""


def train(argv: list[str], log: Path, threads: int = 1) -> None:
    """Run `train` in a process that ends with this one, adding to `log`; `KilledError` or `RuntimeError` as it ends."""
    command = [sys.executable, "-m", "plastic_rl.scripts.train", *argv, "--num-threads", str(threads)]
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), PARENT: str(os.getpid())}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:  # a session of its own: Ctrl-C is not for it, it would end early and look finished
        how: dict[str, Any] = {"env": environment, "start_new_session": True, "stdin": subprocess.DEVNULL}
        code = subprocess.run(command, check=False, stdout=file, stderr=subprocess.STDOUT, **how).returncode
    if code < 0 or code == 128 + signal.SIGTERM:
        raise KilledError(f"killed by signal {abs(code) % 128}")
    if code:
        raise RuntimeError(log.read_text(errors="replace").strip().rpartition("\n")[2])
