"""Steps per second of PPO with each core, and of sb3-contrib's RecurrentPPO, rollouts and updates together.

Shares are of the time: in the environments, in the rest of the rollouts, in updates. The last column says whether a
step was a CUDA graph, or plain, or what kept it from being captured.
"""

import argparse
from typing import Any

import torch

from plastic_rl.agents import PlasticPPO, make_vec_env
from plastic_rl.agents.hyperparams import row
from plastic_rl.scripts.benchmarks.machine import now

CORES = ("plastic", "plastic_memory", "neuromodulated", "retroactive", "rnn", "gru", "lstm")
BASELINE = "RecurrentPPO"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's flags to a parser."""
    cores = (*CORES, BASELINE)
    parser.add_argument("--cores", nargs="+", default=cores, metavar="CORE", help=f"cores, and {BASELINE}")
    parser.add_argument("--n-envs", nargs="+", type=int, default=(16, 64, 256), metavar="N", help="environments")
    parser.add_argument("--env", default="plastic_rl/Maze-v0", help="environment")
    parser.add_argument("--hidden-size", type=int, default=64, help="units of the core")
    parser.add_argument("--n-steps", type=int, help="steps of a rollout; by default those of the hyperparameter file")
    parser.add_argument("--rollouts", type=int, default=2, help="rollouts that are measured, after one that is not")
    parser.add_argument("--batch-envs", type=int, help="environments in a minibatch, whose number then grows with "
                        "--n-envs: the updates an episode stay the same; by default a half of all")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--no-graphs", action="store_true", help="plain steps on CUDA, none of them a CUDA graph")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")


def run(arguments: argparse.Namespace) -> None:
    """Measure, and print a Markdown table."""
    torch.set_num_threads(arguments.threads)
    print(f"{arguments.env}, {arguments.hidden_size} units, {arguments.device}, {arguments.threads} threads\n")
    print("| | environments | steps/s | stepping them | acting | updates | step |\n|---|---|---|---|---|---|---|")
    for n_envs in arguments.n_envs:
        for name in arguments.cores:
            model = _model(name, n_envs, arguments)
            steps = model.n_steps * n_envs
            model.learn(steps)  # which compiles
            updating = clocked(model, "train", arguments.device)
            stepping = clocked(model.get_env(), "step", "cpu")
            start = now(arguments.device)
            model.learn(arguments.rollouts * steps, reset_num_timesteps=False)
            total = now(arguments.device) - start
            model.get_env().close()
            parts = sum(stepping), total - sum(stepping) - sum(updating), sum(updating)
            shares = " | ".join(f"{part / total:.0%}" for part in parts)
            rate = arguments.rollouts * steps / total
            graph = getattr(model, "_step_graph", None)
            step = "plain" if graph is None else graph.obstacle or "graph"
            print(f"| {name} | {n_envs} | {rate:,.0f} | {shares} | {step} |", flush=True)


def _model(name: str, n_envs: int, arguments: argparse.Namespace) -> Any:
    env = make_vec_env(arguments.env, n_envs, seed=0)
    n_steps = arguments.n_steps or row("plastic_ppo", arguments.env)["n_steps"]
    settings: dict[str, Any] = {"n_steps": n_steps, "n_epochs": 4, "device": arguments.device, "seed": 0, "verbose": 0}
    settings["batch_size"] = n_steps * min(n_envs, arguments.batch_envs or max(1, n_envs // 2))
    size = arguments.hidden_size
    if name != BASELINE:
        core = {"core": name, "core_kwargs": {"hidden_size": size}}
        model = PlasticPPO("MlpPolicy", env, policy_kwargs=core, **settings)
        model.cuda_graphs = not arguments.no_graphs
        return model
    from sb3_contrib import RecurrentPPO

    network = {"lstm_hidden_size": size, "shared_lstm": True, "enable_critic_lstm": False}
    return RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=network, **settings)


def clocked(owner: Any, method: str, device: str) -> list[float]:
    """Measure each call of a method from now on; return the seconds that they take."""
    seconds, work = [], getattr(owner, method)

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = now(device)
        result = work(*args, **kwargs)
        seconds.append(now(device) - start)
        return result

    setattr(owner, method, timed)
    return seconds
