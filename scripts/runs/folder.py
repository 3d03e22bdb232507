"""Run folders: what `train` leaves behind, read again."""

import pkgutil
import zipfile
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize

from plastic_rl.agents.vec_env import make_vec_env
from plastic_rl.arguments import check_name
from plastic_rl.envs import score
from plastic_rl.scripts import refuse
from plastic_rl.scripts.runs.file import NAME, RunFileError, evaluated, normalized, read_run_file

# Algorithms by the names that RL Baselines3 Zoo has for them; those of this package first.
ALGORITHMS = {
    **{f"plastic_{name.lower()}": f"plastic_rl.agents:Plastic{name}" for name in ("PPO", "A2C", "BPTT")},
    **{name.lower(): f"stable_baselines3:{name}" for name in ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")},
    **{name.lower(): f"sb3_contrib:{name}" for name in ("ARS", "CrossQ", "QRDQN", "TQC", "TRPO")},
    "ppo_lstm": "sb3_contrib:RecurrentPPO",
}
OURS = tuple(name for name, place in ALGORITHMS.items() if place.startswith("plastic_rl"))
PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Run:
    """A run folder, and what `run.json` in its `settings` says; pickled files of a `trusted` one may be read."""

    folder: Path
    settings: Path
    algo: str
    env_id: str
    env_kwargs: dict[str, Any]
    config: dict[str, Any]
    trusted: bool = False
    processes: int = 1

    @property
    def model_file(self) -> Path:
        """The saved model."""
        return self.folder / f"{self.settings.name}.zip"

    @property
    def output(self) -> Path:
        """Where what is made of the run goes by default: into its folder, but never into this package's."""
        return Path() if self.folder.parent == pretrained() else self.folder

    @property
    def core(self) -> str | None:
        """The name of the policy's core; None where it has none."""
        return self.config["policy_kwargs"].get("core")

    @property
    def core_kwargs(self) -> dict[str, Any]:
        """The arguments of the core that are not its defaults."""
        return self.config["policy_kwargs"].get("core_kwargs") or {}

    @property
    def task(self) -> str:
        """The environment's name with its arguments, without the package that has it."""
        arguments = ", ".join(f"{name}={value}" for name, value in self.env_kwargs.items())
        return self.env_id.rpartition("/")[2] + (f" ({arguments})" if arguments else "")

    def score(self, mean_return: float) -> float | None:
        """Return the normalized score of a mean return; None where the task is none of this package's."""
        return score(self.env_id, mean_return, **self.env_kwargs)

    def load(self, device: str = "auto") -> BaseAlgorithm:
        """Load the trained model: its policy, that is, with no more of the training unless the run is trusted."""
        check_name(f"algorithm of run {str(self.folder)!r}", self.algo, ALGORITHMS)
        cls: Any = pkgutil.resolve_name(ALGORITHMS[self.algo])
        env = None if self.trusted else self.make_env(1, seed=0)
        try:
            if self.trusted:
                return cls.load(self.model_file, device=device)
            network = {"policy_kwargs": self.config["policy_kwargs"], "device": device}
            model = cls(self.config["policy"], env, verbose=0, **network)
            _, parameters, _ = load_from_zip_file(self.model_file, load_data=False, device=device)
            model.policy.load_state_dict(parameters["policy"])
            return model
        except Exception as error:  # whatever unpickling, or building the policy from what was pickled, may raise
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            what = "does not fit this version" if zipfile.is_zipfile(self.model_file) else "is cut off or no model"
            refuse(f"the model of run {str(self.folder)!r} {what}: {reason}")

    def make_env(self, n_envs: int, seed: int, camera: Any = None, **env_kwargs: Any) -> VecEnv:
        """Make the environments it was trained on, with the same observations; rewards are not normalized.

        The first one has the seed. `camera` wraps each, in this process; further arguments are the environment's.
        """
        how: dict[str, Any] = {"vec_env_cls": DummyVecEnv} if camera else {}
        if camera or self.config.get("env_wrapper"):
            layers = [self.config.get("env_wrapper"), camera]
            how["wrapper_class"] = lambda env: reduce(_wrapped, layers, env)
        try:
            env = make_vec_env(self.env_id, n_envs, seed, env_kwargs={**self.env_kwargs, **env_kwargs}, **how)
        except (TypeError, ValueError, FileNotFoundError, gym.error.Error) as error:
            refuse(f"the environment of run {str(self.folder)!r}, {self.env_id}, cannot be made: {error}")
        env = _wrapped(env, self.config.get("vec_env_wrapper"))
        if self.config.get("normalize"):
            try:
                pickled = str(self.settings / "vecnormalize.pkl")
                env = VecNormalize.load(pickled, env) if self.trusted else normalized(env, self.settings)
            except (RunFileError, OSError) as error:
                refuse(f"run {str(self.folder)!r} is half written: {error}")
            if isinstance(env, VecNormalize):
                env.training = env.norm_reward = False
        return VecFrameStack(env, self.config["frame_stack"]) if self.config.get("frame_stack") else env


def load_run(folder_or_name: str | Path, device: str = "cpu", trust: bool = False) -> tuple[BaseAlgorithm, VecEnv]:
    """Load a trained agent and an environment to play it in.

        model, env = plastic_rl.load_run("pretrained/Maze-v0")

    Args:
        folder_or_name: a run folder, as `train` prints it, or `pretrained/NAME` for an agent of this package.
        device: of the model.
        trust: read pickled files of the run, which can execute code; needed for runs of other programs.

    Returns:
        The model, and one environment with the observations that the model was trained on.

    Raises:
        UsageError: it is no run folder, or cannot be loaded; a `ValueError`.
    """
    run = open_run(str(folder_or_name), trust=trust)
    return run.load(device), run.make_env(1, seed=0)


def open_run(path: str, trained: bool = True, trust: bool = False) -> Run:
    """Read a run folder, or `pretrained/NAME`; raises `UsageError` where it is none, or was left half written.

    Its model must be there if it is to be `trained`. With `trust` what the Zoo wrote is read, which can execute code.
    """
    folder = Path(path)
    if not folder.is_dir():
        shelf, _, name = path.rstrip("/").partition("/")
        if shelf != PRETRAINED:
            refuse(f"run {path!r} is no folder")
        check_name("pretrained agent", name, [agent.name for agent in pretrained().glob("*/")])
        folder = pretrained() / name
    found = sorted(folder.glob("*/args.yml" if trust else f"*/{NAME}"))
    if not found:
        near = sorted(str(file.parent.parent) for file in folder.glob(f"**/{NAME}"))[:5]
        hint = f"it may be one of {', '.join(near) or 'those that `train` prints'}"
        if list(folder.glob("*/args.yml")):
            hint = "those of other programs do not; --trust reads it, but can execute what somebody put there"
        refuse(f"run {path!r} is no run folder: it holds no */{NAME}; {hint}")
    try:
        run = _trusted(folder, found[0].parent) if trust else _plain(folder, found[0].parent)
    except ImportError as error:
        refuse(f"run {path!r} needs what cannot be imported: {error}")
    except (OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError) as error:
        reason = f"it does not say {error}" if isinstance(error, KeyError) else error
        refuse(f"run {path!r} cannot be read, it may be half written or of another version: {reason}")
    check_name(f"environment of run {path!r}", run.env_id, gym.registry)
    if trained and not run.model_file.exists():
        refuse(f"run {path!r} holds no model yet: {run.model_file.name} is missing; was it stopped before its end?")
    return run


def pretrained() -> Path:
    """Return the folder of the trained agents that this package comes with."""
    return Path(import_module("plastic_rl").__file__ or "").parent / PRETRAINED


def _plain(folder: Path, settings: Path) -> Run:
    facts = read_run_file(settings)
    for package in facts["gym_packages"]:
        import_module(package)
    policy_kwargs = dict(facts["policy_kwargs"])  # a string of Python is none, and is not evaluated
    config = {**facts["config"], "policy": facts["policy"], "policy_kwargs": policy_kwargs}
    known = (folder, settings, facts["algo"], facts["env"], facts["env_kwargs"], config)
    return Run(*known, processes=facts.get("processes", 1))


def _trusted(folder: Path, settings: Path) -> Run:
    # The Zoo writes these as an OrderedDict, which only yaml's unsafe loader reads.
    args, config = (dict(yaml.unsafe_load((settings / f"{name}.yml").read_text())) for name in ("args", "config"))
    for package in args.get("gym_packages") or []:
        import_module(package)
    env_kwargs = dict(evaluated(args.get("env_kwargs") or config.get("env_kwargs") or {}))
    try:
        config["policy_kwargs"] = dict(evaluated(config.get("policy_kwargs") or {}))
    except ValueError:  # it names a class that the Zoo knows and we do not: then it is no core of ours
        config["policy_kwargs"] = {}
    return Run(folder, settings, args["algo"], args["env"], env_kwargs, config, trusted=True)


def _wrapped(env: Any, setting: Any) -> Any:
    """Wrap an environment as the Zoo's format says: by a name, {name: arguments}, a list of these, None, or a class."""
    if callable(setting):
        return setting(env)
    for part in setting if isinstance(setting, list) else [setting] if setting else []:
        ((place, arguments),) = {part: {}}.items() if isinstance(part, str) else part.items()
        env = pkgutil.resolve_name(place)(env, **(arguments or {}))
    return env
