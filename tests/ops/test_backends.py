"""Every backend against the reference: outputs, final state and every gradient."""

from importlib.util import find_spec

import pytest
import torch
from compared_scans import assert_close, results
from hypothesis import given, settings
from hypothesis import strategies as st

from plastic_rl.ops import RULES, plastic_scan
from plastic_rl.ops.scan import BACKENDS
from tests.products import crossed

FUSED = ["recompute", "numba"]
ALPHAS = ["per_connection", "shared", "none"]


@pytest.mark.parametrize("backend", FUSED)
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=15, deadline=None)
@given(
    T=st.integers(1, 14), B=st.integers(1, 5), N=st.integers(1, 37), seed=st.integers(0, 10**6),
    alpha=st.sampled_from(ALPHAS), per_neuron=st.booleans(), fan_out=st.booleans(), of_state=st.booleans(),
    starts=st.sampled_from([0.0, 0.2, 1.0]), rate=st.sampled_from([0.05, 1.0]), layer_norm=st.booleans(),
)  # fmt: skip
def test_agrees_with_the_reference(make_layer, tensors_of, backend, rule, T, B, N, seed, of_state, **options):
    layer = make_layer(rule, T, B, N, seed=seed, **options)
    tensors = tensors_of(layer)
    expected = results(layer, tensors, "reference", of_state=of_state)
    assert_close(results(layer, tensors, backend, of_state=of_state), expected, 1e-9)


@pytest.mark.parametrize(
    ("backend", "alpha", "layer_norm", "rule"), crossed(FUSED, ALPHAS, [False, True], RULES)
)
def test_agrees_in_float32(make_layer, tensors_of, backend, rule, alpha, layer_norm):
    layer = make_layer(rule, 20, 3, 21, alpha=alpha, layer_norm=layer_norm, dtype=torch.float32)
    exact = make_layer(rule, 20, 3, 21, alpha=alpha, layer_norm=layer_norm)
    expected = results(exact, tensors_of(exact), "reference")
    assert_close(results(layer, tensors_of(layer), backend), expected, 1e-4)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("t", [0, 5])
def test_an_episode_may_start_at_either_end(make_layer, tensors_of, rule, t):
    layer = make_layer(rule, 6, 2, 5, starts=0.0)
    layer["episode_starts"][t, 1] = True
    tensors = tensors_of(layer)
    assert_close(results(layer, tensors, "numba"), results(layer, tensors, "reference"), 1e-9)


@pytest.mark.parametrize("rule", ["decay", "oja", "retroactive"])
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_at_the_ends_of_their_range(make_layer, tensors_of, rule, rate):
    layer = make_layer(rule, 9, 2, 6)
    layer["eta"].data.fill_(rate)
    layer["drive"].data.mul_(50)  # activities of exactly 1
    tensors = tensors_of(layer)
    assert_close(results(layer, tensors, "numba"), results(layer, tensors, "reference"), 1e-9)


@pytest.mark.parametrize("rule", ["neuromodulated", "retroactive"])
def test_an_initial_trace_beyond_the_clip_is_read_as_it_is(make_layer, tensors_of, rule):
    layer = make_layer(rule, 5, 2, 6, starts=0.0)
    layer["state"][1].data.mul_(10)
    tensors = tensors_of(layer)
    assert_close(results(layer, tensors, "numba"), results(layer, tensors, "reference"), 1e-9)


@pytest.mark.parametrize(("alpha", "layer_norm", "rule"), crossed(ALPHAS, [False, True], RULES))
def test_gradcheck(make_layer, tensors_of, rule, alpha, layer_norm):
    layer = make_layer(rule, 4, 2, 3, alpha=alpha, layer_norm=layer_norm)
    tensors = tensors_of(layer)

    def scan(*_):
        activity, state = plastic_scan(**layer, backend="numba")
        return activity, *state

    assert torch.autograd.gradcheck(scan, tuple(tensors.values()), fast_mode=True)


@pytest.mark.parametrize("rate", [0.03, 0.3])
@pytest.mark.parametrize("rule", RULES)
def test_long_sequences_cross_segments_on_several_threads(make_layer, tensors_of, rule, rate):
    layer = make_layer(rule, 61, 5, 7, starts=0.05, rate=rate)
    tensors = tensors_of(layer)
    expected = results(layer, tensors, "reference")
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            assert_close(results(layer, tensors, "numba"), expected, 1e-9)
    finally:
        torch.set_num_threads(before)


def test_only_what_is_asked_for_gets_a_gradient(make_layer):
    layer = make_layer("oja", 4, 2, 3, requires_grad=False)
    layer["alpha"].requires_grad_()
    activity, _ = plastic_scan(**layer, backend="numba")
    activity.sum().backward()
    assert layer["alpha"].grad is not None
    assert layer["weight"].grad is None


@pytest.mark.parametrize("backend", FUSED)
def test_without_gradients_nothing_is_recorded(make_layer, backend):
    layer = make_layer("decay", 4, 2, 3)
    with torch.no_grad():
        activity, state = plastic_scan(**layer, backend=backend)
    assert not activity.requires_grad
    assert not any(s.requires_grad for s in state)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_arguments_are_left_alone(make_layer, tensors_of, backend, alpha):
    if backend == "triton":
        pytest.skip("tested in test_triton.py")
    layer = make_layer("retroactive", 5, 2, 4, alpha=alpha)
    before = {name: tensor.detach().clone() for name, tensor in tensors_of(layer).items()}
    activity, state = plastic_scan(**layer, backend=backend)
    with torch.no_grad():
        for tensor in (activity, *state):
            tensor.zero_()
    torch.testing.assert_close({n: t.detach() for n, t in tensors_of(layer).items()}, before)


@pytest.mark.parametrize("rule", RULES)
def test_saves_at_most_an_eighth_of_the_reference(make_layer, rule):
    saved = {}
    for backend in ("reference", "numba"):
        sizes = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        layer = make_layer(rule, 100, 4, 32, dtype=torch.float32)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            plastic_scan(**layer, backend=backend)
        saved[backend] = sum(sizes.values())
    assert saved["numba"] <= saved["reference"] / 8


def test_learns_as_the_reference_does(make_layer):
    curves = {}
    for backend in ("reference", "numba"):
        layer = make_layer("oja", 20, 4, 16, dtype=torch.float32)
        trained = [layer["weight"], layer["alpha"], layer["eta"]]
        optimizer = torch.optim.Adam(trained, 1e-2)
        curve = []
        for _ in range(10):
            activity, _ = plastic_scan(**layer, backend=backend)
            loss = (activity - layer["drive"].detach().roll(3, 0).tanh()).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        curves[backend] = curve
    assert curves["numba"] == pytest.approx(curves["reference"], rel=1e-4)
    assert curves["numba"][-1] < curves["numba"][0]


def test_a_second_derivative_is_refused_clearly(make_layer):
    layer = make_layer("decay", 3, 2, 3)
    activity, _ = plastic_scan(**layer, backend="numba")
    (gradient,) = torch.autograd.grad(activity.pow(2).sum(), layer["weight"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.skipif(find_spec("triton") is not None, reason="triton is here")
def test_triton_says_that_it_is_missing(make_layer):
    with pytest.raises(ValueError, match="triton"):
        plastic_scan(**make_layer("decay", 3, 2, 3), backend="triton")
