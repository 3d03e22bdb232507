"""The rules as pure functions on small numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plastic_rl.ops import RULES, Rule, get_rule

TRACE = torch.tensor([[[0.5, -0.5, 0.0], [1.0, 0.0, -1.0]]])
PRE = torch.tensor([[0.5, -1.0]])
POST = torch.tensor([[1.0, 0.5, -0.5]])
ETA = torch.tensor(0.1)
MODULATION = {"modulation_weight": torch.tensor([1.0, 0.0, 0.0]), "modulation_bias": torch.tensor(-1.0)}


def step(rule, *traces, eta=ETA, parameters=None):
    return get_rule(rule).step(traces, PRE, POST, eta, parameters or {})


def test_decay_on_numbers():
    expected = [[[0.50, -0.425, -0.025], [0.80, -0.05, -0.85]]]
    torch.testing.assert_close(step("decay", TRACE)[0], torch.tensor(expected))


def test_oja_on_numbers():
    expected = [[[0.50, -0.4625, -0.025], [0.80, -0.05, -0.925]]]
    torch.testing.assert_close(step("oja", TRACE)[0], torch.tensor(expected))


def test_neuromodulated_on_numbers():
    silent = step("neuromodulated", TRACE, eta=None, parameters=MODULATION)[0]
    torch.testing.assert_close(silent, TRACE)  # M = tanh(1 - 1) = 0
    loud = MODULATION | {"modulation_bias": torch.tensor(99.0)}
    expected = [[[1.0, -0.25, -0.25], [0.0, -0.5, -0.5]]]
    torch.testing.assert_close(step("neuromodulated", TRACE, eta=None, parameters=loud)[0], torch.tensor(expected))
    half = loud | {"fan_out": torch.tensor([0.0, 0.0, 2.0])}
    expected = [[[0.5, -0.5, -0.5], [1.0, 0.0, 0.0]]]
    torch.testing.assert_close(step("neuromodulated", TRACE, eta=None, parameters=half)[0], torch.tensor(expected))


def test_retroactive_writes_the_eligibility_of_before_the_step():
    loud = MODULATION | {"modulation_bias": torch.tensor(99.0)}
    trace, eligibility = step("retroactive", torch.zeros_like(TRACE), TRACE, parameters=loud)
    torch.testing.assert_close(trace, TRACE)
    torch.testing.assert_close(eligibility, step("decay", TRACE)[0])


def test_a_rate_for_each_postsynaptic_neuron():
    rates = torch.tensor([0.0, 0.1, 1.0])
    (trace,) = step("decay", TRACE, eta=rates)
    torch.testing.assert_close(trace[..., 0], TRACE[..., 0])
    torch.testing.assert_close(trace[..., 1], step("decay", TRACE)[0][..., 1])
    torch.testing.assert_close(trace[..., 2], PRE[0] * POST[0, 2] * torch.ones(1, 1))


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_pure(rule):
    traces = tuple(TRACE.clone() for _ in RULES[rule].traces)
    step(rule, *traces, parameters=MODULATION)
    assert all(torch.equal(trace, TRACE) for trace in traces)


@given(eta=st.floats(0.01, 1), seed=st.integers(0, 1000))
def test_decay_stays_within_the_activity(eta, seed):
    generator = torch.Generator().manual_seed(seed)
    traces = (torch.zeros(1, 3, 3),)
    for _ in range(50):
        pre, post = (torch.rand(1, 3, generator=generator) * 2 - 1 for _ in range(2))
        traces = RULES["decay"].step(traces, pre, post, torch.tensor(eta), {})
    assert traces[0].abs().max() <= 1 + 1e-5


@given(eta=st.floats(0.1, 0.5), pre=st.floats(-1, 1), post=st.floats(0.5, 1))
def test_oja_settles_where_it_predicts_the_input(eta, pre, post):
    traces = (torch.zeros(1, 1, 1),)
    for _ in range(400):
        traces = RULES["oja"].step(traces, torch.tensor([[pre]]), torch.tensor([[post]]), torch.tensor(eta), {})
    assert traces[0].item() * post == pytest.approx(pre, abs=1e-3)


@pytest.mark.parametrize(("name", "message"), [("okja", "did you mean 'oja'"), ("x", "one of: decay")])
def test_an_unknown_rule_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        get_rule(name)


def test_a_rule_is_a_name_or_a_rule():
    with pytest.raises(TypeError, match="not int"):
        get_rule(3)
    with pytest.raises(ValueError, match="at least one trace"):
        Rule("empty", RULES["decay"].step, traces=())
