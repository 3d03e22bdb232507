"""A short soak of every environment, and that it finds what is wrong."""

import numpy as np
import pytest

from plastic_rl.envs.maze import MazeVectorEnv
from plastic_rl.envs.registration import ENVIRONMENTS
from tests.soak import soak
from tests.soak.soak import Configuration, Figures


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_must_hold_holds(name):
    try:
        figures = soak.soak(f"plastic_rl/{name}", steps=1000)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert figures.steps == 1000
    assert sum(returns.count for returns in figures.returns.values()) > 0


def spoil_reward(env):
    env.task.reward = 20.0


def spoil_length(env):
    env.task.time[:] = 3


def spoil_sight(env):
    past = env.task.past
    env.task.past = lambda: past()[:, ::-1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(spoil_reward, "is not in Box"), (spoil_length, "episodes ended after"), (spoil_sight, "are seen as")],
)
def test_what_does_not_hold_is_found(spoil, message):
    def make():
        return MazeVectorEnv(4, "SameStep", episode_steps=50)

    configuration = Configuration(make(), make, np.random.default_rng(0))
    spoil(configuration.env)
    with pytest.raises(AssertionError, match=message):
        soak.run(configuration, 500, Figures("plastic_rl/Maze-v0"))


@pytest.mark.soak
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_soak(name, request, capsys):
    """Step a vector environment `--soak-steps` times: `pytest -m soak tests/soak --soak-steps 2000000 -k Maze`."""
    try:
        figures = soak.soak(f"plastic_rl/{name}", request.config.getoption("--soak-steps"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with capsys.disabled():
        print(f"\n{figures.row()}")
