"""The commands `train` and `evaluate`, end to end on small mazes."""

import json

import gymnasium as gym
import numpy as np
import pytest

from plastic_rl.agents import PlasticA2C, PlasticPPO
from plastic_rl.scripts import evaluate, train
from tests.scripts.small_runs import GRU, PARAMS, refusal, trained

NAME = "plastic_rl-Maze-v0"


def test_leaves_a_run_folder(gru_run):
    assert (gru_run / f"{NAME}.zip").exists()
    assert (gru_run / NAME / "args.yml").exists()
    assert next(gru_run.glob("*.monitor.csv")).read_text().count("\n") == 2 + 8  # 160 steps are 8 episodes of 20


@pytest.mark.parametrize("core", ["gru", "neuromodulated"])
def test_another_core_starts_from_its_own_defaults(core, tmp_path):
    """The file's row says hidden_size, rule, alpha_init and eta_init, of its own core."""
    run = trained(tmp_path, "--core", core)
    policy = PlasticPPO.load(run / f"{NAME}.zip").policy
    assert (policy.core_name, policy.core_kwargs) == (core, {})


def test_the_files_core_keeps_what_the_command_line_leaves_alone(tmp_path):
    core = ("--core", "plastic_memory", "--core-kwargs", "rule:decay")
    run = trained(tmp_path, *core, "--algo", "plastic_a2c", "-params", "n_envs:4", "n_steps:20")
    policy = PlasticA2C.load(run / f"{NAME}.zip").policy
    assert (policy.core_name, policy.core_kwargs) == ("plastic_memory", {"hidden_size": 64, "rule": "decay"})


def test_prints_a_table_and_the_commands_to_look_further(tmp_path, capsys):
    trained(tmp_path, *GRU, "--algo", "plastic_a2c", "-params", "n_envs:4", "n_steps:20", "-tb", str(tmp_path / "tb"))
    output = capsys.readouterr().out
    commands = ("tensorboard", " evaluate ", " plot ", " watch ")
    for word in ("mean return", "score", "episodes", "steps per second", *commands):
        assert word in output
    (events,) = (tmp_path / "tb").glob("*/*/events.*")
    assert events.parent.name == "PlasticA2C_gru_s1_1"


def test_a_log_folder_with_brackets_in_its_name(tmp_path):
    folders = [tmp_path / "lr[1e-3]", tmp_path / "tb[1]"]
    for _ in range(2):
        trained(folders[0], *GRU, "-tb", str(folders[1]))
    assert sorted(path.name for path in folders[0].glob("*/*")) == [f"{NAME}_1", f"{NAME}_2"]
    assert len(list(folders[1].glob("*/*"))) == 2


def test_a_trained_agent_goes_on(gru_run, tmp_path):
    run = trained(tmp_path, "-i", str(gru_run / f"{NAME}.zip"))
    assert evaluate.main([str(run), "--episodes", "4"]) is None
    assert json.loads((run / NAME / "run.json").read_text())["policy_kwargs"]["core"] == "gru"


def test_an_environment_of_ones_own_uses_the_default_hyperparameters(tmp_path):
    run = trained(tmp_path, "--env", "CartPole-v1", *GRU, small=["-params", "n_envs:2", "n_steps:32"])
    evaluate.main([str(run), "--episodes", "2"])


@pytest.mark.parametrize(
    ("wrapper", "policy"),
    [("minigrid.wrappers.FlatObsWrapper", "MlpPolicy"), ("minigrid.wrappers.ImgObsWrapper", "MlpPolicy")],
)
def test_the_policy_reads_what_comes_out_of_the_wrapper(wrapper, policy, tmp_path):
    pytest.importorskip("minigrid")
    env = ["--env", "MiniGrid-Empty-5x5-v0", "--gym-packages", "minigrid", *GRU]
    run = trained(tmp_path, *env, small=[*PARAMS, f"env_wrapper:'{wrapper}'"])
    (file,) = run.glob("*/run.json")
    assert json.loads(file.read_text())["policy"] == policy


@pytest.mark.parametrize(
    ("shape", "policy"), [((64, 64, 3), "CnnPolicy"), ((3, 36, 36), "CnnPolicy"), ((7, 7, 3), "MlpPolicy")]
)
def test_convolutions_read_images_that_are_large_enough_for_them(shape, policy):
    from plastic_rl.scripts.zoo.manager import policy_for

    assert policy_for(gym.spaces.Box(0, 255, shape, np.uint8)) == policy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "plastic_pp"], "did you mean 'plastic_ppo'"),
        (["--env", "plastic_rl/Maze-v1"], "did you mean 'plastic_rl/Maze-v0'"),
        (["--core", "plastik"], "did you mean 'plastic'"),
        (["--core-kwargs", "hiden_size:3"], "did you mean 'hidden_size'"),
        (["--core-kwargs", "hidden_size"], "NAME:VALUE"),
        (["--hyperparams", "n_step:3"], "did you mean 'n_steps'"),
        (["--hyperparams", "learning_rate:lin_1e-3"], "quote strings"),
        (["--env-kwargs", "size:8"], "size must be odd"),
        (["--env-kwargs", "sise:9"], "did you mean 'size'"),
        (["--hyperparam", "gamma:0.9"], "did you mean '--hyperparams'"),
        (["-n", "1.5"], "must be a whole number"),
        (["--track"], "pip install wandb"),
        (["--resume", "nowhere", "-n", "5"], "beside it stand only"),
        (["--hyperparams", "batch_size:100"], "250, 500"),
        (["--algo", "ppo", "--core", "gru"], "--core is for"),
        (["--gym-packages", "no_such_package"], "no_such_package"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(arguments, message, tmp_path, capsys):
    folder = tmp_path / "runs"
    assert message in refusal(capsys, train.main, ["-f", folder, "-tb", folder / "tb", *arguments])
    assert not folder.exists()


def test_evaluate_prints_and_writes_figures(gru_run, capsys):
    evaluate.main([str(gru_run), "--episodes", "8"])
    output = capsys.readouterr().out
    figures = json.loads((gru_run / "evaluation.json").read_text())
    assert [f["actions"] for f in figures] == ["sampled", "deterministic"]
    assert len(figures[0]["reward_by_time"]) == 20
    assert figures[0]["interval"][0] <= figures[0]["mean_return"] <= figures[0]["interval"][1]
    assert f"{figures[0]['mean_return']:.1f}" in output


@pytest.mark.parametrize("arguments", [["no_such_folder"], ["."], ["x", "--episodes", "0"], ["pretrained/Mase-v0"]])
def test_evaluate_says_what_is_wrong(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    refusal(capsys, evaluate.main, arguments)
