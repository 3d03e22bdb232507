"""Forward and backward of plastic_scan beside its reference and torch's recurrent layers of the same width.

Everything runs interleaved in one process, medians over repeats, so that the ratios survive a noisy machine. Peak
memory is what one run adds to the process (Linux only).
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch

from plastic_rl.ops import RULES, plastic_scan
from plastic_rl.scripts.benchmarks.machine import Size, add_measuring, begin, measure, parse_size

SIZES: tuple[Size, ...] = ((32, 64, 100), (32, 100, 200), (32, 200, 250), (2, 1000, 100), (16, 64, 16))
GROWTH: tuple[Size, ...] = ((32, 200, 60), (32, 200, 125), (32, 200, 250), (32, 200, 500))
LAYERS = {"RNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--rules", nargs="+", choices=RULES, default=["decay", "oja"], help="rules to run")
    parser.add_argument("--backends", nargs="+", default=None, help="default: the fused one, and recompute")
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=SIZES, metavar="B,N,T")
    add_measuring(parser)
    parser.add_argument("--skip-growth", action="store_true", help="leave out the growth with T")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print tables."""
    begin(arguments)
    device = arguments.device
    found = arguments.backends or ["numba" if device == "cpu" else "triton", "recompute"]
    lanes = [(rule, backend) for rule in arguments.rules for backend in (*found, "reference")]
    for size in arguments.sizes:
        plastic = {f"{rule} {backend}": plastic_lane(size, rule, backend, device) for rule, backend in lanes}
        layers = {name: torch_lane(size, layer, device) for name, layer in LAYERS.items()}
        table = measure(plastic | layers, arguments)
        reference = table.loc[[name.split()[0] + " reference" * (name in plastic) for name in table.index]]
        table["x LSTM"] = table["ms"] / table["ms"]["LSTM"]
        table["reference /"] = reference["ms"].to_numpy() / table["ms"]
        table["ref MB /"] = reference["MB"].to_numpy() / table["MB"].clip(lower=1e-6)
        print("\nB={} N={} T={}".format(*size), table.to_string(float_format="%.2f"), sep="\n")
    if arguments.skip_growth:
        return
    grown = []
    for size in GROWTH:
        plastic = {f"{rule} {found[0]}": plastic_lane(size, rule, found[0], device) for rule in arguments.rules}
        grown.append(measure(plastic | {"LSTM": torch_lane(size, torch.nn.LSTM, device)}, arguments))
    for name in grown[0].index:
        time, memory = (exponent([size[2] for size in GROWTH], [t[key][name] for t in grown]) for key in ("ms", "MB"))
        print(f"{name}: time T^{time:.2f}, memory T^{memory:.2f}")


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


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of a straight line through the logarithms: cost ~ value ** slope."""
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])
