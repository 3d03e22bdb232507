"""Forward and backward of plastic_scan beside its reference and torch's recurrent layers of the same width.

Everything runs interleaved in one process, medians over repeats, so that the ratios survive a noisy machine. Peak
memory is what one run adds to the process (Linux only).
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np
import torch

from plastic_rl.ops import RULES, plastic_scan
from plastic_rl.scripts.benchmarks.machine import cache_bandwidth, fma_rate, memory_bandwidth, peak_memory

Size = tuple[int, int, int]
SIZES: tuple[Size, ...] = ((32, 64, 100), (32, 100, 200), (32, 200, 250), (2, 1000, 100), (16, 64, 16))
GROWTH = {"T": ((32, 200, 60), (32, 200, 125), (32, 200, 250), (32, 200, 500)),
          "B": ((8, 100, 100), (16, 100, 100), (32, 100, 100), (64, 100, 100)),
          "N": ((16, 64, 50), (16, 128, 50), (16, 256, 50), (16, 512, 50))}  # fmt: skip
LAYERS = {"RNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}
# For each trace element and step of the decay rule: multiply-adds of the forward and backward sweeps and of the
# weight's gradient; and bytes that the sweeps read and write (trace, adjoint and alpha's gradient twice, weight and
# alpha once, in the forward sweep for two samples at a time).
FMA_PER_ELEMENT, BYTES_PER_ELEMENT = 4 + 11 + 1, 12 + 32 + 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--rules", nargs="+", choices=RULES, default=["decay", "oja"], help="rules to run")
    parser.add_argument("--backends", nargs="+", default=None, help="default: those that can run here")
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=SIZES, metavar="B,N,T")
    add_measuring(parser)
    parser.add_argument("--skip-growth", action="store_true", help="leave out the growth with T, B and N")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print tables."""
    begin(arguments)
    arguments.backends = backends(arguments)
    results = {size: measure(lanes_of(size, arguments), arguments) for size in arguments.sizes}
    for size, lanes in results.items():
        print("\n" + table(size, lanes))
    growth = {} if arguments.skip_growth else measure_growth(arguments)
    for name, exponents in growth.items():
        print(f"\ngrowth of {name}: " + ", ".join(f"{letter}^{value:.2f}" for letter, value in exponents.items()))
    if arguments.device == "cpu":
        print("\n" + limits(results, arguments.threads))


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how, and on what, everything is measured."""
    parser.add_argument("--repeats", type=int, default=7, help="measurements of each, of which the median counts")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds after which one is not repeated")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--device", default="cpu")


def begin(arguments: argparse.Namespace) -> None:
    """Set what `add_measuring` asked for, and print it."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {arguments.device}, float32")


def parse_size(text: str) -> Size:
    """Return the three numbers of `B,N,T`: environments, units and steps."""
    batch, neurons, steps = map(int, text.split(","))
    return batch, neurons, steps


