"""What TensorBoard is told of a run as a whole: its hyperparameters, and how to repeat it."""

import shlex
import subprocess
import sys
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import get_system_info

import plastic_rl

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
    facts = {"plastic_rl": plastic_rl.__version__, **get_system_info(print_info=False)[0]}
    rows = [f"| {name} | {found} |" for name, found in facts.items()]
    commit = _git_commit()
    parts = [f"    {shlex.join(sys.orig_argv)}", "\n".join(["| | version |", "|---|---|", *rows])]
    parts.append(f"git commit: {commit}" if commit else "not in a git repository")
    return "\n\n".join(parts)


def _git_commit() -> str | None:
    def git(*words: str) -> str:
        result = subprocess.run(["git", *words], capture_output=True, text=True, timeout=5, check=True)
        return result.stdout.strip()

    try:
        changed = " with changes since" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):  # no git, or no repository
        return None
