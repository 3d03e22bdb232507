"""Every option of RL Baselines3 Zoo's `train` is run once; and what is checked before anything is made."""

import sys
from pathlib import Path

import pytest
import yaml

from plastic_rl.scripts import train
from plastic_rl.scripts.zoo import commands
from plastic_rl.scripts.zoo.options import make_parser, parse, register_algorithms
from tests.scripts.small_runs import GRU, MAZE, PARAMS, refusal, trained

ENV = "plastic_rl/Maze-v0"
FILE = {ENV: {"policy": "MlpPolicy", "n_timesteps": 80, "n_envs": 4, "n_steps": 20, "batch_size": 40}}
TRAINING = [
    *("--algo", "plastic_ppo", "--env", ENV, *MAZE, *PARAMS, *GRU, "--seed", "1", "--device", "cpu", "--verbose", "0"),
    *("--num-threads", "1", "--log-interval", "1", "--vec-env", "dummy", "--gym-packages", "tests.scripts.faulty_envs"),
    *("--eval-freq", "80", "--eval-episodes", "2", "--n-eval-envs", "2", "--eval-env-kwargs", "size:5"),
    *("--save-freq", "80", "--save-replay-buffer", "--uuid", "--progress", "--checkpoint-seconds", "0"),
    *("--truncate-last-trajectory", "True"),
]
SEARCH = [
    *("--optimize-hyperparameters", "--n-trials", "2", "--max-total-trials", "2", "--n-jobs", "1"),
    *("--sampler", "random", "--pruner", "none", "--n-startup-trials", "1", "--n-evaluations", "1"),
    *("--no-optim-plots", "--study-name", "s"),
]
ELSEWHERE = {  # run by the other tests, with files
    *("--log-folder", "--tensorboard-log", "--n-timesteps", "--conf-file", "--storage", "--trial-id"),
    *("--optimization-log-path", "--trained-agent", "--resume", "--track"),
    *("--wandb-project-name", "--wandb-entity", "--wandb-group", "--wandb-tags"),
}


def test_every_option_of_the_zoo_is_run_by_a_test():
    register_algorithms()
    known = {action.option_strings[-1] for action in make_parser().actions()}
    used = {word.replace("-params", "--hyperparams") if word == "-params" else word for word in [*TRAINING, *SEARCH]}
    assert known == {word for word in used if word.startswith("--")} | ELSEWHERE


def test_all_options_of_a_training(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text(yaml.safe_dump(FILE))
    logs = ["-f", str(tmp_path / "runs"), "-tb", str(tmp_path / "tb")]
    train.main([*TRAINING, *logs, "-conf", str(file), "-n", "1.6e2"])
    (run,) = (tmp_path / "runs").glob("plastic_ppo/*_1_*")  # --uuid
    assert (run / "rl_model_160_steps.zip").exists()
    assert (run / "evaluations.npz").exists()


def test_a_search_and_a_training_with_what_it_found(tmp_path):
    storage = ["--storage", str(tmp_path / "study.log"), "--study-name", "s"]
    logs = ["-f", str(tmp_path / "runs"), "-tb", "", "--optimization-log-path", str(tmp_path)]
    train.main([*MAZE, *PARAMS, *SEARCH, *GRU, *storage, *logs, "-n", "80", "--verbose", "0"])
    assert list((tmp_path / "runs").glob("plastic_ppo/report_*.csv"))
    run = trained(tmp_path / "best", *GRU, *storage, "--trial-id", "1")
    settings = yaml.unsafe_load((next(run.glob("*/config.yml"))).read_text())
    assert str(settings["learning_rate"]).startswith("lin_")
    assert 0.8 <= settings["gamma"] <= 0.99


def test_the_zoos_own_search_keeps_the_files_network():
    from rl_zoo3.hyperparams_opt import HYPERPARAMS_SAMPLER

    class Trial:
        def suggest_float(self, name, low, high, log=False):
            return low

    register_algorithms()
    assert "policy_kwargs" not in HYPERPARAMS_SAMPLER["plastic_ppo"](Trial(), 1, 4, {})


def test_tracking_without_wandb(capsys):
    wandb = ["--track", "--wandb-project-name", "p", "--wandb-entity", "e", "--wandb-group", "g", "--wandb-tags", "t"]
    assert "pip install wandb" in refusal(capsys, train.main, wandb)


@pytest.mark.parametrize(("text", "number"), [("1e6", 1_000_000), ("2.5e3", 2500), ("7", 7)])
def test_numbers_of_steps(text, number):
    register_algorithms()
    assert parse(["-n", text]).n_timesteps == number


def test_help_is_one_screen_with_an_example_and_the_defaults(capsys):
    train.main(["--help"])
    text = capsys.readouterr().out
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 120
    assert "plastic-rl train --env" in text
    register_algorithms()
    for action in make_parser().actions():
        if action.option_strings[-1] in ("--algo", "--env", "--log-folder", "--tensorboard-log", "--num-threads"):
            assert f"default: {action.default}" in text


def test_help_all_lists_every_option(capsys):
    train.main(["--help-all"])
    text = capsys.readouterr().out
    assert all(action.option_strings[-1] in text for action in make_parser().actions())


def test_the_zoos_own_command_plays_our_agent(gru_run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", sys.argv)
    folder = gru_run.parents[1]
    flags = ["--algo", "plastic_ppo", "--env", ENV, "-f", str(folder), "--no-render", "-n", "25", "--device", "cpu"]
    commands.main(["enjoy", *flags])
    assert "Episode Reward" in capsys.readouterr().out
    assert "did you mean 'enjoy'" in refusal(capsys, commands.main, ["enjoi"])
    assert "plastic-rl train" in refusal(capsys, commands.main, ["train"])


def test_a_parser_that_the_zoo_declares_is_left_as_it_was():
    import argparse

    import rl_zoo3.train

    register_algorithms()
    make_parser()
    assert rl_zoo3.train.argparse is argparse
    assert Path(rl_zoo3.train.__file__).name == "train.py"


@pytest.mark.parametrize("steps", ["1e6x", "many", "nan", "inf", "0", "1.5"])
def test_a_number_of_steps_is_a_whole_number(capsys, steps):
    line = refusal(capsys, train.main, ["--algo", "plastic_ppo", "--env", ENV, "-n", steps])
    assert "argument -n/--n-timesteps: must be a whole number of at least 1, such as 1e6" in line
