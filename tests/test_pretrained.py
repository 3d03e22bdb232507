"""The trained agents that come with the package: small, loaded by name, and as good as the page says."""

import json
import re
from pathlib import Path

import pytest
from stable_baselines3.common.evaluation import evaluate_policy

import plastic_rl
from plastic_rl.scripts.runs.folder import pretrained

NAMES = sorted(folder.name for folder in pretrained().glob("*/"))
PAGE = (Path(__file__).parents[1] / "docs" / "seeing.md").read_text()


def test_every_agent_is_on_the_page():
    assert sorted(set(re.findall(r"^\| `pretrained/(\S+)`", PAGE, re.M))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_is_small_and_scores_what_the_page_says(name):
    files = [file for file in (pretrained() / name).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 300_000
    model, env = plastic_rl.load_run(f"pretrained/{name}")
    env.close()
    env = plastic_rl.make_vec_env(f"plastic_rl/{name}", 32, seed=7)
    model.set_random_seed(7)
    mean_return, _ = evaluate_policy(model, env, n_eval_episodes=64)
    expected = float(re.search(rf"`pretrained/{name}`.*\| ([\d.]+) \|$", PAGE, re.M)[1])
    assert plastic_rl.score(f"plastic_rl/{name}", mean_return) == pytest.approx(expected, abs=0.08)
    assert files == [file for file in (pretrained() / name).rglob("*") if file.is_file()]


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_was_trained_for_as_long_as_the_page_says(name):
    (file,) = (pretrained() / name).glob("*/run.json")
    number, million = re.search(rf"`pretrained/{name}`.*\| ([\d,]+)( million)? steps \|", PAGE).groups()
    steps = int(number.replace(",", "")) * (1_000_000 if million else 1)
    assert json.loads(file.read_text())["config"]["n_timesteps"] == steps
