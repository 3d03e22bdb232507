"""The benchmark of training measures each core beside sb3-contrib's RecurrentPPO."""

import torch

from plastic_rl.scripts import benchmark


def test_a_row_for_each_core_and_number_of_environments(capsys):
    before = torch.get_num_threads()
    small = ["--cores", "gru", "rnn", "RecurrentPPO", "--n-envs", "2", "4", "--hidden-size", "4", "--n-steps", "8"]
    few = ["--rollouts", "1", "--batch-envs", "1"]
    benchmark.main(["training", "--env", "plastic_rl/ColourBandit-v0", *small, *few])
    torch.set_num_threads(before)
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("|")][2:]
    assert [(row[0].strip(), row[1].strip()) for row in rows] == [
        (name, n) for n in ("2", "4") for name in ("gru", "rnn", "RecurrentPPO")
    ]
    assert all(float(row[2].replace(",", "")) > 0 for row in rows)
    assert all(99 <= sum(int(share.strip(" %")) for share in row[3:6]) <= 101 for row in rows)
    assert {row[6].strip() for row in rows} == {"plain"}
