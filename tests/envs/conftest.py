"""Real data, where it is at hand: the environments that want it are tested, too."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("PLASTIC_RL_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")
ARCHIVES = ("images_background.zip", "images_evaluation.zip", "cifar-10-subset-binary.tar.gz")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder that has the real Omniglot and a part of CIFAR-10.

    It is named by PLASTIC_RL_TEST_DATA, or is `../shared/data` beside the repository; without it, tests are skipped.
    """
    if not all((FOLDER / name).exists() for name in ARCHIVES):
        pytest.skip("no real data: PLASTIC_RL_TEST_DATA names no folder with the archives")
    return FOLDER


@pytest.fixture(scope="session")
def real_root(real_data, tmp_path_factory) -> Path:
    """Return a folder to read that data from, in which the readers may keep what they made of it."""
    root = tmp_path_factory.mktemp("real")
    for name in ARCHIVES:
        (root / name).symlink_to(real_data / name)
    return root
