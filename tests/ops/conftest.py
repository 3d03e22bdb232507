"""Layers and sequences to run scans on."""

import pytest
import torch

from plastic_rl.ops import get_rule


def _make_layer(rule, T, B, N, *, seed=0, dtype=torch.float64, alpha="per_connection", per_neuron=True, fan_out=True,
                starts=0.2, rate=1.0, layer_norm=False, requires_grad=True):  # fmt: skip
    """Return keyword arguments of `plastic_scan`, random and of a size at which gradients stay tame."""
    generator = torch.Generator().manual_seed(seed)
    rule = get_rule(rule)

    def normal(*shape, scale, mean=0):
        tensor = mean + torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        return tensor.to(dtype).requires_grad_(requires_grad)

    def make_alpha():
        return {"per_connection": normal(N, N, scale=0.5), "shared": normal(scale=0.3), "none": None}[alpha]

    eta = rate * torch.rand((N,) if per_neuron else (), generator=generator, dtype=torch.float64)
    names = [*rule.parameters, *rule.optional_parameters] if fan_out else rule.parameters
    shapes = {"modulation_weight": (N,), "modulation_bias": (), "fan_out": (N,)}
    traces = rule.traces if alpha != "none" else ()
    return {
        "drive": normal(T, B, N, scale=1),
        "weight": normal(N, N, scale=N**-0.5),
        "alpha": make_alpha(),
        "eta": eta.to(dtype).requires_grad_(requires_grad) if rule.uses_eta else None,
        "state": (normal(B, N, scale=0.5), *(normal(B, N, N, scale=0.6) for _ in traces)),
        "episode_starts": torch.rand(T, B, generator=generator) < starts,
        "rule": rule,
        "parameters": {name: normal(*shapes[name], scale=0.7) for name in names} if traces else {},
        "layer_norm": (normal(N, mean=1, scale=0.5), normal(N, scale=0.5)) if layer_norm else None,
    }


def _tensors(layer):
    named = {name: layer[name] for name in ("drive", "weight", "alpha", "eta") if layer[name] is not None}
    named |= {f"state {i}": tensor for i, tensor in enumerate(layer["state"])}
    named |= zip(("gain", "bias"), layer["layer_norm"] or (), strict=False)
    return named | layer["parameters"]


@pytest.fixture(scope="session")
def make_layer():
    return _make_layer


@pytest.fixture(scope="session")
def tensors_of():
    return _tensors
