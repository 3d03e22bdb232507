"""Scans on two backends, compared in outputs, final state and every gradient."""

import torch

from plastic_rl.ops import plastic_scan


def results(layer, tensors, backend, *, of_state=True, seed=0):
    """Return outputs, final state and gradients of a random function of both, by name."""
    activity, state = plastic_scan(**layer, backend=backend)
    generator = torch.Generator().manual_seed(seed)
    outputs = {"activity": activity, **{f"final {i}": s for i, s in enumerate(state)}}
    loss = sum(
        (value * torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)).sum()
        for name, value in outputs.items()
        if of_state or name == "activity"
    )
    gradients = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    named = zip(tensors, gradients, strict=True)
    return outputs | {f"gradient of {n}": torch.zeros_like(tensors[n]) if g is None else g for n, g in named}


def assert_close(found, expected, tolerance):
    for name, value in expected.items():
        size = value.detach().double().norm().item()
        error = (found[name].detach().double() - value.detach().double()).norm().item()
        assert error <= tolerance * max(size, 1e-3), f"{name}: {error} of {size}"
