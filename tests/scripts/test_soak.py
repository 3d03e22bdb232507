"""A short soak of every environment, and that it finds what is wrong."""

import numpy as np
import pytest

from plastic_rl.envs.maze import MazeVectorEnv
from plastic_rl.envs.registration import ENVIRONMENTS
from plastic_rl.scripts import soak
from plastic_rl.scripts.soak import Configuration, Figures


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_must_hold_holds(name):
    try:
        figures = soak.soak(f"plastic_rl/{name}", steps=3000)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert figures.steps == 3000
    assert sum(returns.count for returns in figures.returns.values()) > 0


def spoil_reward(env):
    env.task.reward = 20.0


def spoil_length(env):
    env.task.time[:] = 3


def spoil_sight(env):
    env.task._one_hot = env.task._one_hot[::-1].copy()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(spoil_reward, "is not in Box"), (spoil_length, "lives ended after"), (spoil_sight, "are seen as")],
)
def test_what_does_not_hold_is_found(spoil, message):
    def make():
        return MazeVectorEnv(4, "SameStep", episode_steps=50)

    configuration = Configuration(make(), make, np.random.default_rng(0))
    spoil(configuration.env)
    with pytest.raises(AssertionError, match=message):
        soak.run(configuration, 500, Figures("plastic_rl/Maze-v0"))


def test_the_command_prints_a_table(capsys):
    soak.main(["plastic_rl/ColourBandit-v0", "--steps", "500"])
    assert "| `plastic_rl/ColourBandit-v0` | 500 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["plastic_rl/Mase-v0"], "did you mean 'plastic_rl/Maze-v0'"), (["--steps", "0"], "--steps must be at least 1")],
)
def test_what_cannot_be_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        soak.main(arguments)
    assert left.value.code == 2
    assert message in capsys.readouterr().err
