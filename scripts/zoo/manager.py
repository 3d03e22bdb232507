"""RL Baselines3 Zoo with our algorithms in its tables and our vector environments in place of its own."""

import argparse
import inspect
import signal
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import rl_zoo3
import rl_zoo3.train
from rl_zoo3.exp_manager import ExperimentManager
from rl_zoo3.hyperparams_opt import HYPERPARAMS_CONVERTER, HYPERPARAMS_SAMPLER
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import configure
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from plastic_rl import agents
from plastic_rl.agents import distributed
from plastic_rl.agents.averaged_gradients import AveragedGradients
from plastic_rl.agents.callbacks import PlasticityCallback
from plastic_rl.agents.checkpoint import CheckpointCallback, OtherFormatError
from plastic_rl.agents.vec_env import has_vector_form, make_vec_env
from plastic_rl.cores import core_arguments, core_defaults
from plastic_rl.scripts.names import refuse
from plastic_rl.scripts.runs.file import write_run_file, write_statistics
from plastic_rl.scripts.zoo.clock import CpuClock
from plastic_rl.scripts.zoo.distributed import WholeProgress, check_shares
from plastic_rl.scripts.zoo.resume import finish, write_command
from plastic_rl.scripts.zoo.search import sample_hyperparams
from plastic_rl.scripts.zoo.settings import check_command, check_file, check_settings, settings_of
from plastic_rl.scripts.zoo.summary import command_line, print_summary

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "plastic_ppo": agents.PlasticPPO,
    "plastic_a2c": agents.PlasticA2C,
    "plastic_bptt": agents.PlasticBPTT,
}
HYPERPARAMS = Path(__file__).parents[1] / "hyperparams"


def register_algorithms() -> None:
    """Put our algorithms into the Zoo's tables, which all of its commands share."""
    rl_zoo3.ALGOS.update(ALGORITHMS)
    for name in ALGORITHMS:
        HYPERPARAMS_SAMPLER[name] = sample_hyperparams
        HYPERPARAMS_CONVERTER[name] = dict  # type: ignore[assignment]


def train(argv: list[str], core: str | None, core_kwargs: dict[str, Any], **settings: Any) -> None:
    """Run the Zoo's `train` on a command line, with our experiment manager in place of its own."""
    check_command(argv)
    manager = partial(PlasticExperimentManager, core=core, core_kwargs=core_kwargs, **settings)
    rl_zoo3.train.ExperimentManager = manager  # type: ignore[assignment,misc]
    sys.argv = [sys.argv[0], *argv]
    rl_zoo3.train.train()


