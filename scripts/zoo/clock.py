"""Writes how much processor time a training has taken, step by step, beside its learning curve."""

import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

NAME = "cpu.csv"
LEAST = 0.5  # seconds between two rows


class CpuClock(BaseCallback):
    """Adds rows to `cpu.csv` in the run folder; a run that goes on from a checkpoint goes on from its time."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.file = Path(folder) / NAME
        self._began = self._written = 0.0

    def _on_training_start(self) -> None:
        rows = cpu_seconds(self.file.parent)
        rows = rows[rows[:, 0] <= self.model.num_timesteps]
        self._written = rows[-1, 1] if len(rows) else 0.0
        self._began = time.process_time() - self._written
        with suppress(OSError):
            np.savetxt(self.file, rows, "%d,%.2f", header="steps,cpu_seconds", comments="")

    def _on_rollout_start(self) -> None:
        if time.process_time() - self._began >= self._written + LEAST:
            self._on_training_end()

    def _on_training_end(self) -> None:
        self._written = time.process_time() - self._began
        with suppress(OSError), self.file.open("a") as file:  # a full disk does not stop the training
            file.write(f"{self.model.num_timesteps},{self._written:.2f}\n")

    def _on_step(self) -> bool:
        return True


def cpu_seconds(folder: Path) -> np.ndarray:
    """Return a run's steps and CPU seconds, (n, 2); without a half-written last row."""
    file = folder / NAME
    lines = file.read_text().split("\n")[1:-1] if file.exists() else []
    return np.array([line.split(",") for line in lines], float).reshape(-1, 2)
