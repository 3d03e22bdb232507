"""How things are measured on this machine: what runs in turn, its median time, and the memory that it takes."""

import argparse
import ctypes
import gc
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

Size = tuple[int, int, int]
Lanes = Mapping[str, Callable[[], object]]
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Measured:
    """What one lane took: seconds, one for each repeat, and bytes of peak memory where they can be had."""

    def __init__(self, memory: int | None) -> None:
        self.memory = memory
        self.seconds: list[float] = []

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return median(self.seconds)

    @property
    def megabytes(self) -> str:
        """The peak memory in words."""
        return "" if self.memory is None else f"{self.memory / 1e6:.0f}"


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


def measure(lanes: Lanes, arguments: argparse.Namespace) -> dict[str, Measured]:
    """Run each lane twice for its memory, the first time to compile, and then all in turn for their time."""
    results = {}
    for name, lane in lanes.items():
        lane()
        results[name] = Measured(peak_memory(lane, arguments.device))
    for _ in range(arguments.repeats):
        for name, lane in lanes.items():
            if sum(results[name].seconds) < arguments.patience:
                start = now(arguments.device)
                lane()
                results[name].seconds.append(now(arguments.device) - start)
    return results


def now(device: str) -> float:
    """Return the time in seconds, after all that runs on a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()
    return perf_counter()


def peak_memory(work: Callable[[], object], device: str = "cpu") -> int | None:
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
