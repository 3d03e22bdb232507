"""Every core, through the one interface."""

import numpy as np
import pytest
import torch
from small_cores import small
from torch import nn

from plastic_rl.cores import RecurrentCore, SequenceLayer, core_arguments, make_core, register_core, registered_cores
from plastic_rl.cores.base import reset_where

NAMES = registered_cores()
T, B, N_INPUTS, N = 7, 3, 4, 5


def make(name: str, **kwargs) -> RecurrentCore:
    torch.manual_seed(0)
    return make_core(name, N_INPUTS, **small(name, N), **kwargs).double()


def sequence(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(T, B, N_INPUTS, generator=generator, dtype=torch.float64)
    return inputs, torch.rand(T, B, generator=generator) < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_shapes(name):
    core = make(name)
    inputs, starts = sequence()
    outputs, state = core(inputs, core.initial_state(B), starts)
    assert outputs.shape == (T, B, core.output_size)
    assert [s.shape for s in state] == [s.shape for s in core.initial_state(B)]


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_equals_its_pieces(name):
    core = make(name)
    inputs, starts = sequence()
    whole, whole_state = core(inputs, core.initial_state(B), starts)
    first, state = core(inputs[:3], core.initial_state(B), starts[:3])
    second, state = core(inputs[3:], state, starts[3:])
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(state, whole_state)


def outputs_equal_in_steps(core):
    inputs, starts = sequence()
    whole, whole_state = core(inputs, core.initial_state(B), starts)
    state = core.initial_state(B)
    for t in range(T):
        output, state = core.step(inputs[t], state, starts[t])
        torch.testing.assert_close(output, whole[t])
    torch.testing.assert_close(state, whole_state)
    return whole


@pytest.mark.parametrize("name", NAMES)
def test_steps_equal_the_sequence(name):
    outputs_equal_in_steps(make(name))


@pytest.mark.parametrize("name", NAMES)
def test_batch_first_changes_no_step(name):
    core = make(name)
    inputs, starts = sequence()
    whole, _ = core(inputs[:1], core.initial_state(B), starts[:1])
    core.batch_first = True
    for step in (core.step, core.pure_step):
        output, _ = step(inputs[0], core.initial_state(B), starts[0])
        torch.testing.assert_close(output, whole[0])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_crosses_an_episode_start(name):
    core = make(name)
    inputs, _ = sequence()
    starts = torch.zeros(T, B, dtype=torch.bool)
    starts[4] = True
    spoilt = tuple(torch.full_like(s, float("inf")) for s in core.initial_state(B))
    outputs, _ = core(inputs[4:], spoilt, starts[4:])
    fresh, _ = core(inputs[4:], core.initial_state(B), torch.zeros_like(starts[4:]))
    torch.testing.assert_close(outputs, fresh)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    core = make(name, **({"fan_out": True} if name in ("neuromodulated", "retroactive") else {}))
    inputs, starts = sequence()
    outputs, _ = core(inputs.requires_grad_(), core.initial_state(B), starts)
    outputs.pow(2).sum().backward()
    silent = [n for n, p in core.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize("name", NAMES)
def test_saves_and_loads(name, tmp_path):
    core, other = make(name), make_core(name, N_INPUTS, **small(name, N)).double()
    torch.save(core.state_dict(), tmp_path / "core.pt")
    other.load_state_dict(torch.load(tmp_path / "core.pt", weights_only=True))
    inputs, starts = sequence()
    start = core.initial_state(B)
    torch.testing.assert_close(core(inputs, start, starts), other(inputs, start, starts))


def test_state_follows_dtype():
    assert all(s.dtype == torch.float64 for s in make("plastic").initial_state(2))


@pytest.mark.parametrize(
    ("kwargs", "n_parameters"),
    [({}, N * N), ({"alpha": "shared"}, 1), ({"alpha": "none"}, 0)],
)
def test_alpha_kinds(kwargs, n_parameters):
    core = make("plastic", **kwargs)
    assert (0 if core.alpha is None else core.alpha.numel()) == n_parameters
    assert len(core.initial_state(1)) == (1 if n_parameters == 0 else 2)


def test_rate_stays_in_range_but_can_learn_its_way_back():
    core = make("plastic")
    with torch.no_grad():
        core.eta.fill_(-0.5)
    assert core.rate == 0
    core.rate.backward()
    assert core.eta.grad == 1


@pytest.mark.parametrize(
    ("core", "kwargs", "message"),
    [
        ("plastik", {}, "did you mean 'plastic'"),
        ("plastic", {"hiden_size": 3}, "did you mean 'hidden_size'"),
        ("plastic", {"hidden_size": 0}, "hidden_size must be at least 1"),
        ("plastic", {"rule": "ojja"}, "oja"),
        ("plastic", {"alpha": "all"}, "alpha must be one of"),
        ("plastic", {"eta": "all"}, "eta must be one of"),
        ("plastic", {"eta_init": 2.0}, "eta_init"),
        ("plastic", {"alpha_init": -1.0}, "alpha_init"),
        ("plastic", {"fan_out": True}, "fan_out needs a modulated rule"),
        ("no_such_module:Core", {}, "cannot be imported"),
    ],
)
def test_errors_name_the_argument(core, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_core(core, N_INPUTS, **kwargs)


class Doubling(RecurrentCore):
    def __init__(self, input_size: int, factor: float = 2.0) -> None:
        super().__init__(input_size, input_size)
        self.factor = nn.Parameter(torch.tensor(factor))
        self.state_shapes = ((input_size,),)

    def forward(self, inputs, state, episode_starts):
        (previous,) = reset_where(episode_starts[0], state)
        return self.factor * inputs, (self.factor * inputs[-1] + 0 * previous,)


@pytest.mark.parametrize("core", [Doubling, f"{__name__}:Doubling"])
def test_a_core_of_ones_own(core, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[Doubling.__module__])
    assert make_core(core, 3, factor=1.0).output_size == 3


NORMALIZED = [name for name in NAMES if "layer_norm" in core_arguments(name)]


@pytest.mark.parametrize("name", NORMALIZED)
def test_layer_normalization_in_steps_and_for_every_parameter(name):
    core = make(name, layer_norm=True)
    whole = outputs_equal_in_steps(core)
    whole.pow(2).sum().backward()
    unused = [key for key, parameter in core.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert unused == []


@pytest.mark.parametrize("name", ["plastic", "rnn", "stpn", "delta"])
def test_what_is_normalized_does_not_depend_on_the_size_of_the_input(name):
    core = make(name, layer_norm=True)
    starts = torch.ones(1, B, dtype=torch.bool)
    inputs = sequence()[0][:1]
    with torch.no_grad():
        for parameter_name, parameter in core.named_parameters():
            if parameter_name.endswith("bias") and not parameter_name.startswith("norm"):
                parameter.zero_()
    small, large = (core(factor * inputs, core.initial_state(B), starts)[0] for factor in (1e3, 1e6))
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-4)
    assert small.abs().max() > 0.1


@pytest.mark.parametrize("name", ["delta", "stpn", "plastic_lstm"])
def test_loops_computed_again_in_the_backward(name, monkeypatch):
    core = make(name)
    inputs, starts = sequence()

    def gradients():
        core.zero_grad()
        core(inputs, core.initial_state(B), starts)[0].pow(2).sum().backward()
        return {key: parameter.grad.clone() for key, parameter in core.named_parameters()}

    kept = gradients()
    monkeypatch.setattr("plastic_rl.cores.loop.KEPT_BYTES", 0)
    torch.testing.assert_close(gradients(), kept)


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="taken"):
        register_core("plastic", Doubling)


def test_delta_rule_replaces_what_a_key_held():
    core = make("delta")
    with torch.no_grad():
        core.slow.weight.zero_()
        core.slow.bias.zero_()
        core.slow.bias[:N] = torch.tensor([50.0, 0, 0, 0, 0])  # the key is always the first
        core.slow.bias[2 * N : 3 * N] = torch.arange(N)  # and so is the value
        core.slow.bias[-1] = 50.0  # written in full
    inputs, _ = sequence()
    _, (_, fast) = core(inputs, core.initial_state(B), torch.zeros(T, B, dtype=torch.bool))
    torch.testing.assert_close(fast[:, 0], torch.arange(N, dtype=torch.float64).expand(B, N))
    assert fast[:, 1:].abs().max() < 1e-9


def test_stpn_without_rates_is_an_elman_network():
    core, rnn = make("stpn", rate_init=0.0), make("rnn")
    with torch.no_grad():
        rnn.input_map.weight.copy_(core.weight[:N_INPUTS].T)
        rnn.input_map.bias.copy_(core.bias)
        rnn.weight.copy_(core.weight[N_INPUTS:])
    inputs, starts = sequence()
    expected, _ = rnn(inputs, rnn.initial_state(B), starts)
    torch.testing.assert_close(core(inputs, core.initial_state(B), starts)[0], expected)


def test_plastic_lstm_without_plasticity_is_an_lstm():
    core, lstm = make("plastic_lstm", alpha_init=0.0), nn.LSTM(N_INPUTS, N).double()
    order = [0, 1, 3, 2]  # torch's gates are input, forget, cell, output
    with torch.no_grad():
        driven = torch.cat([core.input_map.weight.chunk(4)[k] for k in order])
        recurrent = [*core.gates.weight.chunk(3), core.weight.T]
        lstm.weight_ih_l0.copy_(driven)
        lstm.weight_hh_l0.copy_(torch.cat([recurrent[k] for k in order]))
        lstm.bias_ih_l0.copy_(torch.cat([core.input_map.bias.chunk(4)[k] for k in order]))
        lstm.bias_hh_l0.zero_()
    inputs, _ = sequence()
    outputs, _ = core(inputs, core.initial_state(B), torch.zeros(T, B, dtype=torch.bool))
    torch.testing.assert_close(outputs, lstm(inputs)[0])


@pytest.mark.parametrize("name", ["delta", "stpn", "plastic_lstm", "neuromodulated_lstm", "plastic_layer"])
def test_gradients_of_loops(name):
    core = make(name)
    inputs, starts = sequence()
    state = tuple(s.normal_(generator=torch.Generator().manual_seed(2)).requires_grad_() for s in core.initial_state(B))

    def run(inputs, *state):
        outputs, state = core(inputs, state, starts)
        return outputs, *state

    assert torch.autograd.gradcheck(run, (inputs.requires_grad_(), *state), fast_mode=True)


def test_what_is_no_core_is_refused():
    with pytest.raises(TypeError, match="core 'fractions:Fraction' must be a RecurrentCore, not Fraction"):
        make_core("fractions:Fraction", N_INPUTS)


def test_a_forget_bias_may_be_one_of_numpy():
    core = make("plastic_lstm", forget_bias=np.float32(2.5))
    assert core.input_map.bias[N : 2 * N].tolist() == [2.5] * N


def test_a_forget_bias_is_added_to_what_torch_begins_with():
    networks = []
    for forget_bias in (0, np.float32(2.5)):
        torch.manual_seed(0)
        networks.append(make("lstm", forget_bias=forget_bias).network.state_dict())
    torch.manual_seed(0)
    torch.testing.assert_close(networks[0], nn.LSTM(N_INPUTS, N).double().state_dict())
    changed = networks[1].pop("bias_ih_l0") - networks[0].pop("bias_ih_l0")
    torch.testing.assert_close(changed.view(4, N)[:, 0].tolist(), [0.0, 2.5, 0.0, 0.0])
    torch.testing.assert_close(*networks)


def test_a_forget_bias_is_a_number():
    with pytest.raises(ValueError, match="forget_bias must be a finite number"):
        make("lstm", forget_bias=float("nan"))


def test_the_modulation_is_what_writes_the_trace():
    core = make("neuromodulated")
    inputs, starts = sequence()
    before = core(inputs[:-1], core.initial_state(B), starts[:-1])[1]
    after = core(inputs[-1:], before, torch.zeros_like(starts[-1:]))[1]
    written = core.modulation(after).view(B, 1, 1) * before[0].unsqueeze(2) * after[0].unsqueeze(1)
    torch.testing.assert_close(after[1] - before[1], written)


def test_the_modulation_of_a_stack_is_that_of_its_modulated_layer():
    for skip in (True, False):
        core = make("stacked", skip=skip)
        _, state = core(sequence()[0], core.initial_state(B), sequence()[1])
        torch.testing.assert_close(core.modulation(state), core.layers[-1].modulation(state[-2:]))


def test_a_repeated_core_reads_every_input_twice():
    core = make("repeated")
    inputs, starts = sequence()
    outputs, state = core(inputs, core.initial_state(B), starts)
    twice = torch.stack([starts, torch.zeros_like(starts)], 1).flatten(0, 1)
    expected, expected_state = core.layer(torch.repeat_interleave(inputs, 2, 0), core.initial_state(B), twice)
    torch.testing.assert_close(outputs, expected[1::2])
    torch.testing.assert_close(state, expected_state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": 0}, "times must be .* 0"),
        ({"layer": "plastik"}, "layer: core 'plastik'.*did you mean 'plastic'"),
        ({"layer": ("plastic", {"width": 3})}, "layer: core 'plastic'.*no argument 'width'"),
        ({"layer": 7}, "layer must be names of cores or pairs"),
    ],
)
def test_a_repeated_core_names_what_is_wrong(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make_core("repeated", N_INPUTS, **arguments)


def test_a_delay_line_shows_the_last_inputs_of_the_episode():
    core = make("delay_line")
    inputs, starts = sequence()
    outputs, _ = core(inputs, core.initial_state(B), starts)
    for b in range(B):
        for t in range(T):
            first = max([s for s in range(t + 1) if starts[s, b]], default=0)
            seen = [inputs[t - d, b] if t - d >= first else torch.zeros(N_INPUTS) for d in (1, 2)]
            assert torch.equal(outputs[t, b], torch.cat(seen))


def test_a_memory_takes_any_core_by_name_as_its_controller():
    core = make_core("plastic_memory", N_INPUTS, hidden_size=N, controller="delay_line")
    assert core.output_size == N + 3 * N_INPUTS
    with pytest.raises(ValueError, match=r"controller: core 'delay_lin'.*did you mean 'delay_line'"):
        make_core("plastic_memory", N_INPUTS, controller="delay_lin")


@pytest.mark.parametrize(
    "name", ["plastic_memory", *(pytest.param(name, marks=pytest.mark.slow) for name in ("retroactive", "lstm"))]
)
def test_a_core_is_a_layer_that_can_be_compiled_and_exported(name):
    core = make_core(name, 5, hidden_size=4)
    layer, inputs = SequenceLayer(core), torch.randn(3, 2, 5)
    starts = torch.zeros(3, 2, dtype=torch.bool)
    starts[1, 1] = True
    state = core.initial_state(2)
    outputs, _ = core(inputs, state, starts)
    exported = torch.export.export(core, (inputs, state, starts)).module()
    torch.testing.assert_close(exported(inputs, state, starts)[0], outputs)
    torch.testing.assert_close(torch.compile(core, backend="eager")(inputs, state, starts)[0], outputs)
    expected = core(inputs)[0]
    assert torch.equal(torch.nn.Sequential(layer, torch.nn.Identity())(inputs), expected)
    torch.testing.assert_close(torch.export.export(layer, (inputs,)).module()(inputs), expected)


def test_a_memory_finds_what_it_stored_before_it_has_learned():
    """Keys begin as queries and alpha alike: of two things seen, the first is recalled where it is seen again."""
    torch.manual_seed(0)
    begun = {"controller": None, "rule": "decay", "eta_init": 0.5, "alpha_init": 1.0}
    memory = make_core("plastic_memory", 12, hidden_size=32, **begun)
    first, second = torch.randn(2, 12)
    silence = torch.zeros(12)
    outputs, _ = memory(torch.stack([first, second, silence, first])[:, None])
    fresh, _ = memory(torch.stack([silence, silence, silence, first])[:, None])
    recalled = outputs[3] - fresh[3]

    def likeness(a, b):
        return torch.nn.functional.cosine_similarity(a, b).item()

    assert likeness(recalled, outputs[0]) > max(0.5, likeness(recalled, outputs[1]))
