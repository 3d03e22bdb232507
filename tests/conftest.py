"""Threads: these networks are too small to share out, and threads that wait for one another by spinning are slow."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
