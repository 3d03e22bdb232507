"""Steps per second of every task's vector env, beside `SyncVectorEnv` of the single one and other memory tasks."""

import argparse
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

import plastic_rl  # noqa: F401  (registers the environments)
from plastic_rl.envs.registration import ENVIRONMENTS
from plastic_rl.scripts.benchmarks.machine import add_measuring, measure

# Packages to import, and the ids that they register.
OTHERS = {"popgym.envs": "popgym-RepeatPreviousEasy-v0", "minigrid": "MiniGrid-MemoryS7-v0"}
MODES = {"vector_entry_point": "vector env", "sync": "SyncVectorEnv"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--num-envs", type=int, default=64, help="copies in each vector env")
    parser.add_argument("--steps", type=int, default=100, help="steps of all copies in one measurement")
    add_measuring(parser)


def run(arguments: argparse.Namespace) -> None:
    """Measure all environments in turn, several times over, and print a table."""
    lanes = {}
    wanted = [("plastic_rl", f"plastic_rl/{name}", mode) for name in ENVIRONMENTS for mode in MODES]
    for package, env_id, mode in [*wanted, *((package, env_id, "sync") for package, env_id in OTHERS.items())]:
        try:
            import_module(package)
            env = gym.make_vec(env_id, num_envs=arguments.num_envs, vectorization_mode=mode)
        except (ImportError, FileNotFoundError) as error:
            print(f"{env_id}: left out, {error}")
            continue
        env.reset(seed=0)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(arguments.steps)]
        lanes[env_id, MODES[mode]] = partial(_play, env, actions)
    seconds = measure(lanes, arguments)["ms"].unstack() / 1e3
    rates = arguments.num_envs * arguments.steps / seconds
    rates["ratio"] = rates["vector env"] / rates["SyncVectorEnv"]
    print(f"steps per second, {arguments.num_envs} copies", rates.to_string(float_format="{:,.1f}".format), sep="\n")


def _play(env: VectorEnv, actions: list[Any]) -> None:
    for action in actions:
        env.step(action)
