"""Threads: these networks are too small to share out, and threads that wait for one another by spinning are slow."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported


def pytest_addoption(parser):
    parser.addoption("--soak-steps", type=int, default=2_000_000, help="steps of each environment in `pytest -m soak`")


def pytest_collection_modifyitems(config, items):
    """Leave the soak tests out, which take hours, unless they are asked for."""
    if "soak" not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
