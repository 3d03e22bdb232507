"""What training does when something breaks; docs/reliability.md has the table."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from plastic_rl.agents.checkpoint import checkpoints, read
from plastic_rl.scripts import train

TRAIN = [sys.executable, "-m", "plastic_rl.scripts.train", "--algo", "plastic_ppo", "--seed", "1", "--verbose", "0"]
SETTINGS = ["-params", "n_steps:20", "n_envs:2", "batch_size:20", "policy_kwargs:dict(core_kwargs=dict(hidden_size=8))"]
FAULTY = [*TRAIN, "--env", "Faulty-v0", "--gym-packages", "tests.scripts.faulty_envs", *SETTINGS]
MAZE = [*TRAIN, "--env", "plastic_rl/Maze-v0", "--env-kwargs", "episode_steps:20", *SETTINGS]


def start(command, folder, *more, **kwargs):
    flags = ["-f", str(folder), "-tb", str(folder / "tb"), "--checkpoint-seconds", "0", *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *flags], stdout=pipe, stderr=pipe, text=True, env=environment, **kwargs)


@pytest.fixture
def stopped(capsys):
    """A function that trains in this process until that stops with exit code 1, and returns what was said."""

    def train_until_it_stops(command, folder, *more):
        with pytest.raises(SystemExit) as left:
            train.main([*command[3:], "-f", str(folder), "-tb", str(folder / "tb"), "--checkpoint-seconds", "0", *more])
        assert left.value.code == 1
        return capsys.readouterr().err

    return train_until_it_stops


def run_folder(folder):
    return next(folder.glob("plastic_ppo/*_1"))


def whole_checkpoint(folder):
    return read(checkpoints(run_folder(folder) / "checkpoints")[-1])


def wait_for_checkpoint(folder, process):
    deadline = time.monotonic() + 120
    while not list(folder.glob("plastic_ppo/*_1/checkpoints/*[1-9]*.pt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("infinity", "observation must be finite; environment [0, 1] gave NaN or infinity after step 188"),
        ("observation", "observation must be finite; environment [0, 1] gave NaN or infinity after step 188"),
        ("reward", "reward must be finite; environment [0, 1] gave NaN or infinity after step 188"),
        ("raises", "RuntimeError: the robot fell over"),
    ],
)
def test_a_faulty_environment_stops_it_with_the_last_checkpoint_whole(fault, message, stopped, tmp_path):
    said = stopped(FAULTY, tmp_path, "-n", "1000", "--env-kwargs", f"fault:'{fault}'")
    assert "error: training stopped after 188 steps" in said
    assert message in said
    assert f"--resume {run_folder(tmp_path)}" in said
    assert ("Traceback" in said) == (fault == "raises")
    assert whole_checkpoint(tmp_path)["counters"]["num_timesteps"] == 160


@pytest.mark.parametrize("fault", ["dies", "raises"])
def test_a_worker_process_that_is_killed_or_raises(fault, tmp_path):
    process = start(FAULTY, tmp_path, "-n", "1000", "--env-kwargs", f"fault:'{fault}'", "--vec-env", "subproc")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: training stopped after 188 steps: a worker process of the environment died" in said
    assert ("the robot fell over" in said) == (fault == "raises")  # what the worker itself says
    assert whole_checkpoint(tmp_path)["counters"]["num_timesteps"] == 160


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize(("reward", "vf_coef"), [("1e34", "1e6"), ("3e38", "0.5")])  # infinite; NaN, as advantages are
def test_a_loss_that_becomes_infinite_or_nan(reward, vf_coef, stopped, tmp_path):
    plain = [*FAULTY, "normalize_reward:False", f"vf_coef:{vf_coef}"]
    said = stopped(plain, tmp_path, "-n", "1000", "--env-kwargs", f"reward:{reward}")
    assert "a gradient became NaN or infinite; the parameters are those from before" in said
    whole = whole_checkpoint(tmp_path)
    assert whole["counters"]["num_timesteps"] == 160
    assert all(value.isfinite().all() for value in whole["policy"].values())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"only root may mount a small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_becomes_full_and_is_cleared(small_disk):
    short = ["--env-kwargs", "episode_steps:4"]  # a line of monitor.csv each: soon a new page of the disk is needed
    process = start(MAZE, small_disk, "-n", "4000", "-tb", "", *short)
    wait_for_checkpoint(small_disk, process)
    (small_disk / "photographs").touch()
    with contextlib.suppress(OSError), open(small_disk / "photographs", "ab", buffering=0) as file:
        while file.write(bytes(512)):
            pass
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "No space left on device" in said
    assert said.count("training stopped") == 1
    assert f"--resume {run_folder(small_disk)}" in said
    assert 0 < whole_checkpoint(small_disk)["counters"]["num_timesteps"] < 4000
    (small_disk / "photographs").unlink()
    again = [sys.executable, "-m", "plastic_rl.scripts.train", "--resume", str(run_folder(small_disk))]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout


def test_a_disk_that_is_full_for_checkpoints_and_the_model(tmp_path):
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    process = start(MAZE, tmp_path, "-n", "400", "-tb", "", preexec_fn=small)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.count("no checkpoint could be written") == 1
    assert "training goes on" in said
    assert f"error: the trained model could not be saved to {run_folder(tmp_path)}: [Errno 27] File too large" in said
    assert "Traceback" not in said
    assert not any((run_folder(tmp_path) / "checkpoints").iterdir())


def test_a_tensorboard_folder_that_is_gone(tmp_path):
    process = start(MAZE, tmp_path, "-n", "8000")
    wait_for_checkpoint(tmp_path, process)
    shutil.rmtree(tmp_path / "tb")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "steps: FileNotFoundError" in said
    assert f"--resume {run_folder(tmp_path)}" in said
    whole_checkpoint(tmp_path)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_signals_stop_it_with_a_checkpoint_and_a_model(sent, code, tmp_path):
    default = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    process = start(MAZE, tmp_path, "-n", "100000000", preexec_fn=default)
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert f"--resume {run_folder(tmp_path)}" in said
    assert list(run_folder(tmp_path).glob("*.zip"))
    whole_checkpoint(tmp_path)
