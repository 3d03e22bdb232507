"""What a sweep runs, and that each run is finished once, whatever is killed on the way."""

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from plastic_rl.scripts import UsageError, plot, sweep
from plastic_rl.scripts.experiments.grid import expand, read_sweep
from plastic_rl.scripts.experiments.runner import attempts, finished, run_all, train_run
from plastic_rl.scripts.runs.process import KilledError
from plastic_rl.scripts.zoo.clock import cpu_seconds

EXAMPLE = Path(__file__).parents[2] / "docs" / "sweep.yaml"
TINY = {
    "algo": "plastic_a2c",
    "env": "plastic_rl/Maze-v0",
    "env_kwargs": {"size": 5, "episode_steps": 20},
    "core_kwargs": {"hidden_size": 8},
    "hyperparams": {"n_envs": 4, "n_steps": 20},
    "flags": ["--checkpoint-seconds", "0"],
}


def test_a_grid_is_every_combination_with_every_seed():
    runs = expand({"core": ["plastic", "gru"], "hyperparams": {"gamma": [0.9, 0.99], "n_envs": 8}, "seeds": 3})
    found = [(run.values["core"], run.values["hyperparams.gamma"], run.values["seed"]) for run in runs]
    assert found == [(core, gamma, seed) for core in ("plastic", "gru") for gamma in (0.9, 0.99) for seed in (1, 2, 3)]
    assert len({run.name for run in runs}) == 12


def test_a_run_is_a_command_line_of_train():
    grid = {**TINY, "core": "plastic", "core_kwargs": {"rule": "oja"}, "n_timesteps": "1e3", "seeds": [7], "cpus": 2}
    (run,) = expand({**grid, "hyperparams": {"learning_rate": "lin_1e-3", "ent_coef": "1e-2"}})
    assert run.argv == [
        *("--algo", "plastic_a2c", "--env", "plastic_rl/Maze-v0", "--core", "plastic"),
        *("--env-kwargs", "size:5", "episode_steps:20", "--core-kwargs", "rule:'oja'"),
        *("-params", "learning_rate:'lin_1e-3'", "ent_coef:0.01", "-n", "1000", "--device", "cpu"),
        *("--checkpoint-seconds", "0", "--seed", "7"),
    ]
    assert run.cpus == 2


def test_a_run_keeps_its_name_when_the_grid_grows_and_not_when_its_settings_change():
    (alone,) = expand(TINY)
    assert alone.name in {run.name for run in expand({**TINY, "core": ["plastic"], "seeds": 2}) + expand(TINY)}
    assert expand({**TINY, "n_timesteps": 10})[0].name != alone.name
    assert expand({**TINY, "retries": 9, "cpus": 2})[0].name == alone.name


def test_a_file_may_hold_several_grids_and_a_run_of_two_is_one(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps([{"core": ["gru", "lstm"]}, {"core": "lstm"}, {"core": "rnn"}]))
    assert [run.values["core"] for run in read_sweep(str(file))] == ["gru", "lstm", "rnn"]


def test_arms_are_named_settings_over_the_common_ones_and_tasks_multiply_them():
    arms = {"memory": {"core": "plastic", "core_kwargs": {"rule": "oja"}}, "GRU": {"core": "gru"}}
    tasks = {"small": {"env_kwargs": {"size": 5}}, "large": {"env_kwargs": {"size": 9}, "n_timesteps": 7}}
    grid = {"env_kwargs": {"episode_steps": 20}, "core_kwargs": {"hidden_size": 8}, "n_timesteps": 5}
    runs = {run.values["arm"]: run for run in expand({**grid, "arms": arms, "tasks": tasks})}
    assert list(runs) == ["memory, small", "memory, large", "GRU, small", "GRU, large"]
    memory = runs["memory, large"]
    assert memory.argv[4:-4] == [
        *("--core", "plastic", "--env-kwargs", "episode_steps:20", "size:9"),
        *("--core-kwargs", "hidden_size:8", "rule:'oja'", "-n", "7"),
    ]
    assert len({run.name for run in runs.values()}) == 4


