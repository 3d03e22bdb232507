"""Whatever is in a hyperparameter file or on the command line, `train` trains or says in one line what cannot be."""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import strategies as st

from plastic_rl.scripts import train
from plastic_rl.scripts.zoo.options import known_hyperparams, register_algorithms
from tests.junk import fuzz

EXAMPLES = [15, pytest.param(400, marks=pytest.mark.slow)]
ENV = "plastic_rl/ColourBandit-v0"
ALGORITHMS = ["plastic_ppo", "plastic_a2c", "plastic_bptt"]
SMALL = {"n_timesteps": 16, "n_envs": 2, "n_steps": 4, "policy_kwargs": "dict(core_kwargs=dict(hidden_size=3))"}
register_algorithms()
# What could stand there, as text: numbers, strings, no Python, and Python that fails.
TEXTS = ["1", "-1", "0", "2", "2.5", "float('nan')", "1e400", "10**30", "None", "True", "'abc'", "''", "[1]", "{}"]
TEXTS += ["dict(a=1)", "(", "1/0", "foo", "lin_1e-3", "'lin_1e-3'", "'lin_x'", "'3'", "[][0]", "'dict(', '"]
VALUES = st.sampled_from(
    [1, -1, 0, 2.5, float("nan"), 10**30, None, True, "abc", "", "3", "lin_x", "dict(", [1], {"a": 1}]
)
GARBAGE = ["", "a: [", "- 1", f"{ENV}: 3", f"{ENV}:", "other: {n_envs: 1}", "\t", "\x00", "!!python/object:os.x {}"]
FLAGS = st.sampled_from(
    [
        *(["--core", name] for name in ("gru", "grru", "os:sep", "")),
        *(
            ["--core-kwargs", pair]
            for pair in ("hidden_size:3", "hidden_size:x", "hidden_size", ":", "x:1", "eta_init:9")
        ),
        *(
            ["--env-kwargs", pair]
            for pair in ("episode_steps:4", "episode_steps:'x'", "episode_steps", "x:1", "a:(", ":")
        ),
        *(["--checkpoint-seconds", value] for value in ("0", "-1", "nan", "x")),
        *(["--seed", value] for value in ("0", "-3", "x", "99999999999999")),
        *(["--eval-freq", "4"], ["--n-eval-envs", "0"], ["--log-interval", "x"], ["--device", "abacus"]),
        *(["--vec-env", "none"], ["--num-threads", "-2"], ["-n", "x"], ["--nonsense"], ["nonsense"]),
        *(["--trained-agent", "nowhere.zip"], ["--gym-packages", "no.such"], ["--env", "x"], ["--algo", "x"]),
    ]
)


def trained(arguments):
    """Train; return the exit code and what was said on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            train.main(arguments)
        except SystemExit as left:
            return left.code, said.getvalue()
    return 0, said.getvalue()


def words(algorithm):
    """Return file contents, hyperparameters on the command line, and flags, of which one is strange, or none."""
    keys = st.sampled_from(known_hyperparams(algorithm))
    names = st.one_of(keys, st.sampled_from(["n_step", "", "a b"]))
    good = st.just(yaml.safe_dump({ENV: SMALL}))
    strange = st.dictionaries(keys, VALUES, max_size=2).map(lambda more: yaml.safe_dump({ENV: {**SMALL, **more}}))
    pairs = st.tuples(names, st.sampled_from(TEXTS)).map(lambda pair: ["-params", ":".join(pair)])
    none = st.just([])
    return st.one_of(
        st.tuples(st.one_of(strange, strange, st.sampled_from(GARBAGE)), none, none),
        st.tuples(good, pairs, none),
        st.tuples(good, none, FLAGS),
    )


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_files_and_flags(algorithm, examples):
    def check(drawn):
        file, pairs, flags = drawn
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "settings.yml"
            path.write_text(file)
            logs = ["-f", folder, "-tb", "", "--verbose", "0", "-n", "16"]
            code, said = trained(["--algo", algorithm, "--env", ENV, "-conf", str(path), *logs, *pairs, *flags])
        assert code in (0, 1, 2), said
        assert "Traceback" not in said, said
        assert code == 0 or said.count("error: ") == 1, said

    fuzz(examples, check, words(algorithm))
