"""What `evaluate` measures: intervals, ablations, figures; and what it says of folders that are no runs."""

import json
import shutil
from zipfile import ZipFile

import numpy as np
import pytest

from plastic_rl.scripts import evaluate
from plastic_rl.scripts.runs import play
from plastic_rl.scripts.runs.folder import open_run
from plastic_rl.scripts.runs.play import bootstrap_interval
from tests.scripts.small_runs import refusal

NAME = "plastic_rl-Maze-v0"


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    low, high = bootstrap_interval(rng.normal(size=(60, 400)))
    assert 0.9 < np.mean((low < 0) & (high > 0)) < 0.98


def test_short_episodes_count_only_while_they_last():
    low, high = bootstrap_interval(np.array([[1.0, 2.0, 3.0], [3.0, np.nan, np.nan]]))
    assert low.tolist() == [1, 2, 3]
    assert high.tolist() == [3, 2, 3]


def test_one_table_and_one_json_for_all_runs(plastic_run, gru_run, tmp_path, capsys):
    file = tmp_path / "new" / "figures.json"
    evaluate.main([str(plastic_run), str(gru_run), "--episodes", "8", "--json", str(file)])
    figures = json.loads(file.read_text())
    assert [(f["run"], f["actions"]) for f in figures] == [
        (str(run), how) for run in (plastic_run, gru_run) for how in ("sampled", "deterministic")
    ]
    assert json.loads((gru_run / "evaluation.json").read_text()) == figures[2:]
    for figure in figures:
        low, high = figure["score_interval"]
        assert low <= figure["score"] <= high
        assert len(figure["reward_by_time"]) == 20
        assert sum(figure["reward_by_time"]) == pytest.approx(figure["mean_return"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= max(80, len(str(plastic_run)) + 10)


@pytest.mark.parametrize("ablate", ["trace", "state"])
def test_an_ablated_memory_stays_empty(plastic_run, ablate, monkeypatch):
    run = open_run(str(plastic_run))
    model = run.load("cpu")
    states, predict = [], model.predict

    def watched(observation, state, *args, **kwargs):
        states.append(state)
        return predict(observation, state, *args, **kwargs)

    monkeypatch.setattr(model, "predict", watched)
    whole = play.evaluate(run, model, 4, 0, deterministic=False)
    assert all(state[0].any() and state[1].any() for state in states[5:20])
    states.clear()
    result = play.evaluate(run, model, 4, 0, deterministic=False, ablate=ablate)
    activity, trace = zip(*states[1:], strict=True)
    assert not np.any(trace)
    assert np.any(activity) == (ablate == "trace")
    assert (whole["ablate"], result["ablate"]) == (None, ablate)


def test_ablations_are_rows_of_their_own(gru_run, capsys):
    evaluate.main([str(gru_run), "--ablate", "state", "--episodes", "4"])
    assert "without state" in capsys.readouterr().out
    figures = json.loads((gru_run / "evaluation.json").read_text())
    assert [figure["ablate"] for figure in figures] == [None, None, "state", "state"]


def test_a_core_without_a_trace_cannot_lose_it(plastic_run, gru_run, capsys):
    assert "'gru' has no trace" in refusal(capsys, evaluate.main, [plastic_run, gru_run, "--ablate", "trace"])


def broken(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


def test_a_model_that_is_cut_off(gru_run, tmp_path, capsys):
    run = broken(gru_run, tmp_path)
    model = run / f"{NAME}.zip"
    model.write_bytes(model.read_bytes()[:1000])
    assert "cut off" in refusal(capsys, evaluate.main, [run])


def test_a_model_of_another_version_is_one_line(plastic_run, gru_run, tmp_path, capsys):
    # The parameters of one core in the folder of another are what a renamed parameter looks like.
    run = broken(plastic_run, tmp_path)
    with (
        ZipFile(gru_run / f"{NAME}.zip") as other,
        ZipFile(plastic_run / f"{NAME}.zip") as own,
        ZipFile(run / f"{NAME}.zip", "w") as mixed,
    ):
        for name in own.namelist():
            mixed.writestr(name, (other if name == "policy.pth" else own).read(name))
    assert "does not fit this version" in refusal(capsys, evaluate.main, [run])


@pytest.mark.parametrize("file", [f"{NAME}/normalization.json", f"{NAME}.zip"])
def test_a_half_written_run_names_what_is_missing(plastic_run, file, tmp_path, capsys):
    run = broken(plastic_run, tmp_path)
    (run / file).unlink()
    assert f"{file} is missing" in refusal(capsys, evaluate.main, [run])


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("run.json", "{}", "another version"),
        ("run.json", "[1]", "another version"),
        ("run.json", '{"format": 0}', "format 0, written by plastic_rl None; this version reads format 1"),
        ("run.json", '{"format": 2, "plastic_rl": "7.0"}', "format 2, written by plastic_rl 7.0; this version reads"),
        ("run.json", '{"format": 1}', "it does not say 'gym_packages'"),
        ("run.json", '{"format": 1, ', "cut off"),
        ("run.json", '{"format": 1, "policy": {"class": "os:system"}}', "which is not loaded unasked"),
        ("run.json", '{"format": 1, "policy": {"class": "plastic_rl.agents:Nothing"}}', "which is not there"),
    ],
)
def test_settings_that_cannot_be_read(plastic_run, file, text, message, tmp_path, capsys):
    run = broken(plastic_run, tmp_path)
    (run / NAME / file).write_text(text)
    assert message in refusal(capsys, evaluate.main, [run])


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("env", "plastic_rl/Mase-v0", "did you mean 'plastic_rl/Maze-v0'"),
        ("algo", "plastic_pp", "did you mean 'plastic_ppo'"),
        ("gym_packages", ["no_such_package"], "no_such_package"),
        ("env_kwargs", {"sise": 5}, "cannot be made"),
    ],
)
def test_settings_of_another_version(plastic_run, setting, value, message, tmp_path, capsys):
    run = broken(plastic_run, tmp_path)
    file = run / NAME / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), setting: value}))
    assert message in refusal(capsys, evaluate.main, [run])


def test_the_folder_above_names_the_runs_in_it(gru_run, capsys):
    assert str(gru_run) in refusal(capsys, evaluate.main, [gru_run.parent])


def test_no_pickled_file_is_read_unless_trusted(plastic_run, tmp_path, capsys):
    run = broken(plastic_run, tmp_path)
    for name in ("args.yml", "config.yml", "vecnormalize.pkl"):
        (run / NAME / name).write_bytes(b"\x80\x04cos\nabort\n)R.")  # would end this process
    with ZipFile(plastic_run / f"{NAME}.zip") as whole, ZipFile(run / f"{NAME}.zip", "w") as file:
        file.writestr("policy.pth", whole.read("policy.pth"))  # none of SB3's pickled fields
    evaluate.main([str(run), "--episodes", "4"])
    (run / NAME / "run.json").unlink()
    assert "--trust reads it" in refusal(capsys, evaluate.main, [run])


def test_a_trusted_run_of_another_program(plastic_run, tmp_path):
    run = broken(plastic_run, tmp_path)
    (run / NAME / "run.json").unlink()
    evaluate.main([str(run), "--episodes", "4", "--trust"])
