"""The benchmark of plastic_scan, on sizes that take no time."""

import torch

from plastic_rl.scripts import benchmark
from plastic_rl.scripts.benchmarks.ops import exponent


def test_prints_a_table(capsys):
    command = ["ops", "--sizes", "2,4,3", "--rules", "decay", "--repeats", "1", "--skip-growth"]
    before = torch.get_num_threads()
    benchmark.main(command)
    torch.set_num_threads(before)
    printed = capsys.readouterr().out
    for lane in ("decay numba", "decay recompute", "decay reference", "RNN", "GRU", "LSTM"):
        assert lane in printed


def test_fits_exponents():
    assert abs(exponent([1, 2, 4], [3.0, 12.0, 48.0]) - 2) < 1e-9
