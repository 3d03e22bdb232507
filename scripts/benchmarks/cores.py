"""Every core by its name: forward and backward of a sequence, and one step of all environments, beside the LSTM's.

A core has as many units as `--size` says where it takes `hidden_size`, and else its own size. Everything runs
interleaved in one process, medians over repeats, so that the ratios survive a noisy machine.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from plastic_rl.cores import core_arguments, make_core, registered_cores
from plastic_rl.scripts.benchmarks.machine import Size, add_measuring, begin, measure, parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--cores", nargs="+", default=None, metavar="CORE", help="names or module:Class; default: all")
    parser.add_argument("--size", type=parse_size, default=(64, 64, 100), metavar="B,N,T", help="copies, units, steps")
    add_measuring(parser)


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print a table."""
    begin(arguments)
    lanes = {}
    for name in dict.fromkeys(["lstm", *(arguments.cores or registered_cores())]):
        try:
            lanes[name] = _lanes(name, arguments.size, arguments.device)
        except (TypeError, ValueError) as error:
            print(f"{name}: left out, {error}")
    table, steps = (measure({name: pair[i] for name, pair in lanes.items()}, arguments) for i in (0, 1))
    table["x LSTM"] = table["ms"] / table["ms"]["lstm"]
    table["step, us"] = 1e3 * steps["ms"]
    table["step x LSTM"] = steps["ms"] / steps["ms"]["lstm"]
    print("B={} N={} T={}".format(*arguments.size), table.to_string(float_format="%.2f"), sep="\n")


def _lanes(name: str, size: Size, device: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return functions that run a sequence of a core and its gradient, and one step."""
    batch, n, steps = size
    units: dict[str, Any] = {"hidden_size": n} if "hidden_size" in core_arguments(name) else {}
    core = make_core(name, n, **units).to(device)
    state = core.initial_state(batch)
    inputs = torch.randn(steps, batch, n, device=device, requires_grad=True)
    starts = torch.zeros(steps, batch, dtype=torch.bool, device=device)

    def sequence() -> None:
        core(inputs, core.initial_state(batch), starts)[0].pow(2).sum().backward()

    def step() -> None:
        nonlocal state
        state = core.step(inputs[0].detach(), state, starts[0])[1]

    return sequence, step