def lanes_of(size: Size, arguments: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Return one forward and backward of everything to be measured, by name."""
    lanes: dict[str, Callable[[], None]] = {}
    for rule in arguments.rules:
        for backend in [*arguments.backends, "reference"]:
            lanes[f"{rule} {backend}"] = plastic_lane(size, rule, backend, arguments.device)
    for name, layer in LAYERS.items():
        lanes[name] = torch_lane(size, layer, arguments.device)
    return lanes


def backends(arguments: argparse.Namespace) -> list[str]:
    """Return the backends to measure beside the reference: those asked for, or those that can run."""
    if arguments.backends is not None:
        return [backend for backend in arguments.backends if backend != "reference"]
    found = []
    for backend in ("numba", "triton", "recompute"):
        try:
            plastic_lane((1, 2, 1), "decay", backend, arguments.device)()
        except ValueError as error:
            print(f"left out: {error}")
        else:
            found.append(backend)
    return found


def plastic_lane(size: Size, rule_name: str, backend: str, device: str) -> Callable[[], None]:
    """Return a function that runs a plastic layer and its gradient once."""
    batch, n, steps = size
    rule = RULES[rule_name]

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return (torch.randn(shape, device=device) * scale).requires_grad_()

    drive, weight, alpha = normal(steps, batch, n), normal(n, n, scale=n**-0.5), normal(n, n, scale=0.01)
    eta = torch.tensor(0.03, device=device, requires_grad=True) if rule.uses_eta else None
    state = (torch.zeros(batch, n, device=device), *(torch.zeros(batch, n, n, device=device) for _ in rule.traces))
    starts = torch.zeros(steps, batch, dtype=torch.bool, device=device)
    parameters = {}
    if rule.parameters:
        parameters = {"modulation_weight": normal(n, scale=n**-0.5), "modulation_bias": normal()}

    def lane() -> None:
        activity, _ = plastic_scan(drive, weight, alpha, eta, state, starts, rule, parameters, backend)
        activity.pow(2).sum().backward()

    return lane


def torch_lane(size: Size, layer: Callable[[int, int], torch.nn.Module], device: str) -> Callable[[], None]:
    """Return a function that runs one of torch's recurrent layers and its gradient once."""
    batch, n, steps = size
    module = layer(n, n).to(device)
    inputs = torch.randn(steps, batch, n, device=device, requires_grad=True)

    def lane() -> None:
        module(inputs)[0].pow(2).sum().backward()

    return lane


class Measured:
    """What one lane took: seconds, one for each repeat, and bytes of peak memory where they can be had."""

    def __init__(self, memory: int | None) -> None:
        self.memory = memory
        self.seconds: list[float] = []

    @property
    def median(self) -> float:
        """The median of the seconds."""
        return median(self.seconds)


def measure(lanes: dict[str, Callable[[], None]], arguments: argparse.Namespace) -> dict[str, Measured]:
    """Run each lane twice for its memory, the first time to compile, and then all in turn for their time."""
    results = {}
    for name, lane in lanes.items():
        lane()
        results[name] = Measured(peak_memory(lane, arguments.device))
    for _ in range(arguments.repeats):
        for name, lane in lanes.items():
            if sum(results[name].seconds) < arguments.patience:
                results[name].seconds.append(_seconds(lane, arguments.device))
    return results


def _seconds(lane: Callable[[], None], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = perf_counter()
    lane()
    if device != "cpu":
        torch.cuda.synchronize()
    return perf_counter() - start


def table(size: Size, lanes: dict[str, Measured]) -> str:
    """Return a table of one size: milliseconds, ratios, memory."""
    batch, n, steps = size
    lines = [
        f"B={batch} N={n} T={steps}",
        f"{'':22}{'ms':>10}{'x LSTM':>9}{'reference /':>12}{'MB':>9}{'ref MB /':>10}",
    ]
    for name, lane in lanes.items():
        reference = lanes.get(f"{name.split()[0]} reference")
        faster = f"{reference.median / lane.median:.1f}" if reference else ""
        memory = "" if lane.memory is None else f"{lane.memory / 1e6:.0f}"
        smaller = (
            f"{reference.memory / max(lane.memory, 1):.1f}" if reference and reference.memory and lane.memory else ""
        )
        ratio = lane.median / lanes["LSTM"].median
        lines.append(f"{name:22}{lane.median * 1e3:10.2f}{ratio:9.2f}{faster:>12}{memory:>9}{smaller:>10}")
    return "\n".join(lines)


def measure_growth(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return fitted exponents of time in T, B and N, and of memory in T, for the fastest backend and the LSTM."""
    backend, device = arguments.backends[0], arguments.device
    exponents: dict[str, dict[str, float]] = {}
    for letter, sizes in GROWTH.items():
        measured = []
        for size in sizes:
            lanes = {f"{rule} {backend}": plastic_lane(size, rule, backend, device) for rule in arguments.rules}
            measured.append(measure(lanes | {"LSTM": torch_lane(size, torch.nn.LSTM, device)}, arguments))
        values = [size["BNT".index(letter)] for size in sizes]
        for name in measured[0]:
            times = [lanes[name].median for lanes in measured]
            exponents.setdefault(f"time, {name}", {})[letter] = exponent(values, times)
            memory = [lanes[name].memory for lanes in measured]
            if letter == "T" and all(memory):
                exponents.setdefault(f"memory, {name}", {})[letter] = exponent(values, [float(m or 0) for m in memory])
    return exponents


def exponent(values: list[int], costs: list[float]) -> float:
    """Return the slope of a straight line through the logarithms: cost ~ value ** slope."""
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def limits(results: dict[Size, dict[str, Measured]], n_threads: int) -> str:
    """Return the machine's measured limits and the share of them that the fused kernels reach."""
    rate, memory, cache = fma_rate(), memory_bandwidth(), cache_bandwidth()
    lines = [
        f"machine: {rate / 1e9:.0f} G multiply-adds/s (matrix product), {memory / 1e9:.0f} GB/s from memory, "
        f"{cache / 1e9:.0f} GB/s from a core's cache; the shares are of {n_threads} threads"
    ]
    for (batch, n, steps), lanes in results.items():
        for name, lane in lanes.items():
            if name == "decay numba":
                work = batch * n * n * steps / lane.median
                lines.append(
                    f"{name} B={batch} N={n} T={steps}: {1e9 / work:.3f} ns for each trace element and step, "
                    f"{work * FMA_PER_ELEMENT / rate:.0%} of the multiply-adds, "
                    f"{work * BYTES_PER_ELEMENT / (cache * n_threads):.0%} of the cache bandwidth"
                )
    return "\n".join(lines)
