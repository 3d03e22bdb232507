"""Compiles what the fast tests run of the fused kernels, each once. The machine code lies on disk for every process."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context

MEMORIES = [("plastic_memory", {"rule": rule}) for rule in ("neuromodulated", "decay", "retroactive")]
LAYERS = [("plastic", {}), ("neuromodulated", {}), ("retroactive", {})]
# Two shares that take equally long. What is inlined into the kernels of a dtype is compiled once in a process. Of the
# memory in float64 one rule is enough for the fast tests; Oja's runs the code of decay.
SHARES = [
    [("float32", *layer) for layer in [*LAYERS, *MEMORIES[:2]]],
    [*(("float64", *layer) for layer in [*LAYERS, MEMORIES[0]]), ("float32", *MEMORIES[2])],
]


def compile_in_processes() -> None:
    """Compile all in two processes."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for share in SHARES:
            pool.submit(compile_share, share)


def compile_share(share: list[tuple[str, str, dict[str, str]]]) -> None:
    """Compile one after the other; what cannot be compiled fails in its own test."""
    for kind in share:
        with suppress(Exception):
            compile_kind(*kind)


def compile_kind(dtype: str, core_name: str, arguments: dict[str, str]) -> None:
    """Run a layer forward, backward and by one step."""
    import torch

    from plastic_rl.cores import make_core

    core = make_core(core_name, 3, hidden_size=4, backend="numba", **arguments).to(getattr(torch, dtype))
    inputs = torch.randn(5, 2, 3, dtype=getattr(torch, dtype))
    outputs, state = core(inputs, core.initial_state(2), torch.zeros(5, 2, dtype=torch.bool))
    outputs.sum().backward()
    core.step(inputs[0], tuple(s.detach() for s in state), torch.zeros(2, dtype=torch.bool))
