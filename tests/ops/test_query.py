"""A scan that reads with queries and writes with keys of the same step: every backend against the reference."""

import numpy as np
import pytest
import torch
from compared_scans import assert_close, results
from hypothesis import given, settings
from hypothesis import strategies as st

from plastic_rl.ops import RULES, Rule, get_rule, plastic_scan, plastic_step

MODULATED = ("neuromodulated", "retroactive")


def make_memory(rule, T, B, K, N, *, seed=0, dtype=torch.float64, alpha="per_connection", keys="separate",
                per_neuron=True, fan_out=True, starts=0.2):  # fmt: skip
    """Return keyword arguments of `plastic_scan` with a query."""
    generator = torch.Generator().manual_seed(seed)
    rule = get_rule(rule)

    def normal(*shape, scale):
        return (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).to(dtype).requires_grad_()

    alphas = {"per_connection": normal(K, N, scale=0.5), "shared": normal(scale=0.3), "none": None}
    eta = torch.rand((N,) if per_neuron else (), generator=generator, dtype=torch.float64)
    traces = () if alpha == "none" else rule.traces
    layer = {
        "drive": normal(T, B, N, scale=1),
        "weight": normal(K, N, scale=K**-0.5),
        "alpha": alphas[alpha],
        "eta": eta.to(dtype).requires_grad_() if rule.uses_eta else None,
        "state": tuple(normal(B, K, N, scale=0.6) for _ in traces),
        "episode_starts": torch.rand(T, B, generator=generator) < starts,
        "rule": rule,
        "query": normal(T, B, K, scale=0.7),
        "key": normal(T, B, K, scale=0.7) if keys == "separate" else None,
        "modulation": None,
        "parameters": {},
    }
    if rule.name in MODULATED:
        layer["modulation"] = normal(T, B, scale=0.7)
        if fan_out and traces:
            layer["parameters"] = {"fan_out": normal(N, scale=0.7)}
    return layer


def tensors_of(layer):
    named = {name: value for name, value in layer.items() if isinstance(value, torch.Tensor) and value.requires_grad}
    return named | {f"state {i}": s for i, s in enumerate(layer["state"])} | layer["parameters"]


# Of the kernels in float64, those of one rule only: to compile them takes longer than to run them.
COMPILED = [
    pytest.param("numba", rule, marks=() if rule == "neuromodulated" else pytest.mark.slow) for rule in RULES
]


@pytest.mark.parametrize(("backend", "rule"), [*(("recompute", rule) for rule in RULES), *COMPILED])
@settings(max_examples=20, deadline=None)
@given(
    T=st.integers(1, 14), B=st.integers(1, 4), K=st.integers(1, 19), N=st.integers(1, 37), seed=st.integers(0, 10**6),
    alpha=st.sampled_from(["per_connection", "shared", "none"]), keys=st.sampled_from(["separate", "shared"]),
    per_neuron=st.booleans(), fan_out=st.booleans(), of_state=st.booleans(), starts=st.sampled_from([0.0, 0.2, 1.0]),
)  # fmt: skip
def test_agrees_with_the_reference(backend, rule, T, B, K, N, of_state, **options):
    layer = make_memory(rule, T, B, K, N, **options)
    tensors = tensors_of(layer)
    expected = results(layer, tensors, "reference", of_state=of_state)
    assert_close(results(layer, tensors, backend, of_state=of_state), expected, 1e-9)


