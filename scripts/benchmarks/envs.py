"""Steps per second of every task's vector env, beside `SyncVectorEnv` of the single one and other memory tasks."""

import argparse
from importlib import import_module
from statistics import median
from time import perf_counter

import gymnasium as gym
from gymnasium.vector import VectorEnv

import plastic_rl  # noqa: F401  (registers the environments)
from plastic_rl.envs.registration import ENVIRONMENTS

# Packages to import, and the ids that they register.
OTHERS = {"popgym.envs": "popgym-RepeatPreviousEasy-v0", "minigrid": "MiniGrid-MemoryS7-v0"}
NATIVE, SYNC = "vector_entry_point", "sync"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    parser.add_argument("--num-envs", type=int, default=64, help="copies in each vector env")
    parser.add_argument("--steps", type=int, default=100, help="steps of all copies in one measurement")
    parser.add_argument("--repeats", type=int, default=5, help="measurements, of which the median counts")


def run(arguments: argparse.Namespace) -> None:
    """Measure all environments in turn, several times over, and print a table."""
    lanes: dict[tuple[str, str], VectorEnv] = {}
    wanted = [("plastic_rl", f"plastic_rl/{name}", mode) for name in ENVIRONMENTS for mode in (NATIVE, SYNC)]
    for package, env_id, mode in [*wanted, *((package, env_id, SYNC) for package, env_id in OTHERS.items())]:
        try:
            import_module(package)
            env = gym.make_vec(env_id, num_envs=arguments.num_envs, vectorization_mode=mode)
        except (ImportError, FileNotFoundError) as error:
            print(f"{env_id}: left out, {error}")
            continue
        env.reset(seed=0)
        env.action_space.seed(0)
        lanes[env_id, mode] = env
    rates: dict[tuple[str, str], list[float]] = {lane: [] for lane in lanes}
    for _ in range(arguments.repeats):
        for lane, env in lanes.items():
            rates[lane].append(_rate(env, arguments.steps))
    print(f"steps per second, {arguments.num_envs} copies")
    print(f"{'environment':34}{'vector env':>14}{'SyncVectorEnv':>15}{'ratio':>8}")
    for env_id in dict.fromkeys(env_id for env_id, _ in rates):
        sync = median(rates[env_id, SYNC])
        native = median(rates.get((env_id, NATIVE), [0]))
        shown = f"{native:14,.0f}{sync:15,.0f}{native / sync:8.1f}" if native else f"{'':14}{sync:15,.0f}"
        print(f"{env_id:34}{shown}")


def _rate(env: VectorEnv, steps: int) -> float:
    """Return environment steps a second, random actions drawn beforehand."""
    actions = [env.action_space.sample() for _ in range(steps)]
    start = perf_counter()
    for action in actions:
        env.step(action)
    return env.num_envs * steps / (perf_counter() - start)
