"""What training does when something breaks; docs/reliability.md has the table."""

import os
import resource
import signal
import subprocess
from multiprocessing import forkserver

import pytest

from plastic_rl.agents.checkpoint import checkpoints, read
from plastic_rl.scripts import train

NETWORK = "policy_kwargs:dict(core='gru', core_kwargs=dict(hidden_size=8))"
FAULTY = [
    *("--algo", "plastic_ppo", "--seed", "1", "--verbose", "0", "--checkpoint-seconds", "0"),
    *("--env", "Faulty-v0", "--gym-packages", "tests.scripts.faulty_envs"),
    *("-params", "n_steps:20", "n_envs:2", "batch_size:20", "n_epochs:1", NETWORK),
]


@pytest.fixture
def stopped(capsys):
    """A function that trains until that stops with an exit code, by default 1, and returns what was said."""

    def train_until_it_stops(folder, *more, command=FAULTY, code=1):
        with pytest.raises(SystemExit) as left:
            train.main([*command, "-f", str(folder), "-tb", str(folder / "tb"), *more])
        assert left.value.code == code
        return capsys.readouterr().err

    return train_until_it_stops


def run_folder(folder):
    return next(folder.glob("plastic_ppo/*_1"))


def whole_checkpoint(folder):
    return read(checkpoints(run_folder(folder) / "checkpoints")[-1])


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
    said = stopped(tmp_path, "-n", "1000", "--env-kwargs", f"fault:'{fault}'")
    assert "error: training stopped after 188 steps" in said
    assert message in said
    assert f"--resume {run_folder(tmp_path)}" in said
    assert ("Traceback" in said) == (fault == "raises")
    assert whole_checkpoint(tmp_path)["counters"]["num_timesteps"] == 160


SUBPROCESSES = ["-n", "1000", "--vec-env", "subproc"]
DIED = "error: training stopped after 188 steps: a worker process of the environment died"


def test_a_worker_process_that_is_killed(stopped, tmp_path):
    assert DIED in stopped(tmp_path, *SUBPROCESSES, "--env-kwargs", "fault:'SIGKILL'")
    assert whole_checkpoint(tmp_path)["counters"]["num_timesteps"] == 160


def test_a_worker_process_that_raises_says_so_itself(tmp_path, capfd):
    forkserver._forkserver._stop()  # the next one writes into this test's stderr, not into that of the test before
    with pytest.raises(SystemExit, match="1"):
        train.main([*FAULTY, *SUBPROCESSES, "--env-kwargs", "fault:'raises'", "-f", str(tmp_path), "-tb", ""])
    said = capfd.readouterr().err
    assert DIED in said
    assert "the robot fell over" in said
    assert whole_checkpoint(tmp_path)["counters"]["num_timesteps"] == 160


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize(("reward", "vf_coef"), [("1e34", "1e6"), ("3e38", "0.5")])  # infinite; NaN, as advantages are
def test_a_loss_that_becomes_infinite_or_nan(reward, vf_coef, stopped, tmp_path):
    plain = [*FAULTY, "normalize_reward:False", f"vf_coef:{vf_coef}"]
    said = stopped(tmp_path, "-n", "1000", "--env-kwargs", f"reward:{reward}", command=plain)
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


def test_a_disk_that_becomes_full_and_is_cleared(small_disk, stopped, capsys):
    short = f"folder:'{small_disk}'", "length:1"  # a line of monitor.csv a step: soon a new page of the disk is needed
    said = stopped(small_disk, "-n", "600", "-tb", "", "--env-kwargs", "fault:'fills the disk'", *short)
    assert "No space left on device" in said
    assert said.count("training stopped") == 1
    assert f"--resume {run_folder(small_disk)}" in said
    assert 0 < whole_checkpoint(small_disk)["counters"]["num_timesteps"] < 600
    os.truncate(small_disk / "photographs", 0)
    train.main(["--resume", str(run_folder(small_disk))])
    assert "going on from" in capsys.readouterr().out


@pytest.fixture
def small_files():
    """No file may become larger than 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_full_for_checkpoints_and_the_model(stopped, tmp_path):
    said = stopped(tmp_path, "-n", "400", "-tb", "")
    assert said.count("no checkpoint could be written") == 1
    assert "training goes on" in said
    assert f"error: the trained model could not be saved to {run_folder(tmp_path)}: [Errno 27] File too large" in said
    assert "Traceback" not in said
    assert not any((run_folder(tmp_path) / "checkpoints").iterdir())


def test_a_tensorboard_folder_that_is_gone(stopped, tmp_path):
    loses = ["fault:'loses the folder'", f"folder:'{tmp_path / 'tb'}'"]
    said = stopped(tmp_path, "-n", "8000", "--env-kwargs", *loses)
    assert "steps: FileNotFoundError" in said
    assert f"--resume {run_folder(tmp_path)}" in said
    whole_checkpoint(tmp_path)


def test_sigterm_stops_it_with_a_checkpoint_and_a_model(stopped, tmp_path):
    said = stopped(tmp_path, "-n", "100000000", "--env-kwargs", "fault:'SIGTERM'", code=128 + signal.SIGTERM)
    assert f"--resume {run_folder(tmp_path)}" in said
    assert list(run_folder(tmp_path).glob("*.zip"))
    whole_checkpoint(tmp_path)


def test_ctrl_c_stops_it_with_a_checkpoint_and_a_model(tmp_path, capsys):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        words = ["-f", str(tmp_path), "-tb", "", "-n", "100000000", "--env-kwargs", "fault:'SIGINT'"]
        train.main([*FAULTY, *words])
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr()
    assert f"Saving to {run_folder(tmp_path)}" in said.out
    assert f"--resume {run_folder(tmp_path)}" in said.err
    assert list(run_folder(tmp_path).glob("*.zip"))
    whole_checkpoint(tmp_path)
