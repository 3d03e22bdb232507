"""Proximal policy optimization with a recurrent, plastic policy."""

from typing import Any

from stable_baselines3 import PPO

from plastic_rl.agents.hyperparameters import check_hyperparameters
from plastic_rl.agents.rollouts import RecurrentRollouts

MINIBATCHES = 4


class PlasticPPO(RecurrentRollouts, PPO):
    """SB3's `PPO` with a recurrent policy; a minibatch is the whole rollout of some environments.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: an environment id, a Gymnasium `Env` or `VectorEnv`, or an SB3 `VecEnv`.
        n_steps: length of a rollout; best a multiple of the length of an episode.
        batch_size: steps in a minibatch, a multiple of `n_steps`; by default a quarter of the environments, however
            many there are when training starts.
        n_epochs: passes over a rollout.
        ent_coef_final: if given, the entropy coefficient goes linearly from `ent_coef` to this at the end of training.
        kwargs: as in SB3's `PPO`. `policy_kwargs` takes, beside SB3's, `core` and `core_kwargs`; see
            `PlasticActorCriticPolicy`.

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.
        ValueError: `batch_size` is no whole number of environments; the message says which values would do.
    """

    def __init__(
        self,
        policy: Any,
        env: Any,
        *,
        n_steps: int = 128,
        batch_size: int | None = None,
        n_epochs: int = 4,
        ent_coef_final: float | None = None,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        check_hyperparameters(
            n_steps=n_steps, batch_size=batch_size, n_epochs=n_epochs, ent_coef_final=ent_coef_final, **kwargs
        )
        self.ent_coef_final = ent_coef_final
        self.default_batch_size = batch_size is None
        # SB3's constructor wants a number before the environments are known.
        super().__init__(
            policy,
            env,
            n_steps=n_steps,
            batch_size=max(n_steps, 2),
            n_epochs=n_epochs,
            _init_setup_model=False,
            **kwargs,
        )
        if batch_size is not None:
            self.batch_size = batch_size
            if self.env is not None:
                _check_batch_size(batch_size, n_steps, self.n_envs)
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        # Also called by `load`, perhaps with another number of environments.
        if self.default_batch_size:
            self.batch_size = self.n_steps * max(1, self.n_envs // MINIBATCHES)
        super()._setup_model()

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        # Checked here, too: a model loaded with other environments may predict with any batch size, but not learn.
        _check_batch_size(self.batch_size, self.n_steps, self.n_envs)
        return super()._setup_learn(*args, **kwargs)


def _check_batch_size(batch_size: int, n_steps: int, n_envs: int) -> None:
    if batch_size % n_steps or not n_steps <= batch_size <= n_steps * n_envs:
        values = ", ".join(str(n_steps * n) for n in range(1, n_envs + 1) if n_envs % n == 0)
        raise ValueError(
            f"batch_size must be a whole number of environments times n_steps={n_steps}, not {batch_size}; "
            f"with n_envs={n_envs}, these divide the rollout evenly: {values}"
        )
