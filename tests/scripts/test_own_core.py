"""A rule and a core of one's own, from the command line."""

from plastic_rl.scripts import evaluate, train

CODE = """
from plastic_rl.cores import PlasticCore
from plastic_rl.ops import Rule

def forgetful(traces, pre, post, eta, parameters):
    (trace,) = traces
    return (0.9 * trace + eta * pre.unsqueeze(2) * post.unsqueeze(1),)

class MyCore(PlasticCore):
    def __init__(self, input_size, hidden_size=64):
        super().__init__(input_size, hidden_size, rule=Rule("forgetful", forgetful))
"""


def test_a_core_of_ones_own_trains_and_is_evaluated(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_module.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    small = ["-n", "400", "-params", "n_envs:2", "n_steps:100", "batch_size:100", "n_epochs:1", "--verbose", "0"]
    core = ["--env", "plastic_rl/ColourBandit-v0", "--core", "my_module:MyCore", "--core-kwargs", "hidden_size:8"]
    train.main([*core, *small])
    assert "ColourBandit-v0" in capsys.readouterr().out
    evaluate.main(["runs/plastic_ppo/plastic_rl-ColourBandit-v0_1", "--episodes", "4"])
