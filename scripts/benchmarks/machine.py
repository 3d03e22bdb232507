"""How things are measured on this machine: what runs in turn, its median time, and the memory that it takes."""

import argparse
import ctypes
import gc
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd
import torch

Size = tuple[int, int, int]
Lanes = Mapping[Any, Callable[[], object]]  # by name


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how, and on what, everything is measured."""
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each, of which the median counts")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds after which one is not repeated")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def begin(arguments: argparse.Namespace) -> None:
    """Set what `add_measuring` asked for, and print it."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.device}, float32")


def parse_size(text: str) -> Size:
    """Return the three numbers of `B,N,T`: environments, units and steps."""
    batch, neurons, steps = map(int, text.split(","))
    return batch, neurons, steps


def measure(lanes: Lanes, arguments: argparse.Namespace) -> pd.DataFrame:
    """Run each lane twice for its memory, the first time to compile, and then all in turn for their time.

    Returns a row for each: `ms`, the median, and `MB`, the memory at the peak, NaN where the system does not tell.
    """
    memory, seconds = {}, {name: [] for name in lanes}  # type: dict[Any, float], dict[Any, list[float]]
    for name, lane in lanes.items():
        lane()
        memory[name] = peak_memory(lane, arguments.device) / 1e6
    for _ in range(arguments.repeats):
        for name, lane in lanes.items():
            if sum(seconds[name]) < arguments.patience:
                start = now(arguments.device)
                lane()
                seconds[name].append(now(arguments.device) - start)
    return pd.DataFrame({"ms": {name: 1e3 * pd.Series(of).median() for name, of in seconds.items()}, "MB": memory})


def now(device: str) -> float:
    """Return the time in seconds, after all that runs on a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()
    return perf_counter()


def peak_memory(work: Callable[[], object], device: str = "cpu") -> float:
    """Return the bytes that some work adds at its peak, or NaN where the system does not tell."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before counts as free
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = _kilobytes("VmRSS")
    except OSError:
        return float("nan")
    work()
    return 1024 * max(0, _kilobytes("VmHWM") - before)


def _kilobytes(key: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()[0])
