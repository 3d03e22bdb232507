"""What `train -optimize` searches: the hyperparameters of one trial."""

from typing import Any

from rl_zoo3.utils import SimpleLinearSchedule

from plastic_rl.agents.policy import DEFAULT_CORE
from plastic_rl.cores import core_arguments

DRAWN = {"learning_rate": (3e-4, 1e-2), "one_minus_gamma": (1e-2, 0.2), "one_minus_gae_lambda": (1e-2, 0.2),
         "ent_coef": (1e-3, 0.1), "max_grad_norm": (0.3, 2.0)}  # fmt: skip
OF_THE_CORE = {"alpha_init": (1e-3, 0.3), "eta_init": (1e-2, 0.5)}


def sample_hyperparams(trial: Any, n_actions: int, n_envs: int, additional_args: Any, settings: Any = None) -> dict:
    """Draw hyperparameters for one trial of `-optimize`, a variant of `settings`: rollouts keep their length."""
    settings = settings or {}
    drawn: dict[str, Any] = {name: trial.suggest_float(name, *ends, log=True) for name, ends in DRAWN.items()}
    drawn = found_hyperparams(drawn) | {"learning_rate": SimpleLinearSchedule(drawn["learning_rate"])}
    del drawn["core_kwargs"]
    if "n_epochs" in settings:
        drawn["n_epochs"] = trial.suggest_categorical("n_epochs", [2, 4, 8])
        sizes = [settings["n_steps"] * max(1, n_envs // parts) for parts in (2, 4, 8)]
        drawn["batch_size"] = trial.suggest_categorical("batch_size", sizes)
    if "policy_kwargs" in settings:
        chosen = settings["policy_kwargs"]
        known = core_arguments(chosen.get("core", DEFAULT_CORE))
        own = {name: trial.suggest_float(name, *ends, log=True) for name, ends in OF_THE_CORE.items() if name in known}
        drawn["policy_kwargs"] = {**chosen, "core_kwargs": {**chosen.get("core_kwargs", {}), **own}}
    return drawn


def found_hyperparams(drawn: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that what Optuna drew stands for, by name, as a hyperparameter file would say them."""
    core_kwargs = {name: value for name, value in drawn.items() if name in OF_THE_CORE}
    settings = {name.removeprefix("one_minus_"): 1 - value if name.startswith("one_minus_") else value
                for name, value in drawn.items() if name not in OF_THE_CORE}  # fmt: skip
    return {**settings, "learning_rate": f"lin_{drawn['learning_rate']!r}", "core_kwargs": core_kwargs}
