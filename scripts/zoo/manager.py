"""RL Baselines3 Zoo with our vector environments, hyperparameters, checkpoints and summary in place of its own."""

import argparse
import glob
import io
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import gymnasium as gym
import rl_zoo3.train
import torch
import yaml
from rl_zoo3.exp_manager import ExperimentManager
from rl_zoo3.hyperparams_opt import HYPERPARAMS_SAMPLER
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import ProgressBarCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.utils import get_device, get_latest_run_id
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from plastic_rl.agents import distributed, hyperparams
from plastic_rl.agents.averaged_gradients import AveragedGradients
from plastic_rl.agents.callbacks import PlasticityCallback
from plastic_rl.agents.checkpoint import CheckpointCallback, OtherFormatError
from plastic_rl.agents.rollouts import RecurrentRollouts
from plastic_rl.agents.vec_env import has_vector_form, make_vec_env
from plastic_rl.scripts import refuse
from plastic_rl.scripts.runs.file import write_run_file, write_statistics
from plastic_rl.scripts.runs.folder import OURS
from plastic_rl.scripts.zoo.clock import CpuClock
from plastic_rl.scripts.zoo.options import TORCHRUN, check_settings
from plastic_rl.scripts.zoo.search import sample_hyperparams
from plastic_rl.scripts.zoo.summary import command_line, print_summary

SMALLEST_IMAGE = 36


def train(args: argparse.Namespace) -> None:
    """Run the Zoo's `train` with our options and experiment manager; nothing is printed before all is set up."""
    stdout, said = sys.stdout, io.StringIO()

    def begin() -> None:
        sys.stdout = stdout
        print(said.getvalue(), end="")

    # The Zoo declares and parses its options within `train`: its parser is one that has nothing left to do.
    parser = SimpleNamespace(add_argument=lambda *_, **__: None, parse_args=lambda: args)
    ours: Any = {"ExperimentManager": partial(PlasticExperimentManager, begin=begin),
                 "argparse": SimpleNamespace(ArgumentParser=lambda: parser)}  # fmt: skip
    with patch.multiple(rl_zoo3.train, **ours), redirect_stdout(said):
        rl_zoo3.train.train()


