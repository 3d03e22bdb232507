"""The benchmark of cores knows every one of them by its name, and those of users."""

import pytest
import torch

from plastic_rl.cores import registered_cores
from plastic_rl.scripts import benchmark


def lines(capsys, *arguments):
    before = torch.get_num_threads()
    benchmark.main(["cores", "--size", "2,12,4", "--repeats", "1", *arguments])
    torch.set_num_threads(before)
    return {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}


@pytest.mark.slow
def test_measures_every_core(capsys):
    printed = lines(capsys)
    assert {*registered_cores()} <= {*printed}
    assert not any("left out" in line for line in printed.values())


def test_measures_ones_own_and_says_what_it_leaves_out(capsys):
    printed = lines(capsys, "--cores", "plastic_rl.cores:PlasticCore", "plasticc")
    assert float(printed["plastic_rl.cores:PlasticCore"].split()[-1]) > 0
    assert "did you mean 'plastic'" in printed["plasticc:"]
