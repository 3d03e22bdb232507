"""Two processes learn as one."""

import multiprocessing
import socket

import numpy as np
import pytest
import torch

from plastic_rl.agents import PlasticPPO, make_vec_env
from plastic_rl.agents.averaged_gradients import AveragedGradients
from tests.agents.learns_together import N_ENVS, STEPS, all_of_them, as_one_of_many

PROCESSES = multiprocessing.get_context("forkserver")


def processes(folder, n):
    """Start as many processes as `torchrun` would; return what each left in the folder."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    shared = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": str(n)}
    variables = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(n)]
    started = [PROCESSES.Process(target=as_one_of_many, args=(folder,), kwargs=each) for each in variables]
    for process in started:
        process.start()
    for process in started:
        process.join(600)
    assert [process.exitcode for process in started] == [0] * n
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(n)]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return processes(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def one():
    return all_of_them()


ANSWERS = ["maze", "half of the lives are asked", "some are asked"]
REWARDS = ["a2c", "ppo"]


@pytest.mark.parametrize("case", [*ANSWERS, *REWARDS])
def test_their_parameters_are_the_same_bit_for_bit(case, two):
    first, second = (each[case]["parameters"] for each in two)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("case", ANSWERS)
def test_from_right_answers_they_learn_what_one_process_of_all_environments_learns(case, one, two):
    torch.testing.assert_close(two[0][case]["parameters"], one[case]["parameters"], rtol=1e-4, atol=1e-6)
    for each in two:
        for name in ("loss", "accuracy", "grad_norm"):
            assert each[case][name] == pytest.approx(one[case][name], rel=1e-4), name


@pytest.mark.parametrize("case", [*ANSWERS, *REWARDS])
def test_the_steps_and_updates_are_those_of_all(case, one, two):
    for name in ("steps", "updates"):
        assert [each[case][name] for each in two] == [one[case][name]] * 2


@pytest.mark.parametrize("case", REWARDS)
def test_each_lives_lives_of_its_own(case, two):
    assert not np.array_equal(two[0][case]["seen"], two[1][case]["seen"])


@pytest.mark.parametrize("case", REWARDS)
def test_observations_are_normalized_by_what_all_have_seen(case, two):
    # The statistics begin with those of the first process, before which the second one has seen its first observation.
    seen = np.concatenate([two[0][case]["seen"].reshape(-1, 2), two[1][case]["seen"][1:].reshape(-1, 2)])
    assert len(seen) == N_ENVS * STEPS * 3 + N_ENVS // 2
    for each in two:
        np.testing.assert_allclose(each[case]["mean"], seen.mean(0), atol=1e-5)
        np.testing.assert_allclose(each[case]["var"], seen.var(0), rtol=1e-4)


def test_epochs_of_different_lengths_are_refused():
    model = PlasticPPO("MlpPolicy", make_vec_env("plastic_rl/Maze-v0", 1), n_steps=16, target_kl=0.1)
    with pytest.raises(ValueError, match=r"target_kl must be None in a training over many processes, not 0\.1"):
        model.learn(16, callback=AveragedGradients())