def test_the_example_in_the_documentation_is_one():
    assert len(read_sweep(str(EXAMPLE))) == 24


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("evn: plastic_rl/Maze-v0", "key of the sweep 'evn' is not known; did you mean 'env'?"),
        ("env: plastic_rl/Maze-v1", "did you mean 'plastic_rl/Maze-v0'?"),
        ("algo: [plastic_ppo, plastic_pp]", "did you mean 'plastic_ppo'?"),
        ("core: plastik", "did you mean 'plastic'?"),
        ("{core: gru, core_kwargs: {rule: oja}}", "core 'gru' has no argument 'rule'"),
        ("hyperparams: {n_step: 20}", "did you mean 'n_steps'?"),
        ("env_kwargs: {size: 8}", "plastic_rl/Maze-v0 cannot be made: size must be odd"),
        ("core: []", "core must have at least one value, not []"),
        ("hyperparams: {gamma: []}", "hyperparams.gamma must have at least one value, not []"),
        ("hyperparams: [0.1]", "hyperparams must be a mapping of names to values, not [0.1]"),
        ("seeds: 0", "seed must have at least one value"),
        ("seeds: x", "argument --seed: invalid int value: 'x'"),
        ("n_timesteps: many", "-n/--n-timesteps: must be a whole number of at least 1, such as 1e6, not 'many'"),
        ("n_timesteps: .inf", "-n/--n-timesteps: must be a whole number of at least 1, such as 1e6, not 'inf'"),
        ("cpus: 0", "cpus must be a finite number between 0.01 and inf, got 0"),
        ("gpus: 1.5", "gpus must be an integer, got 1.5"),
        ("retries: -1", "retries must be at least 0, got -1"),
        ("flags: --vec-env", "flags must be a list of words"),
        ("flags: [--seed, '3']", "flags must not hold --seed"),
        ("", "must be a mapping"),
        ("[]", "must be a mapping"),
        ("arms: [a]", "arms must be a mapping of names to settings, not ['a']"),
        ("arms: {}", "arms must be a mapping of names to settings, not {}"),
        ("arms: {a: {cores: gru}}", "key of the sweep 'cores' is not known; did you mean 'core'?"),
        ("core: [", "is no YAML"),
    ],
)
def test_a_wrong_file_is_one_line_and_exit_code_2(content, message, tmp_path, capsys):
    file = tmp_path / "sweep.yaml"
    file.write_text(content)
    with pytest.raises(SystemExit) as left:
        sweep.main([str(file)])
    error = capsys.readouterr().err.strip()
    assert left.value.code == 2
    assert message in error
    assert error.startswith("error: ")
    assert "\n" not in error


def test_a_dry_run_prints_command_lines(tmp_path, capsys):
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps({**TINY, "seeds": 2}))
    sweep.main([str(file), "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[2] for line in lines] == [" ".join(run.argv) for run in expand({**TINY, "seeds": 2})]


def wait_for(condition):
    deadline = time.monotonic() + 1200
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_killed_run_is_tried_again_a_failed_one_is_told_and_the_others_go_on(capsys):
    runs = expand({**TINY, "seeds": 3, "retries": 2})
    tries = []

    def work(run):
        tries.append(run.values["seed"])
        if run.values["seed"] == 1 and tries.count(1) < 3:
            raise KilledError("killed by signal 9")
        if run.values["seed"] == 2:
            raise SystemExit("the model\nis cut off")

    errors = run_all(runs, work, lambda run: f"seed {run.values['seed']} is done", jobs=2)
    assert errors == {runs[1].name: "the model is cut off"}
    assert sorted(tries) == [1, 1, 1, 2, 3]
    assert "seed 1 is done" in capsys.readouterr().out
    (run,) = expand({**TINY, "retries": 0})
    assert run_all([run], train_never, str) == {run.name: "killed by signal 9"}


def train_never(run):
    raise KilledError("killed by signal 9")


def test_runs_ask_for_no_more_cores_than_there_are():
    (run,) = expand({**TINY, "cpus": 2})
    with pytest.raises(UsageError, match="must be at most the 1 of --jobs"):
        run_all([run], print, str, jobs=1)
    with pytest.raises(UsageError, match="--jobs: must be a whole number of at least 1"):
        sweep.PARSER.parse_args(["sweep.yaml", "--jobs", "0"])


def test_a_run_that_another_command_runs_is_left_alone(tmp_path):
    (run,) = expand(TINY)
    (tmp_path / run.name).mkdir()
    with (tmp_path / run.name / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="another command"):
            train_run(run, tmp_path, os.getcwd())


def test_a_sweep_finishes_a_run_that_is_killed_from_its_checkpoint_and_runs_none_again(tmp_path, capsys):
    """Its environment kills it after 30 steps of each copy, and is not asked for so many by the second process."""
    dies = {"env": "Faulty-v0", "env_kwargs": {"fault": "SIGKILL", "after": 30}, "core": "gru", "n_timesteps": 160}
    flags = ["--gym-packages", "tests.scripts.faulty_envs", *TINY["flags"]]
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps({**TINY, **dies, "flags": flags}))
    command = [str(file), "-o", str(tmp_path / "out"), "--jobs", "1"]
    sweep.main(command)
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    figures = [[row[name] for name in ("status", "episodes", "steps", "attempts")] for row in rows]
    assert figures == [["finished", "16", "160", "2"]]  # those before the kill, too
    (run,) = read_sweep(str(file))
    folder = tmp_path / "out" / "runs" / run.name
    assert finished(folder) == {"folder": "plastic_a2c/Faulty-v0_1", "attempts": 2}
    assert "going on from" in (folder / "log.txt").read_text()
    clock = cpu_seconds(folder / "plastic_a2c" / "Faulty-v0_1")
    assert clock[-1, 0] == 160
    assert (np.diff(clock, axis=0) >= 0).all()
    capsys.readouterr()
    sweep.main(command)
    assert "1 runs, 1 of them finished before" in capsys.readouterr().out
    assert attempts(folder) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="wants Linux's parent-death signal")
