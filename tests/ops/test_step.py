"""The rollout step."""

import pytest
import torch

from plastic_rl.ops import RULES, plastic_scan, plastic_step
from tests.products import crossed


@pytest.mark.parametrize(
    ("backend", "alpha", "layer_norm", "rule"),
    crossed(["reference", "recompute", "numba", None], ["per_connection", "shared", "none"], [False, True], RULES),
)
def test_steps_equal_the_scan(make_layer, backend, alpha, rule, layer_norm):
    vectors = alpha == "shared"
    layer = make_layer(rule, 7, 3, 21, alpha=alpha, fan_out=vectors, per_neuron=vectors, layer_norm=layer_norm)
    expected, final = plastic_scan(**layer, backend="reference")
    drive, starts = layer.pop("drive"), layer.pop("episode_starts")
    state = tuple(s.detach().clone() for s in layer.pop("state"))
    for t in range(len(drive)):
        activity, state = plastic_step(drive[t], state=state, episode_starts=starts[t], **layer, backend=backend)
        torch.testing.assert_close(activity, expected[t].detach())
        assert not activity.requires_grad
    torch.testing.assert_close(state, tuple(s.detach() for s in final))


def test_traces_are_updated_where_they_lie(make_layer):
    layer = make_layer("retroactive", 1, 3, 8, requires_grad=False)
    drive, starts, state = layer.pop("drive")[0], layer.pop("episode_starts")[0], layer.pop("state")
    _, after = plastic_step(drive, state=state, episode_starts=starts, **layer, backend="numba")
    assert [s.data_ptr() for s in after[1:]] == [s.data_ptr() for s in state[1:]]


def test_a_trace_that_autograd_still_needs_is_not_changed_silently(make_layer):
    layer = make_layer("decay", 1, 2, 3, requires_grad=False)
    drive, starts, state = layer.pop("drive")[0], layer.pop("episode_starts")[0], layer.pop("state")
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    product = (state[1] * factor).sum()
    plastic_step(drive, state=state, episode_starts=starts, **layer, backend="numba")
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_inference_mode(make_layer):
    with torch.inference_mode():
        layer = make_layer("oja", 1, 2, 3, requires_grad=False)
        drive, starts = layer.pop("drive")[0], layer.pop("episode_starts")[0]
        activity, _ = plastic_step(drive, episode_starts=starts, **layer)
    assert activity.isfinite().all()


@pytest.mark.parametrize("alpha", ["per_connection", "none"])
def test_no_environments(make_layer, alpha):
    layer = make_layer("decay", 1, 0, 3, alpha=alpha, requires_grad=False)
    drive, starts = layer.pop("drive")[0], layer.pop("episode_starts")[0]
    activity, _ = plastic_step(drive, episode_starts=starts, **layer)
    assert activity.shape == (0, 3)


def test_shapes_are_those_of_one_step(make_layer):
    layer = make_layer("decay", 1, 2, 3)
    with pytest.raises(ValueError, match=r"drive must have shape \(B, N\), not \(1, 2, 3\)"):
        plastic_step(**layer)
