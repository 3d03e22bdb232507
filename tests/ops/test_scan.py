"""What plastic_scan promises whatever runs it, and what it says to bad arguments."""

import pytest
import torch

from plastic_rl.ops import RULES, Rule, plastic_scan
from tests.products import crossed

BACKENDS = ["reference", "recompute", "numba"]
T, B, N = 6, 3, 5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", RULES)
def test_a_sequence_equals_its_pieces(make_layer, backend, rule):
    layer = make_layer(rule, T, B, N, requires_grad=False)
    activity, state = plastic_scan(**layer, backend=backend)
    first, middle = plastic_scan(**_steps(layer, 0, 2), backend=backend)
    second, end = plastic_scan(**_steps(layer, 2, T) | {"state": middle}, backend=backend)
    torch.testing.assert_close(torch.cat([first, second]), activity)
    torch.testing.assert_close(end, state)


def _steps(layer, begin, end):
    return layer | {"drive": layer["drive"][begin:end], "episode_starts": layer["episode_starts"][begin:end]}


@pytest.mark.parametrize(
    ("backend", "alpha", "rule", "spoilt"),
    crossed(BACKENDS, ["per_connection", "shared", "none"], RULES, [float("inf"), float("nan")]),
)
def test_nothing_crosses_an_episode_start(make_layer, backend, alpha, rule, spoilt):
    layer = make_layer(rule, T, B, N, alpha=alpha, starts=0.0)
    layer["episode_starts"][0] = True
    clean, _ = plastic_scan(**layer, backend=backend)
    state = tuple(torch.full_like(s, spoilt) for s in layer["state"])
    activity, _ = plastic_scan(**layer | {"state": state}, backend=backend)
    torch.testing.assert_close(activity, clean)
    activity.sum().backward()
    assert layer["weight"].grad.isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", RULES)
def test_nan_is_never_swallowed(make_layer, backend, rule):
    layer = make_layer(rule, T, B, N, starts=0.0, requires_grad=False)
    layer["drive"][2, 1, 0] = float("nan")
    activity, state = plastic_scan(**layer, backend=backend)
    assert activity[2, 1, 0].isnan()
    assert activity[3:, 1].isnan().all()
    assert state[1][1].isnan().any()
    assert activity[:, [0, 2]].isfinite().all()
    assert activity[:2].isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("alpha", ["per_connection", "none"])
@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0)])
def test_empty_sequences_and_batches(make_layer, backend, alpha, shape):
    layer = make_layer("decay", *shape, N, alpha=alpha)
    activity, state = plastic_scan(**layer, backend=backend)
    assert activity.shape == (*shape, N)
    torch.testing.assert_close(state, layer["state"], msg=None)
    (activity.sum() + sum(s.sum() for s in state)).backward()
    assert layer["drive"].grad.shape == layer["drive"].shape


