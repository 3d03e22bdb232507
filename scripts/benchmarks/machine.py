"""What this machine can do: its limits, and the memory that a piece of work takes."""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(work: Callable[[], None], device: str = "cpu") -> int | None:
    """Return the bytes that some work adds at its peak, or None where the system does not tell."""
    if device != "cpu":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated() - before
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before counts as free
    try:
        _CLEAR.write_text("5")  # resets the peak
        before = _status("VmRSS")
    except OSError:
        return None
    work()
    return max(0, _status("VmHWM") - before)


def _status(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def fma_rate() -> float:
    """Return multiply-adds per second of a float32 matrix product on torch's threads."""
    matrix = torch.randn(1024, 1024)
    return 1024**3 / _best(lambda: matrix @ matrix)


def memory_bandwidth() -> float:
    """Return bytes per second read and written by copying more than any cache holds."""
    source = np.ones(2**25, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / _best(lambda: np.copyto(target, source))


def cache_bandwidth() -> float:
    """Return bytes per second read and written by copying within one core's second-level cache."""
    source = np.ones(2**16, np.float32)
    target = np.ones_like(source)

    def copy() -> None:
        for _ in range(200):
            np.copyto(target, source)

    return 200 * 2 * source.nbytes / _best(copy)


def _best(work: Callable[[], object], repeats: int = 7) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return min(seconds)
