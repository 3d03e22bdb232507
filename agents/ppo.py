"""Proximal policy optimization with a recurrent, plastic policy."""

import warnings
from typing import Any

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import GymEnv, Schedule

from plastic_rl.agents.hyperparameters import check_hyperparameters
from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.agents.rollouts import PolicyName, RecurrentRollouts

MINIBATCHES = 4


class PlasticPPO(RecurrentRollouts, PPO):
    """SB3's `PPO` with a recurrent policy; a minibatch is the whole rollout of some environments.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: an environment id, a Gymnasium `Env` or `VectorEnv`, or an SB3 `VecEnv`.
        learning_rate: of Adam, a number or a schedule of the remaining progress (1 to 0).
        n_steps: length of a rollout; best a multiple of the length of an episode.
        batch_size: steps in a minibatch, a multiple of `n_steps`; by default a quarter of the environments, however
            many there are when training starts.
        n_epochs: passes over a rollout.
        gamma: discount of rewards per step.
        gae_lambda: trades bias against variance in the estimate of advantages; 1 is the discounted return.
        clip_range: how far the probability of an action may move in an update; a number or a schedule.
        clip_range_vf: the same for values; None leaves them free.
        normalize_advantage: whether advantages are normalized over a minibatch.
        ent_coef: weight of the entropy in the loss.
        vf_coef: weight of the values' error in the loss.
        max_grad_norm: where the norm of the gradient is cut.
        use_sde: whether to explore with noise that depends on the state (gSDE, `Box` actions).
        sde_sample_freq: steps between two draws of that noise; -1 draws once a rollout.
        rollout_buffer_class: `SequenceBuffer` or a subclass.
        rollout_buffer_kwargs: its further arguments.
        target_kl: if given, the epochs of an update end where the divergence from the old policy exceeds it.
        stats_window_size: episodes over which logged returns are averaged.
        tensorboard_log: folder for TensorBoard; None writes nothing.
        policy_kwargs: beside SB3's, `core` and `core_kwargs`; see `PlasticActorCriticPolicy`.
        verbose: 0 prints nothing, 1 a table for each rollout, 2 more.
        seed: of parameters, actions, minibatches and environments.
        device: `"auto"`, `"cpu"`, `"cuda"`, ....
        ent_coef_final: if given, the entropy coefficient goes linearly from `ent_coef` to this at the end of training.

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.
        ValueError: `batch_size` is no whole number of environments; the message says which values would do.
    """

    def __init__(
        self,
        policy: PolicyName | str | type[PlasticActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 128,
        batch_size: int | None = None,
        n_epochs: int = 4,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        ent_coef_final: float | None = None,
    ) -> None:
        arguments: dict[str, Any] = {
            "learning_rate": learning_rate,
            "n_steps": n_steps,
            "n_epochs": n_epochs,
            "gamma": gamma,
            "gae_lambda": gae_lambda,
            "clip_range": clip_range,
            "clip_range_vf": clip_range_vf,
            "normalize_advantage": normalize_advantage,
            "ent_coef": ent_coef,
            "vf_coef": vf_coef,
            "max_grad_norm": max_grad_norm,
            "use_sde": use_sde,
            "sde_sample_freq": sde_sample_freq,
            "rollout_buffer_class": rollout_buffer_class,
            "rollout_buffer_kwargs": rollout_buffer_kwargs,
            "target_kl": target_kl,
            "stats_window_size": stats_window_size,
            "tensorboard_log": tensorboard_log,
            "policy_kwargs": policy_kwargs,
            "verbose": verbose,
            "seed": seed,
            "device": device,
        }
        check_hyperparameters(batch_size=batch_size, ent_coef_final=ent_coef_final, **arguments)
        self.ent_coef_final = ent_coef_final
        self.default_batch_size = batch_size is None
        with warnings.catch_warnings():
            # SB3 wants a batch size before the environments are known, and warns of that one.
            warnings.filterwarnings("ignore", "You have specified a mini-batch size")
            super().__init__(policy, env, batch_size=max(n_steps, 2), _init_setup_model=False, **arguments)
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
