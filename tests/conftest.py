"""Threads, and the fused kernels, which are compiled once and not by each process that comes to need them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; threads that wait by spinning are slow


def pytest_sessionstart(session):
    """Compile before the workers of pytest-xdist start, in as many processes as there are dtypes."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        from tests.compiled import compile_in_processes

        compile_in_processes()
