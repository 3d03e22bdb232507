"""The environments' benchmark measures every registered id."""

import argparse

from plastic_rl.envs.registration import ENVIRONMENTS
from plastic_rl.scripts.benchmarks import envs as benchmark_envs


def test_every_id_is_in_the_table(capsys):
    parser = argparse.ArgumentParser()
    benchmark_envs.add_arguments(parser)
    benchmark_envs.run(parser.parse_args(["--num-envs", "2", "--steps", "3", "--repeats", "1"]))
    printed = capsys.readouterr().out
    assert all(f"plastic_rl/{name}" in printed for name in ENVIRONMENTS)
