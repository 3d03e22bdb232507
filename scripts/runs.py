"""Run folders: what `train` leaves behind, read again."""

from pathlib import Path
from typing import Any, NamedTuple

import rl_zoo3
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from plastic_rl.agents.vec_env import make_vec_env
from plastic_rl.scripts.names import refuse
from plastic_rl.scripts.zoo import register_algorithms


class Run(NamedTuple):
    """A run folder.

    Attributes:
        folder: the folder itself.
        model_file: the saved model.
        settings: the folder of `args.yml`, `config.yml` and the normalisation statistics.
        algo: the algorithm's name.
        env_id: the environment's id.
        env_kwargs: the environment's arguments.
    """

    folder: Path
    model_file: Path
    settings: Path
    algo: str
    env_id: str
    env_kwargs: dict[str, Any]

    def load(self, device: str = "auto") -> BaseAlgorithm:
        """Load the trained model, without an environment."""
        register_algorithms()
        return rl_zoo3.ALGOS[self.algo].load(self.model_file, device=device)

    def make_env(self, n_envs: int, seed: int, **env_kwargs: Any) -> VecEnv:
        """Make the environments it was trained on, with the same observations; rewards are not normalised."""
        return self._normalized(make_vec_env(self.env_id, n_envs, seed, env_kwargs={**self.env_kwargs, **env_kwargs}))

    def _normalized(self, env: VecEnv) -> VecEnv:
        statistics = self.settings / "vecnormalize.pkl"
        if statistics.exists():
            env = VecNormalize.load(str(statistics), env)
            env.training = env.norm_reward = False
        return env

    def make_single_env(self, seed: int, render_mode: str) -> VecEnv:
        """Make one environment to be looked at, with the same observations."""
        env = make_vec_env(
            self.env_id,
            1,
            seed,
            env_kwargs={**self.env_kwargs, "render_mode": render_mode},
            vec_env_cls=DummyVecEnv,
        )
        return self._normalized(env)


def open_run(path: str) -> Run:
    """Read a run folder.

    Leaves with one line and exit code 2 where it is none, or one that was left half written.
    """
    folder = Path(path)
    if not folder.is_dir():
        refuse(f"run {path!r} is no folder")
    found = sorted(folder.glob("*/args.yml"))
    if not found:
        refuse(f"run {path!r} is no run folder: it holds no */args.yml; it may be one of {_runs_below(folder)}")
    settings = found[0].parent
    model_file = folder / f"{settings.name}.zip"
    if not model_file.exists():
        refuse(f"run {path!r} holds no model yet: {model_file.name} is missing")
    # The Zoo writes args.yml as an OrderedDict, which only yaml's unsafe loader reads: it is our own file.
    args = dict(yaml.load((settings / "args.yml").read_text(), Loader=yaml.UnsafeLoader))
    config = dict(yaml.load((settings / "config.yml").read_text(), Loader=yaml.UnsafeLoader))
    env_kwargs = args.get("env_kwargs") or config.get("env_kwargs") or {}
    return Run(folder, model_file, settings, args["algo"], args["env"], env_kwargs)


def _runs_below(folder: Path) -> str:
    runs = sorted(str(path.parent.parent) for path in folder.glob("**/args.yml"))
    return ", ".join(runs[:5]) or "those that `train` prints"
