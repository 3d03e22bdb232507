"""Every mistake on the page of mistakes gives the one line that stands there."""

import re
import shlex

import gymnasium as gym
import pytest
import torch

import plastic_rl
from plastic_rl.scripts.cli import main
from tests.docs.texts import DOCS

ROW = re.compile(r"^\| `(plastic-rl )?(.+?)` \| (.+) \|$", re.M)


def names():
    """Return what the page says is there."""
    known = {name: getattr(plastic_rl, name) for name in plastic_rl.__all__}
    env_id = "plastic_rl/PatternRecall-v0"
    model = plastic_rl.PlasticPPO("MlpPolicy", env_id)
    core = plastic_rl.make_core("plastic_memory", 5, hidden_size=4)
    return {**known, "gym": gym, "torch": torch, "env_id": env_id, "model": model, "core": core}


def said(code, names):
    """Return the message of the error that an expression raises."""
    with pytest.raises(Exception) as error:  # noqa: PT011
        eval(code, names)
    return str(error.value)


def said_by(command, capsys):
    """Return what a command prints, which must be one line, when it stops with exit code 2."""
    with pytest.raises(SystemExit) as end:
        main(shlex.split(command))
    assert end.value.code == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert not printed.out
    return line


@pytest.fixture(scope="module")
def known():
    return names()


ROWS = ROW.findall((DOCS / "mistakes.md").read_text())


def test_there_are_many():
    assert len(ROWS) >= 30


@pytest.mark.parametrize(("command", "code", "message"), ROWS, ids=[row[1][:60] for row in ROWS])
def test_its_message(command, code, message, known, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (said_by(code, capsys) if command else said(code, known)) == message
    assert not list(tmp_path.iterdir())
