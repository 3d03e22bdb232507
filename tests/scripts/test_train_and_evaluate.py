"""The commands, end to end on small mazes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from plastic_rl.scripts import evaluate, train

SMALL = ["--env-kwargs", "size:5", "episode_steps:20", "-params", "n_envs:4", "n_steps:20", "batch_size:40"]


def small_run(folder, *more):
    logs = ["-f", str(folder / "runs"), "-tb", str(folder / "tb")]
    return [*SMALL, *logs, "-n", "160", "--seed", "1", "--verbose", "0", *more]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train.main(small_run(folder, "--core", "gru", "--core-kwargs", "hidden_size:8"))
    return folder / "runs" / "plastic_ppo" / "plastic_rl-Maze-v0_1"


def test_leaves_a_run_folder(run):
    assert (run / "plastic_rl-Maze-v0.zip").exists()
    assert (run / "plastic_rl-Maze-v0" / "args.yml").exists()
    assert list((run.parents[2] / "tb").rglob("events.*"))
    assert next(run.glob("*.monitor.csv")).read_text().count("\n") == 2 + 8  # 160 steps are 8 lives of 20


def test_the_core_asked_for_keeps_what_it_understands(run):
    from plastic_rl.agents import PlasticPPO

    policy = PlasticPPO.load(run / "plastic_rl-Maze-v0.zip").policy
    assert (policy.core_name, policy.core_kwargs) == ("gru", {"hidden_size": 8})


def test_a_core_named_for_its_rule_keeps_that_rule(tmp_path):
    from plastic_rl.agents import PlasticPPO

    train.main(small_run(tmp_path, "--core", "neuromodulated"))  # the file says rule='oja' for its own core
    model = PlasticPPO.load(tmp_path / "runs" / "plastic_ppo" / "plastic_rl-Maze-v0_1" / "plastic_rl-Maze-v0.zip")
    assert model.policy.core.rule.name == "neuromodulated"


def test_prints_a_table_and_the_commands_to_look_further(tmp_path, capsys):
    train.main(small_run(tmp_path, "--algo", "plastic_a2c", "-params", "n_envs:4", "n_steps:20"))
    output = capsys.readouterr().out
    commands = ("tensorboard", "scripts.evaluate", "scripts.plot", "scripts.watch")
    for word in ("mean return", "score", "episodes", "steps per second", *commands):
        assert word in output


def test_an_environment_of_ones_own_uses_the_default_hyperparameters(tmp_path):
    logs = ["-f", str(tmp_path), "-tb", str(tmp_path / "tb"), "--verbose", "0"]
    train.main(["--env", "CartPole-v1", "-n", "128", "-params", "n_envs:2", "n_steps:32", *logs])
    evaluate.main([str(tmp_path / "plastic_ppo" / "CartPole-v1_1"), "--episodes", "2", "--deterministic"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "plastic_pp"], "did you mean 'plastic_ppo'"),
        (["--env", "plastic_rl/Maze-v1"], "did you mean 'plastic_rl/Maze-v0'"),
        (["--core", "plastik"], "did you mean 'plastic'"),
        (["--core-kwargs", "hiden_size:3"], "did you mean 'hidden_size'"),
        (["--core-kwargs", "hidden_size"], "KEY:VALUE"),
        (["--hyperparams", "n_step:3"], "did you mean 'n_steps'"),
        (["--hyperparams", "learning_rate:lin_1e-3"], "quote strings"),
        (["--env-kwargs", "size:8"], "size must be odd"),
        (["--env-kwargs", "sise:9"], "sise"),
        (["--hyperparams", "batch_size:100"], "250, 500"),
        (["--algo", "ppo", "--core", "gru"], "--core is for"),
        (["--gym-packages", "no_such_package"], "no_such_package"),
    ],
)
def test_a_wrong_name_is_one_line_and_exit_code_2(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        train.main(["-f", str(tmp_path), "--verbose", "0", *arguments])
    error = capsys.readouterr().err.strip()
    assert left.value.code == 2
    assert message in error
    assert error.startswith("error: ")
    assert "\n" not in error


def test_ctrl_c_saves_the_model_and_says_where(tmp_path):
    command = [sys.executable, "-m", "plastic_rl.scripts.train", *small_run(tmp_path)]
    command[command.index("160")] = "100000000"
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # A shell starts its background jobs, and all that they start, without it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    monitor = tmp_path / "runs" / "plastic_ppo" / "plastic_rl-Maze-v0_1" / "0.monitor.csv"
    deadline = time.monotonic() + 120
    while not (monitor.exists() and monitor.stat().st_size > 500) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"Saving to {monitor.parent}" in output
    assert (monitor.parent / "plastic_rl-Maze-v0.zip").exists()


def test_evaluate_prints_and_writes_figures(run, capsys):
    evaluate.main([str(run), "--episodes", "8"])
    output = capsys.readouterr().out
    figures = json.loads((run / "evaluation.json").read_text())
    assert [f["actions"] for f in figures] == ["sampled", "deterministic"]
    assert len(figures[0]["reward_by_time"]) == 20
    assert figures[0]["interval"][0] <= figures[0]["mean_return"] <= figures[0]["interval"][1]
    assert f"{figures[0]['mean_return']:.1f}" in output


def test_evaluate_shows_a_life(run, tmp_path, capsys):
    few = [str(run), "--episodes", "4", "--deterministic"]
    evaluate.main([*few, "--render", "ansi"])
    assert "step 20" in capsys.readouterr().out
    evaluate.main([*few, "--render", str(tmp_path / "life.gif")])
    assert (tmp_path / "life.gif").stat().st_size > 1000


def test_evaluate_recomputes_the_figures_of_a_score(capsys):
    evaluate.main(["--reference", "plastic_rl/Maze-v0", "--episodes", "64"])
    assert "oracle" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["no_such_folder"],
        ["."],
        [],
        ["--reference", "plastic_rl/Mase-v0"],
        ["--reference", "CartPole-v1"],
        ["x", "--episodes", "0"],
        ["x", "--render", "life.avi"],
        ["x", "y", "--render", "ansi"],
    ],
)
def test_evaluate_says_what_is_wrong(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        evaluate.main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err.strip().count("\n") == 0
