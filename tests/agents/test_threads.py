"""Trainings side by side from Python do not slow one another down, or a warning says what helps."""

import os
import subprocess
import sys
import warnings

import pytest
import torch
from memory_envs import Echo

import plastic_rl
from plastic_rl.agents import PlasticPPO, rollouts


@pytest.mark.parametrize(("given", "found"), [(None, "passive"), ("active", "active")])
def test_importing_the_package_lets_idle_threads_sleep_unless_the_user_decided(given, found):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    code = "import os, plastic_rl; print(os.environ['OMP_WAIT_POLICY'])"
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == found


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(rollouts, "_warned", False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("spins", "threads"), [(True, 1), (False, 2)])
def test_where_threads_sleep_or_there_is_one_nothing_is_said(spins, threads, fresh, monkeypatch):
    monkeypatch.setattr(plastic_rl, "_spins", spins)
    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PlasticPPO("MlpPolicy", Echo(), n_steps=5).learn(5)


def test_where_threads_spin_one_line_says_so_once(fresh, monkeypatch):
    monkeypatch.setattr(plastic_rl, "_spins", True)
    torch.set_num_threads(2)
    model = PlasticPPO("MlpPolicy", Echo(), n_steps=5)
    with pytest.warns(UserWarning, match=r"call torch\.set_num_threads\(1\)"):
        model.learn(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(5)
