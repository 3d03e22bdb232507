"""Steps per second of every task's vector env, beside `SyncVectorEnv` of the single one and other memory tasks."""

import argparse
from importlib import import_module
from time import perf_counter

import gymnasium as gym
import pandas as pd
from gymnasium.vector import VectorEnv

import plastic_rl  # noqa: F401  (registers the environments)
from plastic_rl.envs.registration import ENVIRONMENTS

# Packages to import, and the ids that they register.
OTHERS = {"popgym.envs": "popgym-RepeatPreviousEasy-v0", "minigrid": "MiniGrid-MemoryS7-v0"}
MODES = {"vector_entry_point": "vector env", "sync": "SyncVectorEnv"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--num-envs", type=int, default=64, help="copies in each vector env")
    parser.add_argument("--steps", type=int, default=100, help="steps of all copies in one measurement")
    parser.add_argument("--repeats", type=int, default=5, help="measurements, of which the median counts")


def run(arguments: argparse.Namespace) -> None:
    """Measure all environments in turn, several times over, and print a table."""
    envs: dict[tuple[str, str], VectorEnv] = {}
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
        envs[env_id, MODES[mode]] = env
    times = range(arguments.repeats)
    rates = [pd.Series({lane: _rate(env, arguments.steps) for lane, env in envs.items()}) for _ in times]
    table = pd.DataFrame(rates).median().unstack()
    table["ratio"] = table["vector env"] / table["SyncVectorEnv"]
    print(f"steps per second, {arguments.num_envs} copies", table.to_string(float_format="{:,.1f}".format), sep="\n")


def _rate(env: VectorEnv, steps: int) -> float:
    """Return environment steps a second, random actions drawn beforehand."""
    actions = [env.action_space.sample() for _ in range(steps)]
    start = perf_counter()
    for action in actions:
        env.step(action)
    return env.num_envs * steps / (perf_counter() - start)
