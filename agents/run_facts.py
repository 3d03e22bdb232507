"""What TensorBoard is told of a run as a whole: its hyperparameters, and how to repeat it."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

PACKAGES = ("plastic_rl", "stable-baselines3", "rl_zoo3", "gymnasium", "torch", "numpy", "numba")
SETTINGS = (
    "n_envs",
    "n_steps",
    "batch_size",
    "n_epochs",
    "gamma",
    "gae_lambda",
    "ent_coef",
    "ent_coef_final",
    "vf_coef",
    "max_grad_norm",
    "seed",
)


def hyperparameters(model: OnPolicyAlgorithm) -> dict[str, Any]:
    """Return what tells one run from another, for TensorBoard's HPARAMS page: numbers and strings."""
    found = {name: getattr(model, name, None) for name in SETTINGS}
    values: dict[str, Any] = {name: value for name, value in found.items() if isinstance(value, int | float | str)}
    values["algorithm"] = type(model).__name__
    values["learning_rate"] = model.lr_schedule(1.0)
    assert model.env is not None
    specs = model.env.get_attr("spec") if model.env.has_attr("spec") else [None]
    values["env"] = getattr(specs[0], "id", "unknown")
    policy: Any = model.policy
    values["core"] = str(getattr(policy, "core_name", "none"))
    for name, value in getattr(policy, "core_kwargs", {}).items():
        values[f"core.{name}"] = value if isinstance(value, int | float | str) else str(value)
    values["parameters"] = sum(parameter.numel() for parameter in policy.parameters())
    return values


def describe_run() -> str:
    """Return the exact command, the versions of what runs it, and the working folder's git commit, as Markdown."""
    command = shlex.join(getattr(sys, "orig_argv", sys.argv))
    rows = [f"| {name} | {installed} |" for name in PACKAGES if (installed := _version(name))]
    rows += [f"| Python | {platform.python_version()} |", f"| system | {platform.platform()} |"]
    commit = _git_commit()
    parts = [f"    {command}", "| | version |\n|---|---|\n" + "\n".join(rows)]
    parts.append(f"git commit: {commit}" if commit else "not in a git repository")
    return "\n\n".join(parts)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    def git(*words: str) -> str:
        result = subprocess.run(["git", *words], capture_output=True, text=True, timeout=5, check=True, cwd=os.getcwd())
        return result.stdout.strip()

    try:
        changed = " with changes since" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):  # no git, or no repository
        return None
