"""Threads; the fused kernels, compiled once and not by each process that comes to need them; soak tests left out."""

import multiprocessing
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; threads that wait by spinning are slow
# What takes seconds to import, once for all processes that are forked from this server.
multiprocessing.set_forkserver_preload(["plastic_rl.agents.checkpoint", "plastic_rl.envs.wrappers", "numba"])

LONG = ("tests/scripts/", "tests/docs/", "tests/test_")


def pytest_addoption(parser):
    parser.addoption("--soak-steps", type=int, default=2_000_000, help="steps of each environment in `pytest -m soak`")


def pytest_sessionstart(session):
    """Compile before the workers of pytest-xdist start."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        from tests.compiled import compile_in_processes

        compile_in_processes()


def pytest_collection_modifyitems(config, items):
    """Begin with the longest tests, so that two workers end together; leave out the soak tests, which take hours."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    if "soak" not in config.option.markexpr:
        left = [item for item in items if item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