@pytest.mark.parametrize("backend", BACKENDS)
def test_strides_do_not_matter(make_layer, backend):
    layer = make_layer("oja", T, B, N, requires_grad=False)
    expected = plastic_scan(**layer, backend=backend)
    strided = layer | {
        "drive": layer["drive"].transpose(0, 1).contiguous().transpose(0, 1),
        "weight": layer["weight"].T.contiguous().T,
        "alpha": layer["alpha"].T.contiguous().T,
        "state": tuple(s.transpose(0, -1).contiguous().transpose(0, -1) for s in layer["state"]),
        "episode_starts": layer["episode_starts"].T.contiguous().T,
    }
    torch.testing.assert_close(plastic_scan(**strided, backend=backend), expected)
    expanded = layer | {"state": tuple(torch.zeros(()).double().expand_as(s) for s in layer["state"])}
    zeros = layer | {"state": tuple(torch.zeros_like(s) for s in layer["state"])}
    torch.testing.assert_close(plastic_scan(**expanded, backend=backend), plastic_scan(**zeros, backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_keeps_a_float32_state(make_layer, backend):
    layer = make_layer("decay", T, B, N, dtype=torch.float32)
    expected, _ = plastic_scan(**layer, backend=backend)
    half = layer | {"drive": layer["drive"].detach().bfloat16().requires_grad_()}
    activity, state = plastic_scan(**half, backend=backend)
    assert activity.dtype == torch.bfloat16
    assert {s.dtype for s in state} == {torch.float32}
    torch.testing.assert_close(activity.float(), expected, atol=0.05, rtol=0.05)
    activity.sum().backward()
    assert half["drive"].grad.dtype == torch.bfloat16


def test_autocast_changes_nothing(make_layer):
    layer = make_layer("decay", T, B, N, dtype=torch.float32)
    expected = plastic_scan(**layer, backend="reference")
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(plastic_scan(**layer, backend="reference"), expected, rtol=0, atol=0)


def covariance_step(traces, pre, post, eta, parameters):
    centered = post - parameters["mean"]
    return (traces[0] + eta * pre.unsqueeze(2) * centered.unsqueeze(1),)


def test_a_rule_of_ones_own(make_layer, tensors_of):
    rule = Rule("covariance", covariance_step, parameters=("mean",))
    layer = make_layer("decay", T, B, N)
    layer |= {"rule": rule, "parameters": {"mean": torch.full((N,), 0.1, dtype=torch.float64, requires_grad=True)}}
    found = []
    for backend in ("reference", None):
        activity, state = plastic_scan(**layer, backend=backend)
        loss = activity.pow(2).sum() + state[1].pow(2).sum()
        found.append((activity, torch.autograd.grad(loss, [layer["weight"], layer["parameters"]["mean"]])))
    torch.testing.assert_close(found[0], found[1])
    with pytest.raises(ValueError, match="it knows the rules"):
        plastic_scan(**layer, backend="numba")


BAD = [
    ({"drive": [1.0]}, TypeError, "drive must be a tensor, not list"),
    ({"drive": torch.zeros(T, N)}, ValueError, r"drive must have shape \(T, B, N\)"),
    ({"drive": torch.zeros(T, B, N, dtype=torch.int64)}, TypeError, "drive must be floating point"),
    ({"drive": torch.zeros(T, B, 0)}, ValueError, "at least one neuron"),
    ({"drive": torch.zeros(T, B, N)}, ValueError, "must be torch.float32 for a drive of torch.float32"),
    ({"weight": torch.zeros(N, N + 1).double()}, ValueError, r"weight must have shape \(5, 5\)"),
    ({"weight": torch.zeros(N, N)}, ValueError, "weight must be torch.float64"),
    ({"weight": torch.zeros(N, N, device="meta").double()}, ValueError, "weight must be on cpu"),
    ({"alpha": torch.zeros(N).double()}, ValueError, r"alpha must have shape \(5, 5\) or \(\)"),
    ({"alpha": 0.1}, TypeError, "alpha must be a tensor"),
    ({"eta": None}, ValueError, "eta must be a tensor"),
    ({"eta": torch.zeros(2).double()}, ValueError, r"eta must have shape \(\) or \(5,\)"),
    ({"state": torch.zeros(B, N)}, TypeError, "state must be a tuple"),
    ({"state": (torch.zeros(B, N).double(),)}, ValueError, r"tuple of 3 \(activity, trace, eligibility\)"),
    ({"alpha": None}, ValueError, "which has no trace"),
    ({"episode_starts": torch.zeros(T, B)}, TypeError, "episode_starts must be torch.bool"),
    ({"episode_starts": torch.zeros(B, T).bool()}, ValueError, r"episode_starts must have shape \(6, 3\)"),
    ({"parameters": None}, ValueError, "'modulation_weight' is missing"),
    ({"layer_norm": torch.zeros(2, N).double()}, TypeError, "layer_norm must be a tuple of gain and bias, or None"),
    ({"layer_norm": (torch.zeros(N).double(),)}, ValueError, r"tuple of 2 \(gain, bias\), not of 1"),
    ({"layer_norm": (torch.zeros(N).double(), None)}, TypeError, r"layer_norm\[1\] \(bias\) must be a tensor"),
    ({"layer_norm": (torch.zeros(()).double(),) * 2}, ValueError, r"layer_norm\[0\] \(gain\) must have shape \(5,\)"),
    ({"layer_norm": (torch.zeros(N),) * 2}, ValueError, r"layer_norm\[0\] \(gain\) must be torch.float64"),
    ({"rule": "ojas"}, ValueError, "did you mean 'oja'"),
    ({"backend": "cuda"}, ValueError, "backend must be one of"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[f"{next(iter(c))}-{m}" for c, _, m in BAD])
def test_bad_arguments_are_named(make_layer, change, error, message):
    with pytest.raises(error, match=message):
        plastic_scan(**make_layer("retroactive", T, B, N) | change)


def test_unknown_parameters_are_named(make_layer):
    layer = make_layer("neuromodulated", T, B, N)
    layer["parameters"]["fanout"] = layer["parameters"].pop("fan_out")
    with pytest.raises(ValueError, match="'fanout' is unknown"):
        plastic_scan(**layer)


def test_the_environment_variable_chooses(make_layer, monkeypatch):
    layer = make_layer("decay", T, B, N, requires_grad=False)
    monkeypatch.setenv("PLASTIC_RL_BACKEND", "reference")
    plastic_scan(**layer)
    monkeypatch.setenv("PLASTIC_RL_BACKEND", "numpy")
    with pytest.raises(ValueError, match=r"PLASTIC_RL_BACKEND must be one of .*, not 'numpy'"):
        plastic_scan(**layer)
    plastic_scan(**layer, backend="recompute")


def test_what_cannot_run_is_said(make_layer):
    layer = make_layer("decay", T, B, N, requires_grad=False)
    arguments = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in layer.items()}
    arguments["state"] = tuple(s.to("meta") for s in layer["state"])
    with pytest.raises(ValueError, match="'numba' cannot be used here: it runs on the CPU"):
        plastic_scan(**arguments, backend="numba")
