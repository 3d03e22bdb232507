"""Whatever is passed to a core, it works or says which argument cannot be."""

import inspect

import pytest
import torch
from hypothesis import strategies as st

from plastic_rl.cores import core_arguments, make_core, registered_cores
from plastic_rl.cores.registry import _find_core
from plastic_rl.ops import RULES, Rule, get_rule
from tests.junk import JUNK, fuzz, spoilt, works_or_names

EXAMPLES = [20, pytest.param(1000, marks=pytest.mark.slow)]
N_INPUTS, B, T = 6, 2, 3
OWN = Rule("own", lambda traces, *_: (0.9 * traces[0],), parameters=("mean",))
BY_TYPE = {int: st.integers(0, 6), float: st.floats(0, 1), bool: st.booleans()}
LAYER = st.one_of(
    st.sampled_from(["rnn", "plastic", "gruu"]),
    st.tuples(st.sampled_from(["gru", "delta", 3]), st.dictionaries(st.sampled_from(["hidden_size", "x"]), JUNK)),
    JUNK,
)
GOOD = {
    "rule": st.sampled_from([*RULES, get_rule("oja"), OWN, "ojja"]),
    "alpha": st.sampled_from(["per_connection", "shared", "none"]),
    "eta": st.sampled_from(["shared", "per_neuron"]),
    "keys": st.sampled_from(["separate", "shared"]),
    "controller": st.one_of(st.none(), LAYER),
    "controller_size": st.one_of(st.none(), st.integers(0, 6)),
    "key_size": st.one_of(st.none(), st.integers(0, 6)),
    "writes": st.sampled_from(["labelled", "always"]),
    "backend": st.sampled_from([None, "reference", "numba"]),
    "n_elements": st.integers(0, 8),
    "layer": LAYER,
    "layers": st.lists(LAYER, max_size=3),
}


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("name", registered_cores())
def test_arguments(name, examples):
    parameters = inspect.signature(_find_core(name)[0]).parameters
    good = {n: {**BY_TYPE, **GOOD}.get(n if n in GOOD else parameters[n].annotation) for n in core_arguments(name)}
    inputs, starts = torch.randn(T, B, N_INPUTS), torch.tensor([[True, True], [False, True], [False, False]])

    def check(arguments):
        core = works_or_names(lambda: make_core(name, N_INPUTS, **arguments), [*good, "output_size"])
        if core is not None:
            outputs, state = core(inputs, core.initial_state(B), starts)
            assert outputs.shape == (T, B, core.output_size)
            assert outputs.isfinite().all()
            assert [tuple(s.shape[1:]) for s in state] == list(core.state_shapes)
            one, _ = core.pure_step(inputs[0], core.initial_state(B), starts[0])
            torch.testing.assert_close(one, outputs[0], atol=1e-4, rtol=1e-4)

    fuzz(examples, check, spoilt(good))


@pytest.mark.parametrize("examples", EXAMPLES)
def test_names_and_sizes(examples):
    def check(core, input_size):
        made = works_or_names(lambda: make_core(core, input_size), ["core", "input_size"])
        assert made is None or made.output_size > 0

    names = st.one_of(JUNK, st.text(), st.sampled_from(["gru", "os:sep", ":", "a:", ".a:b", "nowhere:Core"]))
    fuzz(examples, check, names, st.one_of(st.integers(0, 3), JUNK))
