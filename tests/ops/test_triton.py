"""The Triton kernels against the reference: on CUDA, or in Triton's interpreter where there is none."""

import os

import pytest
import torch
from compared_scans import assert_close
from compared_scans import results as named_results
from test_query import make_memory
from test_query import tensors_of as tensors_of_memory

from plastic_rl.ops import RULES, plastic_scan
from plastic_rl.ops.cuda import backend as triton_backend

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported
pytest.importorskip("triton")


def results(layer, tensors, backend, *, of_state=True):
    activity, state = plastic_scan(**layer, backend=backend)
    outputs = (activity, *state) if of_state else (activity,)
    loss = sum((value * torch.linspace(-1, 2, value.numel()).to(value).view_as(value)).sum() for value in outputs)
    return (activity, *state), torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)


def on_device(layer):
    def move(value):
        if isinstance(value, torch.Tensor):
            value = value.detach().to(DEVICE)
            return value.requires_grad_() if value.is_floating_point() else value
        if isinstance(value, tuple):
            return tuple(map(move, value))
        return {k: move(v) for k, v in value.items()} if isinstance(value, dict) else value

    return move(layer)


needs_cuda = pytest.mark.skipif(DEVICE == "cpu", reason="needs CUDA")


@pytest.mark.parametrize(
    ("tile", "programs"),
    [(4096, 1), (16, 1), pytest.param(16, 2, marks=needs_cuda), pytest.param(16, 3, marks=needs_cuda)],
)
@pytest.mark.parametrize("alpha", ["per_connection", "shared", "none"])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_agrees_with_the_reference(make_layer, tensors_of, monkeypatch, rule, layer_norm, alpha, tile, programs):
    monkeypatch.setattr(triton_backend, "TILE_ELEMENTS", tile)
    monkeypatch.setattr(triton_backend, "_programs", lambda batch, device: programs)
    vectors = tile == 16
    layer = make_layer(rule, 7, 2, 6, alpha=alpha, fan_out=vectors, per_neuron=vectors, layer_norm=layer_norm)
    layer = on_device(layer)
    tensors = tensors_of(layer)
    expected = results(layer, tensors, "reference")
    torch.testing.assert_close(results(layer, tensors, "triton"), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_a_layer_with_queries_in_float32(rule):
    layer = on_device(make_memory(rule, 9, 2, 6, 19, dtype=torch.float32))
    exact = on_device(make_memory(rule, 9, 2, 6, 19))
    expected = named_results(exact, tensors_of_memory(exact), "reference")
    assert_close(named_results(layer, tensors_of_memory(layer), "triton"), expected, 1e-4)


def assert_near(layer, tensors, tolerance):
    expected = results(layer, tensors, "reference", of_state=False)
    found = results(layer, tensors, "triton", of_state=False)
    for a, b in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a - b).norm() <= tolerance * max(b.norm().item(), 1e-2)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_agrees_in_float32_at_a_size_that_is_no_power_of_two(make_layer, tensors_of, rule, layer_norm):
    layer = on_device(make_layer(rule, 5, 2, 19, layer_norm=layer_norm, dtype=torch.float32))
    assert_near(layer, tensors_of(layer), 1e-4)


@needs_cuda
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize(("batch", "n"), [(40, 64), (3, 150), (2, 600)])
@pytest.mark.parametrize("rule", RULES)
def test_large_layers(make_layer, tensors_of, rule, batch, n, layer_norm):
    layer = on_device(make_layer(rule, 9, batch, n, layer_norm=layer_norm))
    assert_near(layer, tensors_of(layer), 1e-9)


def test_bfloat16_with_a_float32_trace(make_layer):
    layer = on_device(make_layer("oja", 4, 2, 5, dtype=torch.float32))
    expected, _ = plastic_scan(**layer, backend="reference")
    activity, state = plastic_scan(**layer | {"drive": layer["drive"].detach().bfloat16()}, backend="triton")
    assert (activity.dtype, state[1].dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(activity.float(), expected, atol=0.05, rtol=0.05)


def test_nothing_crosses_an_episode_start(make_layer):
    layer = on_device(make_layer("neuromodulated", 4, 2, 5, starts=0.0))
    layer["episode_starts"][0] = True
    clean, _ = plastic_scan(**layer, backend="triton")
    spoilt = tuple(torch.full_like(s, float("nan")) for s in layer["state"])
    torch.testing.assert_close(plastic_scan(**layer | {"state": spoilt}, backend="triton")[0], clean)


@needs_cuda
@pytest.mark.parametrize("n", [6, 150])
def test_in_a_cuda_graph(make_layer, n):
    layer = on_device(make_layer("oja", 5, 2, n, requires_grad=False))
    expected, _ = plastic_scan(**layer)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        activity, _ = plastic_scan(**layer)
    graph.replay()
    torch.testing.assert_close(activity, expected)


@pytest.mark.parametrize(
    ("tile", "small", "keys", "alpha"),
    [(4096, 1024, "separate", "per_connection"), (4096, 1, "shared", "none"), (16, 1, "shared", "shared")],
)
@pytest.mark.parametrize("rule", RULES)
def test_a_memory_layer_agrees_with_the_reference(monkeypatch, rule, keys, alpha, tile, small):
    monkeypatch.setattr(triton_backend, "TILE_ELEMENTS", tile)
    monkeypatch.setattr(triton_backend, "SMALL_ELEMENTS", small)
    vectors = tile == 16
    layer = make_memory(rule, 5, 3, 5, 6, alpha=alpha, keys=keys, per_neuron=vectors, fan_out=vectors)
    layer = on_device(layer)
    tensors = tensors_of_memory(layer)
    expected = named_results(layer, tensors, "reference")
    assert_close(named_results(layer, tensors, "triton"), expected, 1e-9)


@pytest.mark.parametrize("rule", ["neuromodulated", "retroactive"])
def test_a_limit_that_cuts_a_memory_layer_leaves_no_gradient(rule):
    layer = make_memory(rule, 5, 2, 3, 5, starts=0.0)
    with torch.no_grad():
        layer["modulation"].fill_(2.0)
    layer = on_device(layer)
    tensors = tensors_of_memory(layer)
    assert_close(named_results(layer, tensors, "triton"), named_results(layer, tensors, "reference"), 1e-9)