@pytest.mark.parametrize("keys", ["separate", "shared"])
@pytest.mark.parametrize("rule", RULES)
def test_agrees_in_float32(rule, keys):
    layer = make_memory(rule, 20, 3, 10, 21, keys=keys, dtype=torch.float32)
    exact = make_memory(rule, 20, 3, 10, 21, keys=keys)
    expected = results(exact, tensors_of(exact), "reference")
    assert_close(results(layer, tensors_of(layer), "numba"), expected, 1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_the_reference_is_the_equations(rule):
    layer = make_memory(rule, 6, 2, 3, 4)
    activity, _ = plastic_scan(**layer, backend="reference")
    a = {name: value.detach().numpy() for name, value in tensors_of(layer).items()}
    states = [a[f"state {i}"].copy() for i in range(len(layer["state"]))]
    for t, b in np.ndindex(6, 2):
        if layer["episode_starts"][t, b]:
            for state in states:
                state[b] = 0
        trace, eligibility = states[0][b], states[-1][b]
        post = np.empty(4)
        for j in range(4):
            connections = a["weight"][:, j] + a["alpha"][:, j] * trace[:, j]
            post[j] = np.tanh(a["drive"][t, b, j] + sum(a["query"][t, b, i] * connections[i] for i in range(3)))
        np.testing.assert_allclose(activity[t, b].detach(), post, rtol=1e-12)
        for i, j in np.ndindex(3, 4):
            product, eta = a["key"][t, b, i] * post[j], a["eta"][j] if "eta" in a else None
            if rule == "decay":
                trace[i, j] = (1 - eta) * trace[i, j] + eta * product
            elif rule == "oja":
                trace[i, j] += eta * post[j] * (a["key"][t, b, i] - post[j] * trace[i, j])
            else:
                signal = a["modulation"][t, b] * a["fan_out"][j]
                written = product if rule == "neuromodulated" else eligibility[i, j]
                trace[i, j] = np.clip(trace[i, j] + signal * written, -1, 1)
            if rule == "retroactive":
                eligibility[i, j] = (1 - eta) * eligibility[i, j] + eta * product


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("rule", RULES)
def test_steps_equal_the_scan(rule, backend):
    layer = make_memory(rule, 7, 3, 6, 21)
    expected, final = plastic_scan(**layer, backend="reference")
    timed = {name: layer.pop(name) for name in ("drive", "query", "key", "modulation", "episode_starts")}
    state = tuple(s.detach().clone() for s in layer.pop("state"))
    for t in range(7):
        now = {name: None if value is None else value[t] for name, value in timed.items()}
        activity, state = plastic_step(state=state, **now, **layer, backend=backend)
        torch.testing.assert_close(activity, expected[t].detach())
    torch.testing.assert_close(state, tuple(s.detach() for s in final))


def test_a_query_of_the_activity_before_is_the_recurrent_layer(make_layer):
    layer = make_layer("decay", 5, 2, 4, starts=0.0, dtype=torch.float32)
    activity, state = plastic_scan(**layer, backend="reference")
    first, *traces = layer.pop("state")
    query = torch.cat([first.unsqueeze(0), activity[:-1]])
    given, final = plastic_scan(**layer, state=tuple(traces), query=query, backend="numba")
    torch.testing.assert_close(given, activity)
    torch.testing.assert_close(final, state[1:])


def test_a_rule_of_ones_own_reads_the_modulation():
    def step(traces, pre, post, eta, parameters):
        return (traces[0] + parameters["modulation"][:, None, None] * pre.unsqueeze(2) * post.unsqueeze(1),)

    layer = make_memory(Rule("own", step, uses_eta=False), 4, 2, 3, 5)
    layer["modulation"] = torch.ones(4, 2, dtype=torch.float64)
    _, (trace,) = plastic_scan(**layer)
    assert trace.shape == (2, 3, 5)


def test_a_limit_that_cuts_leaves_no_gradient():
    layer = make_memory("neuromodulated", 12, 2, 5, 9, starts=0.0)
    with torch.no_grad():
        layer["modulation"].fill_(2.0)
    tensors = tensors_of(layer)
    assert_close(results(layer, tensors, "numba"), results(layer, tensors, "reference"), 1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": None}, "key must be None without query"),
        ({"query": torch.zeros(3, 2, 4)}, r"query must have shape \(5, 2, K\)"),
        ({"key": torch.zeros(5, 2, 3, dtype=torch.float64)}, r"key must have shape \(5, 2, 4\)"),
        ({"modulation": torch.zeros(5, dtype=torch.float64)}, r"modulation must have shape \(5, 2\)"),
        ({"state": ()}, "state must be a tuple of 1"),
    ],
)
def test_mistakes_are_named(changes, message):
    layer = make_memory("neuromodulated", 5, 2, 4, 6)
    with pytest.raises(ValueError, match=message):
        plastic_scan(**{**layer, **changes})
