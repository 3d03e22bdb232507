"""The compiled scan in other processes and threads."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import torch

from plastic_rl.cores import make_core
from plastic_rl.ops import plastic_scan
from plastic_rl.ops.cpu.compiled import kernel

CODE = """
import multiprocessing, torch
from plastic_rl.cores import make_core
from plastic_rl.ops import plastic_scan

def gradient(_=None):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    drive, traces = torch.ones(5, 4, 8, requires_grad=True), torch.zeros(4, 8, 8)
    activity, _ = plastic_scan(
        drive, torch.rand(8, 8), torch.rand(8, 8), torch.rand(()), (drive[0].detach(), traces),
        torch.zeros(5, 4, dtype=torch.bool), backend="numba",
    )
    activity.sum().backward()
    return drive.grad.sum().item()

if __name__ == "__main__":
    expected = gradient()
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        assert pool.map(gradient, range(4)) == [expected] * 4
"""
# The weights get no gradient above: torch's own matrix products, on OpenMP threads, hang in the child of a process that
# has used them, with the reference as well.


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_in_a_subprocess(tmp_path, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    program = tmp_path / "program.py"
    program.write_text(CODE.replace("{method}", method))
    subprocess.run([sys.executable, program], check=True, timeout=120, env=_environment())


def _environment(**more):
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **more}


def test_from_several_threads_at_once(make_layer):
    layers = [make_layer("oja", 30, 4, 16, seed=seed, requires_grad=False) for seed in range(8)]
    expected = [plastic_scan(**layer)[0] for layer in layers]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda layer: plastic_scan(**layer)[0], layers))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_same_numbers_whatever_the_threads(make_layer, tensors_of):
    found, before = [], torch.get_num_threads()
    for n_threads in (1, 1, 2, 3):
        layer = make_layer("oja", 40, 7, 100, dtype=torch.float32)
        layer["weight"].requires_grad_(False)  # torch's matrix product makes no such promise
        torch.set_num_threads(n_threads)
        activity, _ = plastic_scan(**layer, backend="numba")
        (activity * activity.detach()).sum().backward()
        torch.set_num_threads(before)
        found.append([tensor.grad for tensor in tensors_of(layer).values() if tensor.grad is not None])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


def test_after_the_module_was_saved(tmp_path):
    core = make_core("neuromodulated", 3, hidden_size=8)
    arguments = (torch.ones(5, 4, 3), core.initial_state(4), torch.zeros(5, 4, dtype=torch.bool))
    torch.save(core, tmp_path / "core.pt")
    loaded = torch.load(tmp_path / "core.pt", weights_only=False)
    torch.testing.assert_close(loaded(*arguments), core(*arguments))


@pytest.mark.slow
def test_compiling_is_announced_once_and_kept_on_disk(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(CODE.split("if __name__")[0] + "gradient(), gradient()")
    environment = _environment(NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    said = [
        subprocess.run(
            [sys.executable, program], check=True, timeout=120, env=environment, capture_output=True, text=True
        ).stderr.count("compiling the plastic scan")
        for _ in range(2)
    ]
    assert said == [1, 0]


def double(array):
    for i in range(array.size):
        array[i] *= 2


def test_machine_code_of_a_version_with_other_classes_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    array = np.ones(3)
    kernel(double)(array)
    (index,) = tmp_path.rglob("*.nbi")
    index.write_bytes(pickle.dumps(numba.__version__) + b"cplastic_rl.ops.cpu.layer\nGone\n.")
    for _ in range(2):
        kernel(double)(array)
    assert array.tolist() == [8.0] * 3
    assert len(index.read_bytes()) > 100


def test_without_compilation_another_backend_is_taken():
    code = "import torch; from plastic_rl import make_core; core = make_core('plastic_memory', 3, hidden_size=4);"
    code += "x = torch.ones(2, 1, 3); core(x)[0].sum().backward();"
    code += "core.step(x[0], core.initial_state(1), x[0, :, 0] > 2)"
    subprocess.run([sys.executable, "-c", code], check=True, env=_environment(NUMBA_DISABLE_JIT="1"))
