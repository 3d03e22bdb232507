"""Compiles what the tests run of the fused kernels, for one dtype: `python -m tests.compiled float32`.

The machine code lies on disk, where every process finds it.
"""

import subprocess
import sys
from pathlib import Path

CORES = ("plastic", "neuromodulated", "retroactive")
RULES = ("decay", "neuromodulated", "retroactive")  # Oja's runs the code of decay
DTYPES = ("float32", "float64")


def compile_in_processes() -> None:
    """Compile for both dtypes at once, each in a process."""
    command, root = [sys.executable, "-m", "tests.compiled"], Path(__file__).parents[1]
    started = [subprocess.Popen([*command, dtype], cwd=root) for dtype in DTYPES]
    for process in started:
        process.wait()


def main(name: str) -> None:
    """Run each kind of layer forward, backward and by one step."""
    import torch

    from plastic_rl.cores import make_core

    kinds = [(core, {}) for core in CORES] + [("plastic_memory", {"rule": rule}) for rule in RULES]
    for core_name, arguments in kinds:
        core = make_core(core_name, 3, hidden_size=4, backend="numba", **arguments).to(getattr(torch, name))
        inputs = torch.randn(5, 2, 3, dtype=getattr(torch, name))
        outputs, state = core(inputs, core.initial_state(2), torch.zeros(5, 2, dtype=torch.bool))
        outputs.sum().backward()
        core.step(inputs[0], tuple(s.detach() for s in state), torch.zeros(2, dtype=torch.bool))


if __name__ == "__main__":
    main(sys.argv[1])
