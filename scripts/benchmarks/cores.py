"""Every core by its name: forward and backward of a sequence, and one step of all environments, beside the LSTM's.

A core has as many units as `--size` says where it takes `hidden_size`, and else its own size. Everything runs
interleaved in one process, medians over repeats, so that the ratios survive a noisy machine.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from plastic_rl.cores import RecurrentCore, core_arguments, make_core, registered_cores
from plastic_rl.scripts.benchmarks.ops import Measured, Size, add_measuring, begin, measure, parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--cores", nargs="+", default=None, metavar="CORE", help="names or module:Class; default: all")
    parser.add_argument("--size", type=parse_size, default=(64, 64, 100), metavar="B,N,T", help="copies, units, steps")
    add_measuring(parser)


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print a table."""
    begin(arguments)
    sequences, steps = {}, {}
    for name in dict.fromkeys(["lstm", *(arguments.cores or registered_cores())]):
        try:
            core = _core(name, arguments.size[1]).to(arguments.device)
        except (TypeError, ValueError) as error:
            print(f"{name}: left out, {error}")
            continue
        sequences[name], steps[name] = _lanes(core, arguments.size)
    print(_table(arguments.size, measure(sequences, arguments), measure(steps, arguments)))


def _core(name: str, n: int) -> RecurrentCore:
    size: dict[str, Any] = {"hidden_size": n} if "hidden_size" in core_arguments(name) else {}
    return make_core(name, n, **size)


def _lanes(core: RecurrentCore, size: Size) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return functions that run a sequence and its gradient, and one step."""
    batch, n, steps = size
    state = core.initial_state(batch)
    inputs = torch.randn(steps, batch, n, device=state[0].device, requires_grad=True)
    starts = torch.zeros(steps, batch, dtype=torch.bool, device=state[0].device)

    def sequence() -> None:
        core(inputs, core.initial_state(batch), starts)[0].pow(2).sum().backward()

    def step() -> None:
        nonlocal state
        state = core.step(inputs[0].detach(), state, starts[0])[1]

    return sequence, step


def _table(size: Size, sequences: dict[str, Measured], steps: dict[str, Measured]) -> str:
    batch, n, length = size
    lines = [
        f"B={batch} N={n} T={length}",
        f"{'':22}{'training, ms':>14}{'x LSTM':>9}{'MB':>9}{'step, us':>12}{'x LSTM':>9}",
    ]
    for name, lane in sequences.items():
        memory = "" if lane.memory is None else f"{lane.memory / 1e6:.0f}"
        ratio, step_ratio = (lanes[name].median / lanes["lstm"].median for lanes in (sequences, steps))
        step = steps[name].median * 1e6
        lines.append(f"{name:22}{lane.median * 1e3:14.2f}{ratio:9.2f}{memory:>9}{step:12.1f}{step_ratio:9.2f}")
    return "\n".join(lines)
