"""Steps per second of PPO with each core, and of sb3-contrib's RecurrentPPO, rollouts and updates together.

Shares are of the time: in the environments, in the rest of the rollouts, in updates. The last column says whether a
step was a CUDA graph, or plain, or what kept it from being captured.
"""

import argparse
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback

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
            clock = Clock(arguments.device)
            steps = model.n_steps * n_envs
            model.learn(steps)  # which compiles
            model.learn(arguments.rollouts * steps, callback=clock, reset_num_timesteps=False)
            model.get_env().close()
            total = clock.rollouts + clock.updates
            parts = (clock.stepping, clock.rollouts - clock.stepping, clock.updates)
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


class Clock(BaseCallback):
    """Sums up the seconds of rollouts, of environments in them, and of updates."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device, self._at = device, 0.0
        self.rollouts = self.updates = self.stepping = 0.0

    def _lap(self) -> float:
        before, self._at = self._at, now(self.device)
        return self._at - before

    def _on_training_start(self) -> None:
        self._at = now(self.device)
        step = self.training_env.step

        def timed(actions: Any) -> Any:
            begin = now("cpu")
            result = step(actions)
            self.stepping += now("cpu") - begin
            return result

        self.training_env.step = timed  # type: ignore[method-assign]

    def _on_rollout_start(self) -> None:
        self.updates += self._lap()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.rollouts += self._lap()

    def _on_training_end(self) -> None:
        self.updates += self._lap()
