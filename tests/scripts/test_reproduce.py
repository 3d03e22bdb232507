"""Every claim's small version runs through, once, and becomes a report."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from plastic_rl.scripts import reproduce
from plastic_rl.scripts.experiments import report
from plastic_rl.scripts.experiments.claims import CLAIMS

ROOT = Path(__file__).parents[2]


def test_the_small_version_of_every_claim(tmp_path, capsys):
    results = tmp_path / "results"
    command = ["--quick", "--jobs", "2", "--results", str(results)]
    reproduce.main(command)
    report = (results / "RESULTS.md").read_text()
    for name, claim in CLAIMS.items():
        assert f"## {claim.title}" in report
        assert (results / "quick" / f"{name}.png").exists()
        (file,) = (results / "quick" / name).glob("*.json")
        result = json.loads(file.read_text())
        assert -1 <= result["value"] <= 2
        assert ("last_states" in result) == claim.last_states
        assert not claim.last_states or result["last_states"][""][-1] == result["value"]
        (args,) = (results / "quick" / result["folder"]).rglob("args.yml")
        assert "- - device\n    - cpu\n" in args.read_text()  # whose time is what the report compares
    capsys.readouterr()
    reproduce.main(command)  # a finished run is never run again
    assert "seed 1" not in capsys.readouterr().out
    reproduce.main(["maze", "lstm", "--evaluate", *command[:1], *command[3:]])
    tried, missing = capsys.readouterr().out.splitlines()
    assert tried.startswith("maze, plastic: score ")
    assert missing.startswith("lstm: no agent is kept; train one with:")


def test_kept_agents_are_tried_in_all_tests_of_their_claim(tmp_path, monkeypatch, capsys):
    (tmp_path / "agents" / "omniglot-20").mkdir(parents=True)
    run = SimpleNamespace(load=lambda device: None)
    monkeypatch.setattr("plastic_rl.scripts.runs.folder.open_run", lambda folder: run)
    fresh_lives = "plastic_rl.scripts.experiments.outcome.fresh_lives"
    monkeypatch.setattr(fresh_lives, lambda _, __, test, *___: test.get("n_way", 20))
    reproduce.main(["omniglot-20", "--evaluate", "--results", str(tmp_path)])
    agent = CLAIMS["omniglot-20"].agent
    assert capsys.readouterr().out.splitlines() == [
        f"omniglot-20, {agent}: wrong answers 20.0000 in 1,024 lives",
        f"omniglot-20, {agent}, 5-way: wrong answers 5.0000 in 1,024 lives",
    ]


def test_the_report_is_what_the_kept_results_say(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "draw", lambda claim, arms, path: None)
    unread = shutil.ignore_patterns("runs", "quick", "agents")
    results = shutil.copytree(ROOT / "results", tmp_path / "results", ignore=unread)
    assert report.write_report(results, tmp_path / "RESULTS.md").read_text() == (ROOT / "RESULTS.md").read_text()


def test_a_figure_of_several_arms_and_seeds(tmp_path):
    runs = report._read(ROOT / "results" / "maze", "plastic")
    report.draw(CLAIMS["maze"], {"plastic": runs, "RNN": runs[:1]}, tmp_path / "several.png")
    assert (tmp_path / "several.png").stat().st_size > 10_000


def test_a_run_that_two_claims_share_is_trained_once(tmp_path):
    finished = reproduce.Job("maze", "plastic", seed=3, quick=False, results=tmp_path)
    finished.stem.parent.mkdir()
    finished.stem.with_suffix(".csv").write_text("lives,returns\n")
    finished.stem.with_suffix(".json").write_text('{"value": 0.5}')
    job = reproduce.Job("rule", "Oja", seed=3, quick=False, results=tmp_path)
    assert reproduce.run(job) == {"value": 0.5}
    assert job.done
    assert job.stem.with_suffix(".csv").read_text() == "lives,returns\n"
    kept = reproduce.Job("maze", "plastic", seed=1, quick=False, results=tmp_path)  # its agent is, so it is trained
    (tmp_path / "rule" / "Oja-1.json").write_text("{}")
    assert reproduce._twin(kept) is None


def test_a_claim_that_is_not_known(capsys):
    with pytest.raises(SystemExit) as left:
        reproduce.main(["recal"])
    assert left.value.code == 2
    assert "did you mean 'recall'?" in capsys.readouterr().err
