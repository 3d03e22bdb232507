"""One training by two processes that `torchrun` starts, on the command line; and what happens when one is killed."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from plastic_rl.agents.checkpoint import checkpoints, read
from plastic_rl.scripts import UsageError
from plastic_rl.scripts.runs.folder import open_run
from plastic_rl.scripts.runs.monitor import read_results
from plastic_rl.scripts.zoo.manager import check_shares

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
NETWORK = "policy_kwargs:dict(core_kwargs=dict(hidden_size=8, rule='oja'))"
TRAIN = [
    *("-m", "plastic_rl.scripts.train", "--env", "plastic_rl/Maze-v0", "--env-kwargs", "size:5", "episode_steps:20"),
    *("--seed", "3", "--verbose", "0", "--checkpoint-seconds", "0"),
    *("-params", "n_steps:20", "n_envs:4", "batch_size:40", NETWORK),
]


def start(folder, *flags, torchrun=("--nproc-per-node", "2")):
    command = [*TORCHRUN, *torchrun, *TRAIN, "-f", str(folder), "-tb", str(folder / "tb"), *flags]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def ended(process):
    out, said = process.communicate(timeout=1200)
    return process.returncode, out, said


def wait_for(condition, process):
    deadline = time.monotonic() + 600
    while not (found := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def begun(folder):
    return lambda: list(folder.glob("plastic_ppo/*_1/checkpoints/*[1-9]*.pt"))


def pid_of(rank, folder):
    """Return the process of a rank, by its command line and its environment."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(folder).encode() in words and f"RANK={rank}".encode() in variables:
            return int(process.name)
    raise AssertionError(f"no process of rank {rank}")


def parameters(folder):
    (file,) = folder.glob("plastic_ppo/*_1/*.zip")
    return torch.load(io.BytesIO(zipfile.ZipFile(file).read("policy.pth")), weights_only=True)


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    code, _, said = ended(start(folder, "-n", "8000"))
    assert code == 0, said
    return folder


@pytest.mark.slow
def test_two_processes_leave_one_run_of_their_steps_together_and_each_has_episodes_of_its_own(tmp_path):
    code, out, said = ended(start(tmp_path, "-n", "800"))
    assert code == 0, said
    (run,) = tmp_path.glob("plastic_ppo/*")
    assert run.name == "plastic_rl-Maze-v0_1"
    assert len(list((tmp_path / "tb").rglob("events.*"))) == 1
    assert out.count("Saving to") == 1
    (result,) = read_results([open_run(str(run))])
    assert result.run.processes == 2
    assert result.training.steps[-1] == 800
    assert (run / "0.monitor.csv").read_text().count("\n") == 2 + 20
    assert len(result.training.returns) == 40  # an episode that is written stands for two
    state = read(checkpoints(run / "checkpoints")[-1])
    (other,) = state["others"]
    assert state["counters"]["num_timesteps"] == 800 - 80
    assert not torch.equal(state["rollout"]["states"][0], other["rollout"]["states"][0])
    assert not torch.equal(state["generators"]["torch"], other["generators"]["torch"])


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_killed_and_started_again_by_torchrun_it_ends_with_the_same_parameters(rank, whole, tmp_path):
    process = start(tmp_path, "-n", "8000", torchrun=("--nproc-per-node", "2", "--max-restarts", "1"))
    wait_for(begun(tmp_path), process)
    os.kill(pid_of(rank, tmp_path), signal.SIGKILL)
    code, out, said = ended(process)
    assert code == 0, said
    assert "going on from" in out
    assert same(parameters(tmp_path), parameters(whole))
    monitors = [next(folder.glob("plastic_ppo/*_1/0.monitor.csv")) for folder in (tmp_path, whole)]
    rows = [[row.rpartition(",")[0] for row in file.read_text().splitlines()[2:]] for file in monitors]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_without_a_restart_a_killed_process_ends_it_with_the_last_checkpoint_whole(whole, tmp_path):
    process = start(tmp_path, "-n", "8000")
    wait_for(begun(tmp_path), process)
    os.kill(pid_of(1, tmp_path), signal.SIGKILL)
    code, _, said = ended(process)
    assert code == 1
    assert "another process of this training is gone" in said
    run = next(tmp_path.glob("plastic_ppo/*_1"))
    assert f"--resume {run}" in said
    read(checkpoints(run / "checkpoints")[-1])
    command = [*TORCHRUN, "--nproc-per-node", "2", "-m", "plastic_rl.scripts.train", "--resume", str(run)]
    subprocess.run(command, check=True, capture_output=True, timeout=1200)
    assert same(parameters(tmp_path), parameters(whole))


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_as_one(tmp_path):
    process = start(tmp_path, "-n", "8000")
    wait_for(begun(tmp_path), process)
    os.kill(pid_of(1, tmp_path), signal.SIGKILL)
    ended(process)
    run = next(tmp_path.glob("plastic_ppo/*_1"))
    command = [sys.executable, "-m", "plastic_rl.scripts.train", "--resume", str(run)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=1200, text=True)
    assert "it was written by 2 processes: environments begin new episodes" in done.stderr
    assert read(checkpoints(run / "checkpoints")[-1])["counters"]["num_timesteps"] == 8000 - 80


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_all_with_a_checkpoint_and_a_model(sent, tmp_path):
    process = start(tmp_path, "-n", "100000000")
    wait_for(begun(tmp_path), process)
    process.send_signal(sent)
    _, _, said = ended(process)
    run = next(tmp_path.glob("plastic_ppo/*_1"))
    assert f"--resume {run}" in said
    assert "is gone" not in said
    assert list(run.glob("*.zip"))
    read(checkpoints(run / "checkpoints")[-1])


@pytest.mark.slow
def test_two_nodes_and_a_job_that_is_started_again(whole, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    nodes = ("--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "job7")
    jobs = [start(tmp_path, "-n", "8000", torchrun=nodes) for _ in range(2)]
    wait_for(begun(tmp_path), jobs[0])
    for job in jobs:
        job.send_signal(signal.SIGTERM)
    for job in jobs:
        ended(job)
    jobs = [start(tmp_path, "-n", "8000", torchrun=nodes) for _ in range(2)]
    found = [ended(job) for job in jobs]
    assert [code for code, _, _ in found] == [0, 0], found
    assert any("going on from" in out for _, out, _ in found)
    assert same(parameters(tmp_path), parameters(whole))


@pytest.mark.parametrize(
    ("n_envs", "hyperparams", "message"),
    [
        (5, {}, "n_envs must be a multiple of the 2 processes, not 5"),
        (4, {"batch_size": 45}, "batch_size must be a multiple of the 2 processes, not 45"),
        (4, {"target_kl": 0.1}, "target_kl must be None in a training over many processes, not 0.1"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(n_envs, hyperparams, message, monkeypatch):
    monkeypatch.setattr("plastic_rl.agents.distributed.world_size", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(UsageError, match=message):
        check_shares(n_envs, hyperparams, "cpu")
