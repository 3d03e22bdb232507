"""Every claim's small version runs through, once, and becomes a report."""

import json

import pytest

from plastic_rl.scripts import reproduce
from plastic_rl.scripts.claims import CLAIMS


def test_the_small_version_of_every_claim(tmp_path, capsys):
    results = tmp_path / "results"
    command = ["--quick", "--jobs", "2", "--results", str(results)]
    reproduce.main(command)
    report = (results / "RESULTS.md").read_text()
    for name, claim in CLAIMS.items():
        assert f"## {claim.title}" in report
        assert (results / "quick" / f"{name}.png").exists()
        files = sorted((results / "quick" / name).glob("*.json"))
        assert len(files) == min(2, len(claim.arms))
        assert all(-1 <= json.loads(file.read_text())["value"] <= 2 for file in files)
    capsys.readouterr()
    reproduce.main(command)  # a finished run is never run again
    assert "seed 1" not in capsys.readouterr().out
    reproduce.main(["maze", "lstm", "--evaluate", *command[:1], *command[3:]])
    tried, missing = capsys.readouterr().out.splitlines()
    assert tried.startswith("maze, plastic: score ")
    assert missing.startswith("lstm: no agent is kept; train one with:")


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
