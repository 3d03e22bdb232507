"""What `train -optimize` searches: the hyperparameters of one trial."""

from typing import Any

from rl_zoo3.utils import SimpleLinearSchedule

from plastic_rl.agents.policy import DEFAULT_CORE
from plastic_rl.cores import core_arguments


def sample_hyperparams(
    trial: Any, n_actions: int, n_envs: int, additional_args: dict[str, Any], settings: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Draw hyperparameters for one trial of `-optimize`.

    Rollouts keep their length, which is the task's; the learning rate decays to 0. Of the core, the initial alpha and
    eta are drawn, where it has them.

    Args:
        trial: Optuna's.
        n_actions: not used.
        n_envs: environments of a rollout.
        additional_args: not used.
        settings: the hyperparameters that the trial is a variant of; without them the core's are not drawn.
    """
    settings = settings or {}
    drawn: dict[str, Any] = {
        "learning_rate": SimpleLinearSchedule(trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True)),
        "gamma": 1 - trial.suggest_float("one_minus_gamma", 1e-2, 0.2, log=True),
        "gae_lambda": 1 - trial.suggest_float("one_minus_gae_lambda", 1e-2, 0.2, log=True),
        "ent_coef": trial.suggest_float("ent_coef", 1e-3, 0.1, log=True),
        "max_grad_norm": trial.suggest_float("max_grad_norm", 0.3, 2.0),
    }
    if "n_epochs" in settings:
        drawn["n_epochs"] = trial.suggest_categorical("n_epochs", [2, 4, 8])
        sizes = [settings["n_steps"] * max(1, n_envs // parts) for parts in (2, 4, 8)]
        drawn["batch_size"] = trial.suggest_categorical("batch_size", sizes)
    if "policy_kwargs" not in settings:  # the Zoo's own search, which does not say what it is a variant of
        return drawn
    policy_kwargs = settings["policy_kwargs"]
    known = core_arguments(policy_kwargs.get("core", DEFAULT_CORE))
    ranges = {"alpha_init": (1e-3, 0.3), "eta_init": (1e-2, 0.5)}
    own = {name: trial.suggest_float(name, *ranges[name], log=True) for name in ranges if name in known}
    return {**drawn, "policy_kwargs": {**policy_kwargs, "core_kwargs": {**policy_kwargs.get("core_kwargs", {}), **own}}}


def found_hyperparams(drawn: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a trial of a study stands for, as a hyperparameter file would say them.

    Args:
        drawn: what Optuna drew, by name.
    """
    core_kwargs = {name: value for name, value in drawn.items() if name.endswith("_init")}
    settings = {name: value for name, value in drawn.items() if not name.startswith("one_minus_")}
    settings |= {name.removeprefix("one_minus_"): 1 - value for name, value in drawn.items() if name not in settings}
    settings["learning_rate"] = f"lin_{drawn['learning_rate']!r}"
    return {name: value for name, value in settings.items() if name not in core_kwargs} | {"core_kwargs": core_kwargs}