def test_a_run_ends_with_the_process_that_started_it(tmp_path):
    """Both hold the pipe that is its log, which ends when both have ended."""
    (run,) = expand({**TINY, "core": "gru", "n_timesteps": 100_000_000})
    flags = [*run.argv, "-f", run.name]
    code = f"import pathlib, plastic_rl.scripts.runs.process as jobs; jobs.train({flags}, pathlib.Path('log'))"
    os.mkfifo(tmp_path / "log")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment())
    log = subprocess.Popen(["cat", tmp_path / "log"], stdout=subprocess.PIPE)
    while b"total_timesteps" not in log.stdout.readline():  # as the training says after a rollout
        assert process.poll() is None
    process.kill()
    process.wait()
    log.communicate(timeout=1200)


def environment():
    # Else Ray kills workers where memory runs out, and its nice workers starve beside other tests.
    settings = {"RAY_memory_monitor_refresh_ms": "0", "RAY_worker_niceness": "0"}
    return {**os.environ, **settings, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}


def sweep_in_a_process(file, output):
    command = [sys.executable, "-m", "plastic_rl", "sweep", str(file), "-o", str(output)]
    command += ["--address", "local", "--jobs", "2"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment())


@pytest.mark.slow
@pytest.mark.parametrize("n_runs", [2, 24])
def test_with_a_worker_of_ray_killed_every_run_is_finished_once(n_runs, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'plastic_rl[sweep]'")
    file = tmp_path / "sweep.yaml"
    file.write_text(json.dumps({**TINY, "core": ["plastic", "gru"], "seeds": n_runs // 2, "n_timesteps": 4_000}))
    output = tmp_path / "out"
    process = sweep_in_a_process(file, output)
    checkpoint = wait_for(lambda: sorted(output.glob("runs/*/*/*/checkpoints/*[1-9]*.pt")))[0]
    killed = checkpoint.parents[3]
    worker = int((killed / "attempts.txt").read_text().split()[-1])
    os.kill(worker, signal.SIGKILL)
    out, said = process.communicate(timeout=3600)
    assert process.returncode == 0, said + out
    rows = list(csv.DictReader((output / "results.csv").open()))
    assert [row["status"] for row in rows] == ["finished"] * n_runs
    assert {row["run"]: row["attempts"] for row in rows if row["attempts"] != "1"} == {killed.name: "2"}
    assert {row["steps"] for row in rows} == {"4000"}
    assert len(list(output.glob("runs/*/*/*/*.zip"))) == n_runs
    again = sweep_in_a_process(file, output)
    out, said = again.communicate(timeout=600)
    assert f"{n_runs} runs, {n_runs} of them finished before" in out
    assert list(csv.DictReader((output / "results.csv").open())) == rows
    plot.main([str(output / "results.csv"), "-o", str(tmp_path / "plots")])
    assert (tmp_path / "plots" / "learning_Maze-v0_size=5_episode_steps=20.png").exists()
