"""Forward and backward of plastic_scan beside its reference and torch's recurrent layers of the same width.

Everything runs interleaved in one process, medians over repeats, so that the ratios survive a noisy machine. Peak
memory is what one run adds to the process (Linux only).
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch

from plastic_rl.ops import RULES, plastic_scan
from plastic_rl.scripts.benchmarks.machine import Measured, Size, add_measuring, begin, measure, parse_size

SIZES: tuple[Size, ...] = ((32, 64, 100), (32, 100, 200), (32, 200, 250), (2, 1000, 100), (16, 64, 16))
GROWTH = {"T": ((32, 200, 60), (32, 200, 125), (32, 200, 250), (32, 200, 500)),
          "B": ((8, 100, 100), (16, 100, 100), (32, 100, 100), (64, 100, 100)),
          "N": ((16, 64, 50), (16, 128, 50), (16, 256, 50), (16, 512, 50))}  # fmt: skip
LAYERS = {"RNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


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
    found, device = backends(arguments), arguments.device
    lanes = [(rule, backend) for rule in arguments.rules for backend in (*found, "reference")]
    for size in arguments.sizes:
        plastic = {f"{rule} {backend}": plastic_lane(size, rule, backend, device) for rule, backend in lanes}
        layers = {name: torch_lane(size, layer, device) for name, layer in LAYERS.items()}
        print("\n" + table(size, measure(plastic | layers, arguments)))
    for letter, sizes in {} if arguments.skip_growth else GROWTH.items():
        measured = []
        for size in sizes:
            plastic = {f"{rule} {found[0]}": plastic_lane(size, rule, found[0], device) for rule in arguments.rules}
            measured.append(measure(plastic | {"LSTM": torch_lane(size, torch.nn.LSTM, device)}, arguments))
        values = [size["BNT".index(letter)] for size in sizes]
        for name in measured[0]:
            time = exponent(values, [lanes[name].median for lanes in measured])
            memory = [lanes[name].memory or 0 for lanes in measured]
            shown = f", memory {letter}^{exponent(values, memory):.2f}" if letter == "T" and all(memory) else ""
            print(f"{name}: time {letter}^{time:.2f}{shown}")


def backends(arguments: argparse.Namespace) -> list[str]:
    """Return the backends to measure beside the reference: those asked for, or those that can run."""
    if arguments.backends is not None:
        return [backend for backend in arguments.backends if backend != "reference"]
    found = []
    for backend in ("numba", "triton", "recompute"):
        try:
            plastic_lane((1, 2, 1), "decay", backend, arguments.device)()
            found.append(backend)
        except ValueError as error:
            print(f"left out: {error}")
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
    return lambda: module(inputs)[0].pow(2).sum().backward()


def table(size: Size, lanes: dict[str, Measured]) -> str:
    """Return a table of one size: milliseconds, ratios, memory."""
    batch, n, steps = size
    heading = f"{'':22}{'ms':>10}{'x LSTM':>9}{'reference /':>12}{'MB':>9}{'ref MB /':>10}"
    lines = [f"B={batch} N={n} T={steps}", heading]
    for name, lane in lanes.items():
        reference = lanes.get(f"{name.split()[0]} reference", lane)
        faster = f"{reference.median / lane.median:.1f}"
        smaller = f"{reference.memory / max(lane.memory, 1):.1f}" if reference.memory and lane.memory else ""
        ratio = lane.median / lanes["LSTM"].median
        lines.append(f"{name:22}{lane.median * 1e3:10.2f}{ratio:9.2f}{faster:>12}{lane.megabytes:>9}{smaller:>10}")
    return "\n".join(lines)


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of a straight line through the logarithms: cost ~ value ** slope."""
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])
