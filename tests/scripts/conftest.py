"""Runs that the tests share: each is trained once. What a test changes, it changes in a copy."""

import pytest

from tests.scripts.small_runs import GRU, PARAMS, trained


@pytest.fixture(scope="session")
def plastic_run(tmp_path_factory):
    """A plastic core in a small maze, with normalized observations."""
    normalized = ["normalize:{'norm_obs': True, 'norm_reward': False}"]
    core = ["--core", "plastic", "--core-kwargs", "hidden_size:8", "rule:'oja'"]
    return trained(tmp_path_factory.mktemp("plastic"), *core, *PARAMS, *normalized)


@pytest.fixture(scope="session")
def gru_run(tmp_path_factory):
    """A GRU in a small maze."""
    return trained(tmp_path_factory.mktemp("gru"), *GRU)


@pytest.fixture(scope="session")
def recall_run(tmp_path_factory):
    """A core with two traces and a modulatory signal in pattern recall."""
    core = ["--env", "plastic_rl/PatternRecall-v0", "--core", "retroactive", "--core-kwargs", "hidden_size:8"]
    return trained(tmp_path_factory.mktemp("recall"), *core, small=PARAMS)