class PlasticExperimentManager(ExperimentManager):
    """The Zoo's experiment manager, with native vector environments, our hyperparameters, and a summary at the end."""

    def __init__(
        self,
        args: argparse.Namespace,
        algo: str,
        *more: Any,
        core: str | None = None,
        core_kwargs: dict[str, Any] | None = None,
        checkpoint_seconds: float = 60.0,
        resume: str | None = None,
        command: list[str] | None = None,
        config: str | None = None,
        **kwargs: Any,
    ) -> None:
        if algo in ALGORITHMS and config is None:
            config = str(HYPERPARAMS / f"{algo}.yml")
        self.core, self.core_kwargs = core, core_kwargs or {}
        self.seconds = 0.0
        self.plasticity: PlasticityCallback | None = None
        super().__init__(args, algo, *more, config=config, **kwargs)  # type: ignore[misc]
        if distributed.rank() > 0:
            self.tensorboard_log, self.verbose = None, 0
        if resume is not None:
            self.save_path = resume
            self.params_path = f"{resume}/{self.env_name}"
        self.command = command or []
        self.checkpoints: CheckpointCallback | None = None
        if algo in ALGORITHMS and checkpoint_seconds >= 0 and not self.optimize_hyperparameters:
            folder = Path(self.save_path) / "checkpoints"
            try:
                self.checkpoints = CheckpointCallback(folder, checkpoint_seconds, resume=resume is not None)
            except OtherFormatError as error:
                refuse(f"--resume {resume!r}: {error}")

    def setup_experiment(self) -> tuple[BaseAlgorithm, dict[str, Any]] | None:
        """Set up as the Zoo does; an argument that cannot be is one line and exit code 2."""
        together = distributed.world_size() > 1
        if together and (self.algo not in ALGORITHMS or self.optimize_hyperparameters):
            refuse(f"torchrun is for training {', '.join(ALGORITHMS)}, without -optimize; not for {self.algo}")
        try:
            return super().setup_experiment()
        except (ValueError, TypeError, OSError, AssertionError, gym.error.Error) as error:
            refuse(str(error) + " (in each process)" * together)

    def objective(self, trial: Any) -> float:
        """Train with hyperparameters drawn around this experiment's own, and return what the evaluation gave."""
        if self.algo in ALGORITHMS:
            HYPERPARAMS_SAMPLER[self.algo] = partial(sample_hyperparams, settings=self._hyperparams)
        return super().objective(trial)

    def read_hyperparameters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the YAML, then choose the policy for the observations where it names none, and the core asked for."""
        with settings_of(self.config):
            check_file(self.config)
            hyperparams, saved = super().read_hyperparameters()
            check_settings(hyperparams)
        if self.algo in ALGORITHMS:
            for settings in (hyperparams, saved):
                settings.setdefault("policy", policy_for(self.env_name.gym_id, self.env_kwargs))
                with settings_of(self.config):
                    settings["policy_kwargs"] = self._policy_kwargs(settings.get("policy_kwargs", {}))
        return hyperparams, saved

    def _policy_kwargs(self, policy_kwargs: str | dict[str, Any]) -> dict[str, Any]:
        # As in the Zoo: a string of Python, such as "dict(core='plastic')", from the user's own file or command line.
        chosen = dict(eval(policy_kwargs) if isinstance(policy_kwargs, str) else policy_kwargs)
        core_kwargs = dict(chosen.get("core_kwargs", {}))
        if self.core is not None and self.core != chosen.get("core"):
            chosen["core"] = self.core
            # What was set for another core holds for this one, too, unless its name says otherwise or it has no such.
            kept = set(core_arguments(self.core)) - set(core_defaults(self.core))
            core_kwargs = {name: value for name, value in core_kwargs.items() if name in kept}
        chosen["core_kwargs"] = {**core_kwargs, **self.core_kwargs}
        return chosen

    def _preprocess_hyperparams(self, hyperparams: dict[str, Any]) -> Any:
        with settings_of(self.config):
            processed = super()._preprocess_hyperparams(hyperparams)
        if distributed.world_size() > 1:
            self._take_a_share(processed[0])
        if self._eval_env_kwargs_args is None:  # the Zoo leaves out what the YAML says
            self.eval_env_kwargs = self.env_kwargs
        return processed

    def _take_a_share(self, hyperparams: dict[str, Any]) -> None:
        """Take this process's part of a minibatch, and a seed of its own: that of its first environment."""
        check_shares(self.n_envs, hyperparams, self.device)
        if "batch_size" in hyperparams:
            hyperparams["batch_size"] //= distributed.world_size()
        self.seed += distributed.rank() * (self.n_envs // distributed.world_size())

    def create_log_folder(self) -> None:
        """Make the run folder."""
        if distributed.rank() == 0:
            super().create_log_folder()

    def create_callbacks(self) -> None:
        """Make the Zoo's callbacks, which watch the training in the first process alone."""
        if distributed.rank() > 0:
            return
        if self.show_progress and distributed.world_size() > 1:
            self.callbacks.append(WholeProgress())
            self.show_progress = False
        super().create_callbacks()

    def _save_config(self, saved_hyperparams: dict[str, Any]) -> None:
        if distributed.rank() > 0:
            return
        super()._save_config(saved_hyperparams)
        hyperparams = self._hyperparams
        facts = {
            "algo": self.algo,
            "env": self.env_name.gym_id,
            "env_kwargs": self.env_kwargs,
            "gym_packages": self.args.gym_packages,
            "policy": hyperparams["policy"],
            "policy_kwargs": hyperparams.get("policy_kwargs", {}),
            "config": {key: value for key, value in saved_hyperparams.items() if key != "policy_kwargs"},
            "processes": distributed.world_size(),
        }
        write_run_file(Path(self.params_path), facts)
        # Last: where it is, a killed run has all that it takes to go on.
        write_command(Path(self.params_path), [*self.command, "--seed", str(self.args.seed)])

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        """Make the native vector environment where there is one, and else the Zoo's."""
        env_id = self.env_name.gym_id
        if not eval_env:
            n_envs //= distributed.world_size()
            no_log = no_log or distributed.rank() > 0
        plain = self.env_wrapper is None and self.frame_stack is None and self.vec_env_class is DummyVecEnv
        if not (plain and has_vector_form(env_id)):
            return super().create_envs(n_envs, eval_env, no_log)
        env: VecEnv = make_vec_env(
            env_id,
            n_envs,
            self.seed,
            env_kwargs=self.eval_env_kwargs if eval_env else self.env_kwargs,
            monitor_dir=None if eval_env or no_log or self._found else self.save_path,
        )
        if self.vec_env_wrapper is not None:
            env = self.vec_env_wrapper(env)
        return self._maybe_normalize(env, eval_env)

    @property
    def _found(self) -> Path | None:
        """The checkpoint that training goes on from, if it does."""
        return self.checkpoints.found if self.checkpoints else None

    def learn(self, model: BaseAlgorithm) -> None:
        """Train, and remember for how long; what stops it is told in one line, and exit code 1."""
        if distributed.world_size() > 1:
            self.callbacks.append(AveragedGradients())
        if self.algo in ALGORITHMS and distributed.rank() == 0:
            self.plasticity = PlasticityCallback()
            self.callbacks.append(self.plasticity)
        if self.checkpoints is not None:
            self.callbacks.append(self.checkpoints)
            if self._found and model.tensorboard_log and self.checkpoints.log_folder:
                formats = ["stdout", "tensorboard"] if model.verbose else ["tensorboard"]
                model.set_logger(configure(f"{model.tensorboard_log}/{self.checkpoints.log_folder}", formats))
        if distributed.rank() == 0:
            self.callbacks.append(CpuClock(self.save_path))
        begin = time.perf_counter()
        try:
            super().learn(model)
        except Exception as error:
            if isinstance(error, distributed.LostProcessError) and distributed.rank() > 0:
                raise SystemExit(1) from None
            if not isinstance(error, FloatingPointError | OSError | EOFError | distributed.LostProcessError):
                traceback.print_exc()  # an environment's own error, say
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, EOFError | ConnectionError):  # the pipe to it is closed
                reason = "a worker process of the environment died"
            print(f"error: training stopped after {model.num_timesteps:,} steps: {reason}", file=sys.stderr)
            self._say_how_to_go_on()
            raise SystemExit(1) from None
        self.seconds = time.perf_counter() - begin

    def _say_how_to_go_on(self) -> None:
        if self.checkpoints is not None and any(self.checkpoints.folder.glob("*.pt")):
            print(f"go on from the last checkpoint: {command_line('train')} --resume {self.save_path}", file=sys.stderr)

    def save_trained_model(self, model: BaseAlgorithm) -> None:
        """Save as the Zoo does, then print what was learned and how to look further."""
        if distributed.rank() > 0:
            return
        try:
            super().save_trained_model(model)
            if (normalisation := model.get_vec_normalize_env()) is not None:
                write_statistics(Path(self.params_path), normalisation)
        except OSError as error:
            print(f"error: the trained model could not be saved to {self.save_path}: {error}", file=sys.stderr)
            self._say_how_to_go_on()
            raise SystemExit(1) from None
        print_summary(
            model,
            self.env_name.gym_id,
            self.env_kwargs,
            self.save_path,
            self.tensorboard_log,
            self.seconds,
            self.plasticity.n_episodes if self.plasticity else None,
        )
        if model.num_timesteps < self.n_timesteps:
            self._say_how_to_go_on()
        else:
            finish(Path(self.params_path))
        if self.checkpoints is not None and self.checkpoints.terminated:
            raise SystemExit(128 + signal.SIGTERM)


def policy_for(env_id: str, env_kwargs: dict[str, Any]) -> str:
    """Return the name of the policy that reads an environment's observations."""
    env = gym.make(env_id, **env_kwargs)
    space = env.observation_space
    env.close()
    if isinstance(space, gym.spaces.Dict):
        return "MultiInputPolicy"
    return "CnnPolicy" if is_image_space(space) else "MlpPolicy"


def known_hyperparams(algo: str) -> list[str]:
    """Return the names that `--hyperparams` may set: the algorithm's arguments and the Zoo's own keys."""
    names = {"normalize", "n_envs", "n_timesteps", "env_wrapper", "vec_env_wrapper", "frame_stack", "callback"}
    names |= {"monitor_kwargs", "env_kwargs"}
    for cls in rl_zoo3.ALGOS[algo].__mro__:
        if cls is not object and "__init__" in vars(cls):
            names |= set(inspect.signature(vars(cls)["__init__"]).parameters) - {"self", "args", "kwargs", "env"}
    return sorted(name for name in names if not name.startswith("_"))
