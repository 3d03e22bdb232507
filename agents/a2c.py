"""Advantage actor-critic with a recurrent, plastic policy."""

from typing import Any

from stable_baselines3 import A2C

from plastic_rl.agents.hyperparameters import check_hyperparameters
from plastic_rl.agents.rollouts import RecurrentRollouts


class PlasticA2C(RecurrentRollouts, A2C):
    """SB3's `A2C` with a recurrent policy; one update for each rollout, over all environments.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: an environment id, a Gymnasium `Env` or `VectorEnv`, or an SB3 `VecEnv`.
        n_steps: length of a rollout; best a multiple of the length of an episode.
        policy_kwargs: beside SB3's, `core` and `core_kwargs`; see `PlasticActorCriticPolicy`.
        ent_coef_final: if given, the entropy coefficient goes linearly from `ent_coef` to this at the end of training.
        kwargs: as in SB3's `A2C`.

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.
    """

    def __init__(
        self,
        policy: Any,
        env: Any,
        *,
        n_steps: int = 128,
        policy_kwargs: dict[str, Any] | None = None,
        ent_coef_final: float | None = None,
        **kwargs: Any,
    ) -> None:
        check_hyperparameters(n_steps=n_steps, policy_kwargs=policy_kwargs, ent_coef_final=ent_coef_final, **kwargs)
        self.ent_coef_final = ent_coef_final
        # A2C writes its optimiser into the dict it is given.
        super().__init__(policy, env, n_steps=n_steps, policy_kwargs=dict(policy_kwargs or {}), **kwargs)
