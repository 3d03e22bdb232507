"""Scans whose kernels are replayed over arguments that stay in place are the scans they would be."""

import pytest
import torch
from compared_scans import assert_close, results
from test_query import make_memory
from test_query import tensors_of as tensors_of_memory

from plastic_rl.ops import RULES, autograd, cpu
from plastic_rl.ops.cuda import backend as triton_backend
from plastic_rl.ops.cuda import graphs

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))]


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    """Replay the kernels of a device: on the CPU, where nothing is captured, those for the CPU."""
    monkeypatch.setenv(graphs.ENVIRONMENT_VARIABLE, "1")
    monkeypatch.setattr(graphs, "DEVICES", ("cpu", "cuda"))
    backend = triton_backend if request.param == "cuda" else cpu.backend
    for name in ("RECURRENT", "MEMORY"):
        kernels = autograd.Kernels(*map(graphs.graphed, getattr(backend, name)))
        monkeypatch.setattr(backend, name, kernels)
    return request.param


@pytest.fixture
def replays(monkeypatch):
    """Count what is replayed."""
    made = []
    before = graphs.Replayed.__call__
    monkeypatch.setattr(graphs.Replayed, "__call__", lambda self, x: (made.append(self), before(self, x))[1])
    return made


def moved(layer, device):
    def move(value):
        if isinstance(value, torch.Tensor):
            value = value.detach().to(device)
            return value.requires_grad_() if value.is_floating_point() else value
        if isinstance(value, tuple):
            return tuple(map(move, value))
        return {k: move(v) for k, v in value.items()} if isinstance(value, dict) else value

    return move(layer)


@pytest.mark.parametrize("rule", RULES)
def test_a_recurrent_layer(make_layer, tensors_of, device, replays, rule):
    for seed in range(5):
        layer = moved(make_layer(rule, 6, 2, 5, seed=seed, layer_norm=True, dtype=torch.float32), device)
        found = results(layer, tensors_of(layer), "triton" if device == "cuda" else "numba", seed=seed)
        assert_close(found, results(layer, tensors_of(layer), "reference", seed=seed), 1e-4)
    assert len(replays) == 2 * (5 - graphs.PLAIN_CALLS)
    assert len(set(replays)) == 2  # forward and backward


@pytest.mark.parametrize("rule", RULES)
def test_a_memory_layer(device, replays, rule):
    kept = []
    for seed in range(5):
        layer = moved(make_memory(rule, 6, 2, 4, 5, seed=seed, dtype=torch.float32), device)
        found = results(layer, tensors_of_memory(layer), "triton" if device == "cuda" else "numba", seed=seed)
        kept.append((found, results(layer, tensors_of_memory(layer), "reference", seed=seed)))
    for found, expected in kept:  # what a call returned is not overwritten by the next
        assert_close(found, expected, 1e-4)
    assert len(replays) == 2 * (5 - graphs.PLAIN_CALLS)


def test_forms_large_arguments_and_what_is_not_asked_for(monkeypatch):
    calls = []

    def double(x, factor):
        calls.append(x)
        return (2 * x, None), factor

    assert graphs.graphed(double) is double
    monkeypatch.setenv(graphs.ENVIRONMENT_VARIABLE, "1")
    monkeypatch.setattr(graphs, "DEVICES", ("cpu",))
    monkeypatch.setattr(graphs, "MOST_FORMS", 2)
    replayed = graphs.graphed(double)
    for size in (1, 2, 3, 1, 2, 3):
        for _ in range(graphs.PLAIN_CALLS + 2):
            x = torch.rand(size)
            (value, nothing), factor = replayed(x, "half")
            assert torch.equal(value, 2 * x)
            assert (nothing, factor) == (None, "half")
    assert sum(call is x for call in calls) == 0  # the last was replayed
    monkeypatch.setattr(graphs, "MOST_BYTES", 8)
    replayed(x, "half")
    assert calls[-1] is x
