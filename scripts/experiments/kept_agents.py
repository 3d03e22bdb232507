"""Trained agents small enough to keep: of a run folder, what it takes to act, and nothing else."""

import shutil
import zipfile
from pathlib import Path

from plastic_rl.scripts.runs.file import NAME, STATISTICS
from plastic_rl.scripts.runs.folder import Run

_MOST_BYTES = 2_000_000
_PARAMETERS = "policy.pth"


def keep_agent(run: Run, folder: Path) -> bool:
    """Copy a trained run's policy and settings into a run folder of their own, unless they are large.

    Args:
        run: whose model is there.
        folder: what to write; what was there before is replaced.

    Returns:
        Whether it was small enough.
    """
    with zipfile.ZipFile(run.model_file) as file:
        parameters = file.read(_PARAMETERS)
    if len(parameters) > _MOST_BYTES:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    settings = folder / run.settings.name
    settings.mkdir(parents=True)
    for name in (NAME, STATISTICS):
        if (run.settings / name).exists():
            shutil.copy(run.settings / name, settings / name)
    with zipfile.ZipFile(folder / run.model_file.name, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(_PARAMETERS, parameters)
    return True