class PlasticExperimentManager(ExperimentManager):
    """The Zoo's experiment manager, with our parts in it; `begin` is called when all is set up."""

    def __init__(self, args: Any, algo: str, *more: Any, begin: Any, uuid_str: str, **kwargs: Any) -> None:
        if algo in OURS and kwargs["config"] is None:
            kwargs["config"] = str(hyperparams.FOLDER / f"{algo}.yml")
        super().__init__(args, algo, *more, **kwargs)
        self.rank, self.world_size = args.rank, args.world_size
        self.begin = begin
        self.checkpoints: CheckpointCallback | None = None
        self._made: list[Path] = []
        if self.rank > 0:
            self.tensorboard_log, self.verbose = None, 0
        self.save_path = args.resume or _next(self.log_path, self.env_name) + uuid_str
        self.params_path = f"{self.save_path}/{self.env_name}"
        if algo in OURS and args.checkpoint_seconds >= 0 and not self.optimize_hyperparameters:
            folder = Path(self.save_path) / "checkpoints"
            try:
                self.checkpoints = CheckpointCallback(folder, args.checkpoint_seconds, resume=args.resume is not None)
            except OtherFormatError as error:
                refuse(f"--resume {args.resume!r}: {error}")

    def setup_experiment(self) -> tuple[BaseAlgorithm, dict[str, Any]] | None:
        """Set up as the Zoo does; where an argument cannot be, nothing is left of the run."""
        if self.world_size > 1 and (self.algo not in OURS or self.optimize_hyperparameters):
            refuse(f"torchrun is for training {', '.join(OURS)}, without -optimize; not for {self.algo}")
        try:
            result = super().setup_experiment()
        except Exception as error:
            for folder in self._made[:2]:
                shutil.rmtree(folder, ignore_errors=True)
            for folder in self._made[2:]:
                with suppress(OSError):  # another run is in it by now
                    folder.rmdir()
            if not isinstance(error, ValueError | TypeError | OSError | AssertionError | gym.error.Error):
                raise
            refuse(str(error) + " (in each process)" * (self.world_size > 1))
        self.begin()
        return result

    def objective(self, trial: Any) -> float:
        """Train with hyperparameters drawn around this experiment's own, and return what the evaluation gave."""
        if self.algo in OURS:
            HYPERPARAMS_SAMPLER[self.algo] = partial(sample_hyperparams, settings=self._hyperparams)
        return super().objective(trial)

    def read_hyperparameters(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the YAML, check what it says, and put in the core that was asked for."""
        with self._named_settings():
            if self.config.endswith((".yml", ".yaml")):
                content = yaml.safe_load(Path(self.config).read_text())
                if not isinstance(content, dict):
                    raise TypeError(f"the file must hold settings under the ids of environments, not {content!r}")
            hyperparams, saved = super().read_hyperparameters()
            check_settings(hyperparams)
        if self.algo in OURS:
            saved.pop("core_kwargs", None)
            chosen = dict(hyperparams.get("policy_kwargs", {}))
            if self.args.core not in (None, chosen.get("core")):  # what was set for another one says nothing of this
                chosen |= {"core": self.args.core, "core_kwargs": {}}
            found = hyperparams.pop("core_kwargs", {})  # by a search
            chosen["core_kwargs"] = {**chosen.get("core_kwargs", {}), **found, **self.args.core_kwargs}
            hyperparams["policy_kwargs"] = saved["policy_kwargs"] = chosen
        return hyperparams, saved

    @contextmanager
    def _named_settings(self) -> Iterator[None]:
        """Turn what reading and evaluating settings may raise into an error of one line that names where they are."""
        try:
            yield
        except Exception as error:  # the Zoo evaluates some of them as Python
            reason = str(error).strip().partition("\n")[0]
            kind = "" if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: "
            source = f"hyperparameters, from {self.config} or the command line"
            raise ValueError(f"{source}: {kind}{reason}") from error

    def _preprocess_action_noise(self, hyperparams: dict[str, Any], saved: dict[str, Any], env: VecEnv) -> Any:
        if self.algo in OURS:  # the policy that reads the observations, as they come out of all wrappers
            for settings in (hyperparams, saved):
                settings.setdefault("policy", policy_for(env.observation_space))
        return super()._preprocess_action_noise(hyperparams, saved, env)

    def _load_pretrained_agent(self, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        model = super()._load_pretrained_agent(hyperparams, env)
        hyperparams |= {"policy": model.policy_class, "policy_kwargs": model.policy_kwargs}  # for `run.json`
        return model

    def _preprocess_hyperparams(self, hyperparams: dict[str, Any]) -> Any:
        with self._named_settings():
            processed = super()._preprocess_hyperparams(hyperparams)
        if self.world_size > 1:  # this process's part of a minibatch, and the seed of its first environment
            check_shares(self.n_envs, processed[0], self.device)
            if "batch_size" in processed[0]:
                processed[0]["batch_size"] //= self.world_size
            self.seed += self.rank * (self.n_envs // self.world_size)
        if self._eval_env_kwargs_args is None:  # the Zoo leaves out what the YAML says
            self.eval_env_kwargs = self.env_kwargs
        return processed

    def create_log_folder(self) -> None:
        """Make the run folder."""
        if self.rank == 0:
            folder = Path(self.params_path)
            self._made = [path for path in (folder, *folder.parents) if not path.exists()]  # from the run folder up
            super().create_log_folder()

    def create_callbacks(self) -> None:
        """Make the Zoo's callbacks, which watch the training in the first process alone."""
        if self.rank > 0:
            return
        if self.show_progress and self.world_size > 1:
            self.callbacks.append(WholeProgress())
            self.show_progress = False
        super().create_callbacks()

    def _save_config(self, saved_hyperparams: dict[str, Any]) -> None:
        if self.rank > 0:
            return
        super()._save_config(saved_hyperparams)
        facts = {
            "algo": self.algo,
            "env": self.env_name.gym_id,
            "env_kwargs": self.env_kwargs,
            "gym_packages": self.args.gym_packages,
            "policy": self._hyperparams["policy"],
            "policy_kwargs": self._hyperparams.get("policy_kwargs", {}),
            "config": {key: value for key, value in saved_hyperparams.items() if key != "policy_kwargs"},
            "processes": self.world_size,
        }
        if (name := os.environ.get("TORCHELASTIC_RUN_ID")) is not None:
            (Path(self.params_path) / TORCHRUN).write_text(name)
        write_run_file(Path(self.params_path), facts, [*self.args.began, "--seed", str(self.args.seed)])

    def create_envs(self, n_envs: int, eval_env: bool = False, no_log: bool = False) -> VecEnv:
        """Make the native vector environment where there is one, and else the Zoo's."""
        env_id = self.env_name.gym_id
        if not eval_env:
            n_envs //= self.world_size
            no_log = no_log or self.rank > 0
        resumed = self.checkpoints is not None and self.checkpoints.found is not None
        plain = self.env_wrapper is None and self.frame_stack is None and self.vec_env_class is DummyVecEnv
        if not (plain and has_vector_form(env_id)):
            if resumed and not eval_env:  # what was before stays in the monitor files
                self.monitor_kwargs = {**self.monitor_kwargs, "override_existing": False}
            return super().create_envs(n_envs, eval_env, no_log)
        env_kwargs = self.eval_env_kwargs if eval_env else self.env_kwargs
        monitor_dir = None if eval_env or no_log or resumed else self.save_path
        env: VecEnv = make_vec_env(env_id, n_envs, self.seed, env_kwargs=env_kwargs, monitor_dir=monitor_dir)
        if self.vec_env_wrapper is not None:
            env = self.vec_env_wrapper(env)
        return self._maybe_normalize(env, eval_env)

    def learn(self, model: BaseAlgorithm) -> None:
        """Train; what stops it is told in one line, and exit code 1."""
        self.plasticity = PlasticityCallback() if self.rank == 0 and self.algo in OURS else None
        clock = CpuClock(self.save_path) if self.rank == 0 else None
        ours = (AveragedGradients() if self.world_size > 1 else None, self.plasticity, self.checkpoints, clock)
        self.callbacks += [callback for callback in ours if callback is not None]
        try:
            if model.tensorboard_log:
                name = model._run_name() if isinstance(model, RecurrentRollouts) else self.algo
                before = self.checkpoints.log_folder if self.checkpoints else None  # of a run that goes on
                events = f"{model.tensorboard_log}/{before}" if before else _next(model.tensorboard_log, name)
                model.set_logger(configure(events, ["stdout", "tensorboard"] if model.verbose else ["tensorboard"]))
            super().learn(model)
        except Exception as error:
            if isinstance(error, distributed.LostProcessError) and self.rank > 0:
                raise SystemExit(1) from None
            if not isinstance(error, FloatingPointError | OSError | EOFError | distributed.LostProcessError):
                traceback.print_exc()  # an environment's own error, say
            reason = f"{type(error).__name__}: {error}"
            if isinstance(error, EOFError | ConnectionError):  # the pipe to it is closed
                reason = "a worker process of the environment died"
            self._leave(f"error: training stopped after {model.num_timesteps:,} steps: {reason}")

    def _leave(self, why: str) -> None:
        print(why, file=sys.stderr)
        self._say_how_to_go_on()
        raise SystemExit(1) from None

    def _say_how_to_go_on(self) -> None:
        if self.checkpoints is not None and any(self.checkpoints.folder.glob("*.pt")):
            print(f"go on from the last checkpoint: {command_line('train')} --resume {self.save_path}", file=sys.stderr)

    def save_trained_model(self, model: BaseAlgorithm) -> None:
        """Save as the Zoo does, then print what was learned and how to look further."""
        if self.rank > 0:
            return
        try:
            super().save_trained_model(model)
            if (statistics := model.get_vec_normalize_env()) is not None:
                write_statistics(Path(self.params_path), statistics)
        except OSError as error:
            self._leave(f"error: the trained model could not be saved to {self.save_path}: {error}")
        n_episodes = self.plasticity.n_episodes if self.plasticity else None
        print_summary(model, self.env_name.gym_id, self.env_kwargs, n_episodes, self.save_path)
        if model.num_timesteps < self.n_timesteps:
            self._say_how_to_go_on()
        else:
            (Path(self.params_path) / TORCHRUN).unlink(missing_ok=True)
        if self.checkpoints is not None and self.checkpoints.terminated:
            raise SystemExit(128 + signal.SIGTERM)


class WholeProgress(ProgressBarCallback):
    """SB3's progress bar over the steps of all processes."""

    def _on_step(self) -> bool:
        self.pbar.update(self.training_env.num_envs * distributed.world_size())
        return True


def check_shares(n_envs: int, hyperparams: dict[str, Any], device: torch.device | str) -> None:
    """Refuse a training that cannot be shared out among the processes: environments, hyperparameters, GPUs."""
    n = distributed.world_size()
    for name, value in (("n_envs", n_envs), ("batch_size", hyperparams.get("batch_size", n))):
        if value % n:
            refuse(f"{name} must be a multiple of the {n} processes, not {value}")
    if (target := hyperparams.get("target_kl")) is not None:
        refuse(f"target_kl must be None in a training over many processes, not {target}")
    here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
    if get_device(device).type == "cuda" and here > gpus:
        refuse(f"--device {device} wants a GPU for each of {here} processes, and here are {gpus}; it may be cpu")


def policy_for(space: gym.Space) -> str:
    """Return the name of the policy that reads observations of a space."""
    if isinstance(space, gym.spaces.Dict):
        return "MultiInputPolicy"
    # Stable-Baselines3's convolutions read no smaller images.
    large = len(space.shape or ()) == 3 and sorted(space.shape or ())[1] >= SMALLEST_IMAGE
    return "CnnPolicy" if is_image_space(space) and large else "MlpPolicy"


def _next(folder: str, name: str) -> str:
    """Return the path of the next numbered entry of a folder, `folder/name_1` where there is none."""
    return str(Path(folder) / f"{name}_{get_latest_run_id(glob.escape(folder), name) + 1}")
