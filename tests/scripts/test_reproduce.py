"""Claims are grids that can be read; their runs are measured once, and become a report."""

import csv
import json
import re
import shutil
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import yaml

from plastic_rl.scripts import reproduce
from plastic_rl.scripts.experiments import claim as claims
from plastic_rl.scripts.experiments import measure, report
from plastic_rl.scripts.experiments.claim import claim_names, read_claim
from plastic_rl.scripts.experiments.grid import check_runs, file_name, merged
from plastic_rl.scripts.runs.play import bootstrap_interval

ROOT = Path(__file__).parents[2]
TINY = {
    "title": "A tiny maze",
    "paper": "Not in the paper.",
    "expect": [{"arm": "plastic", "beats": "GRU"}],
    "agent": "plastic",
    "episodes": 8,
    "thresholds": [0.5],
    "algo": "plastic_ppo",
    "env": "plastic_rl/Maze-v0",
    "env_kwargs": {"size": 5, "episode_steps": 20},
    "core_kwargs": {"hidden_size": 8},
    "hyperparams": {"n_envs": 4, "n_steps": 20, "batch_size": 40, "n_epochs": 2, "learning_rate": "lin_1e-3"},
    "n_timesteps": 800,
    "seeds": 2,
    "arms": {"plastic": {"core": "plastic"}, "GRU": {"core": "gru"}},
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Make a package of one claim, `tiny`, and return the file."""
    folder = tmp_path / "paper"
    folder.mkdir()
    shutil.copy(claims.FOLDER / "report.md", folder)
    at(folder, monkeypatch)
    (folder / "tiny.yaml").write_text(json.dumps(TINY))
    return folder / "tiny.yaml"


SHORT_MAZE = {"n_timesteps": 20_000, "env_kwargs": {"size": 5, "episode_steps": 30}}
GLYPHS = {"n_timesteps": 5_000, "env_kwargs": {"n_queries": 10, "source": "glyphs"}}
IMAGES = {"settling_steps": 2, "presentation_steps": 2, "n_presentations": 1}
SMALL = {  # settings that make the runs of a claim small; 20,000 steps for the others
    "images": {"n_timesteps": 1_000, "env_kwargs": IMAGES},
    "recall": {"n_timesteps": 1_000, "env_kwargs": {"settling_steps": 5, "presentation_steps": 2, "n_patterns": 2}},
    "maze": {**SHORT_MAZE, "hyperparams": {"n_steps": 30, "batch_size": 480}},
    "rule": {**SHORT_MAZE, "hyperparams": {"n_steps": 30, "batch_size": 480}},
    "maze-a2c": {**SHORT_MAZE, "hyperparams": {"n_steps": 30}},
    **dict.fromkeys(("omniglot", "omniglot-20", "prototypical"), GLYPHS),
    **{name: {"n_timesteps": 8_000} for name in ("lstm", "minigrid", "popgym")},
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Make a small version of every claim: one seed, few steps, one test."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in claim_names():
        content = yaml.safe_load((claims.FOLDER / f"{name}.yaml").read_text())
        tiny = SMALL.get(name, {"n_timesteps": 20_000})
        arms = {arm: merged(settings, tiny) for arm, settings in content["arms"].items()}
        small = {"arms": arms, "seeds": 1, "expect": [], "tests": {}, "episodes": 64}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(merged(content, tiny) | small, sort_keys=False))
    (folder / "report.md").write_text("# Results\n")
    return at(folder, monkeypatch)


def at(folder, monkeypatch):
    """Make the claims of a folder those of the package."""
    monkeypatch.setattr(claims, "FOLDER", folder)
    monkeypatch.setattr(report, "FOLDER", folder)
    monkeypatch.setattr(reproduce, "read_claim", lambda name: read_claim(name, folder))
    monkeypatch.setattr(report, "read_claim", lambda name: read_claim(name, folder))
    return folder


def test_every_claim_can_be_run(small):
    for name in claim_names():
        check_runs(read_claim(name, small).runs())


@pytest.mark.slow
def test_the_first_run_of_every_claim_when_it_is_small(small, tmp_path, monkeypatch):
    results = tmp_path / "results"
    monkeypatch.setattr(reproduce, "chosen", lambda claim, arms, seeds: claim.runs()[:1])
    reproduce.main(["--jobs", "2", "--results", str(results)])
    text = (tmp_path / "RESULTS.md").read_text()
    for name in claim_names():
        claim = read_claim(name, small)
        assert f"## {claim.title}" in text
        (file,) = (results / name).glob("*.json")
        result = json.loads(file.read_text())
        assert ("last_states" in result) == claim.last_states
        assert claim.pictures == any((results / name).glob("*-episode.png"))
        assert not claim.last_states or result["last_states"][""][-1] == result["value"]
        assert -1 <= result["value"] <= 2 or claim.measure.endswith("return")


def test_a_claim_is_trained_measured_reported_and_never_run_again(tiny, tmp_path, capsys):
    results = tmp_path / "results"
    command = ["tiny", "--jobs", "2", "--results", str(results)]
    reproduce.main([*command, "--arms", "plastic", "--seeds", "1"])
    assert [file.name for file in (results / "tiny").glob("*.json")] == ["plastic-1.json"]
    result = json.loads((results / "tiny" / "plastic-1.json").read_text())
    assert (result["steps"], result["episodes"]) == (800, 40)
    assert 0 < result["cpu_seconds"] < 600
    assert {"value", "sampled", "final_return"} <= set(result)
    curve = list(csv.DictReader((results / "tiny" / "plastic-1.csv").open()))
    assert list(curve[0]) == ["steps", "episodes", "cpu_seconds", "return", "value"]
    assert (curve[-1]["steps"], curve[-1]["episodes"]) == ("800", "40")
    used = [float(row["cpu_seconds"]) for row in curve]
    assert used == sorted(used)
    assert used[-1] == pytest.approx(result["cpu_seconds"], abs=0.1)
    assert float(np.mean([float(row["return"]) for row in curve])) == pytest.approx(result["final_return"], rel=1e-4)
    for suffix in ("json", "csv"):  # now the other arm is on file, and this one's training, which was not measured
        (results / "tiny" / f"plastic-1.{suffix}").rename(results / "tiny" / f"GRU-1.{suffix}")
    capsys.readouterr()
    reproduce.main([*command, "--seeds", "1"])
    out = capsys.readouterr().out
    assert "tiny/plastic-1" in out
    assert "tiny/GRU-1" not in out
    assert json.loads((results / "tiny" / "plastic-1.json").read_text())["value"] == result["value"]
    (attempts,) = (results / "runs").rglob("attempts.txt")
    assert attempts.read_text().count("\n") == 1
    text = (tmp_path / "RESULTS.md").read_text()
    assert re.search(r"\| Not in the paper\. \| \*score\*<br>plastic: .*, 1 seed<br>GRU: .*, 1 seed \| \w+ \|", text)
    assert (results / "tiny.png").exists()
    assert "episodes to 0.5" in (results / "tiny" / "table.md").read_text()
    reproduce.main(["tiny", "--evaluate", "--results", str(results)])
    assert capsys.readouterr().out.splitlines()[-1] == f"tiny, plastic: score {result['value']:.4f} in 8 episodes"


def test_kept_agents_are_tried_in_all_tests_of_their_claim(tmp_path, monkeypatch, capsys):
    (tmp_path / "agents" / "omniglot-20").mkdir(parents=True)
    run = SimpleNamespace(load=lambda device: None)
    monkeypatch.setattr("plastic_rl.scripts.runs.folder.open_run", lambda folder: run)
    monkeypatch.setattr(measure, "evaluate", lambda run, model, test, *more: test.get("n_way", 20))
    reproduce.main(["omniglot-20", "lstm", "--evaluate", "--results", str(tmp_path)])
    agent = read_claim("omniglot-20").agent
    assert capsys.readouterr().out.splitlines() == [
        f"omniglot-20, {agent}: wrong answers 20.0000 in 1,024 episodes",
        f"omniglot-20, {agent}, 5-way: wrong answers 5.0000 in 1,024 episodes",
        "lstm: no agent is kept",
    ]


def test_the_report_is_what_the_kept_results_say(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "draw", lambda claim, arms, path: None)
    unread = shutil.ignore_patterns("runs", "agents", "*.png")
    results = shutil.copytree(ROOT / "results", tmp_path / "results", ignore=unread)
    for picture in ROOT.glob("results/*/*.png"):
        (results / picture.relative_to(ROOT / "results")).touch()
    assert report.write_report(results, tmp_path / "RESULTS.md").read_text() == (ROOT / "RESULTS.md").read_text()
    for table in ROOT.glob("results/*/table.md"):
        assert (results / table.relative_to(ROOT / "results")).read_text() == table.read_text()


def test_the_first_table_says_what_lies_in_the_results_folder():
    rows = (ROOT / "RESULTS.md").read_text().partition("|---|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    for row in rows:
        _, link, _, here, verdict, _ = (cell.strip() for cell in row.split("|"))
        name = link.partition("]")[0].strip("[")
        claim = read_claim(name)
        said = re.findall(r"<br>([^<]+?): (-?[\d.]+)(%?)(?: \((-?[\d.]+)%? to (-?[\d.]+)%?\))?, (\d+) seeds?", here)
        assert said
        assert verdict in ("reproduced", "partly", "not", "open", "no claim")
        for arm, mean, percent, low, high, seeds in said:
            by_seed = defaultdict(list)
            tasks = [""] if arm in claim.arms else claim.tasks  # of an arm without its task, the mean over the tasks
            for task in tasks:
                full = ", ".join(filter(None, (arm, task)))
                assert full in claim.arms
                for file in sorted((ROOT / "results" / name).glob(f"{file_name(full)}-?.json")):
                    by_seed[file.stem[-1]].append(json.loads(file.read_text())["value"] * (100 if percent else 1))
            values = [np.mean(found) for found in by_seed.values() if len(found) == len(tasks)]
            assert int(seeds) == len(values)
            assert float(mean) == pytest.approx(np.mean(values), abs=0.0051)
            if low:
                interval = bootstrap_interval(np.array(values)[:, None])[:, 0]
                assert [float(low), float(high)] == pytest.approx(interval, abs=0.0051)


def claim_of(tmp_path, **settings):
    (tmp_path / "c.yaml").write_text(json.dumps({**TINY, **settings}))
    return read_claim("c", tmp_path)


@pytest.mark.parametrize(
    ("measured", "values", "verdict"),
    [
        ("score", {"plastic": [0.9, 0.8], "GRU": [0.1, 0.2]}, "reproduced"),
        ("score", {"plastic": [0.9, 0.1], "GRU": [0.1, 0.2]}, "not"),  # intervals overlap
        ("wrong bits", {"plastic": [0.9, 0.8], "GRU": [0.1, 0.2]}, "not"),
        ("wrong bits", {"plastic": [0.1], "GRU": [0.3, 0.2]}, "reproduced"),
        ("score", {"plastic": [0.9, 0.8]}, "open"),
    ],
)
def test_a_verdict_follows_from_what_is_on_file(measured, values, verdict, tmp_path):
    claim = claim_of(tmp_path, measure=measured)
    arms = {arm: [{"seed": seed, "value": value} for seed, value in enumerate(found)] for arm, found in values.items()}
    assert report.verdict(claim, arms) == verdict


def test_an_arm_in_several_tasks_is_its_mean_over_those_seeds_that_have_all(tmp_path):
    tasks = {"a": {"env_kwargs": {"size": 5}}, "b": {"env_kwargs": {"size": 7}}}
    claim = claim_of(tmp_path, tasks=tasks)
    assert claim.arms == ["plastic, a", "plastic, b", "GRU, a", "GRU, b"]
    runs = {"plastic, a": {1: 0.2, 2: 0.4}, "plastic, b": {1: 0.6}}
    arms = {arm: [{"seed": seed, "value": value} for seed, value in found.items()] for arm, found in runs.items()}
    assert report.values_of(claim, arms, "plastic") == [pytest.approx(0.4)]
    assert report.values_of(claim, arms, "plastic, a") == [0.2, 0.4]
    assert {run.values["arm"] for run in reproduce.chosen(claim, ["GRU"], None)} == {"GRU, a", "GRU, b"}


def test_figures_of_several_seeds_and_of_several_tasks(tmp_path):
    claim = read_claim("maze")
    arms = report.read_results(claim, ROOT / "results")
    assert len(arms["plastic"]) == 5
    report.draw(claim, {"plastic": arms["plastic"], "RNN": arms["RNN"][:1]}, tmp_path / "several.png")
    tasks = claim_of(tmp_path, tasks={"a": {}, "b": {}, "c": {}})
    report.draw(tasks, {"plastic, a": arms["plastic"], "GRU, c": arms["GRU"]}, tmp_path / "tasks.png")
    for name in ("several", "tasks"):
        assert iio.imread(tmp_path / f"{name}.png").std() > 5  # no empty page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"measure": "scores"}, "did you mean 'score'?"),
        ({"expect": [{"arm": "plastik", "beats": 0.5}]}, "did you mean 'plastic'?"),
        ({"core_kwargs": {"hidden_size": [8, 16]}}, "must be one choice of settings"),
        ({"arms": {"a b": {}, "a-b": {}}, "expect": []}, "no two may share a file's name"),
        ({"titel": "x"}, "key of the sweep 'titel' is not known"),
    ],
)
def test_a_wrong_claim_says_what_is_wrong(settings, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        claim_of(tmp_path, **settings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recal"], "did you mean 'recall'?"),
        (["maze", "--arms", "plastik"], "did you mean 'plastic'?"),
        (["maze", "--seeds", "77"], "has none of [77]"),
    ],
)
def test_names_that_are_not_known(words, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as left:
        reproduce.main([*words, "--results", str(tmp_path)])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
