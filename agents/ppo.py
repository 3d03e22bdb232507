"""Proximal policy optimization with a recurrent, plastic policy."""

import warnings
from typing import Any

import torch
from gymnasium.vector import VectorEnv
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import GymEnv, Schedule

from plastic_rl.agents.checks import check_hyperparameters
from plastic_rl.agents.hyperparams import fill_in
from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.agents.rollouts import PolicyName, RecurrentRollouts

MINIBATCHES = 4


class PlasticPPO(RecurrentRollouts, PPO):
    """SB3's `PPO` with a recurrent policy; a minibatch is the whole rollout of some environments.

    An argument that is None has the value that `plastic_rl.hyperparameters` gives: that of the environment's row, if
    `env` is an id that has one, else the default named below.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: a Gymnasium `Env` or `VectorEnv`, an SB3 `VecEnv`, or an environment id, of which as many copies are made
            as its row says: 16 where it has none.
        learning_rate: of Adam, a number or a schedule of the remaining progress (1 to 0). Default: from 3e-3 linearly
            to 0, because recurrent policies start faster with more than SB3's 3e-4, and end better with less.
        n_steps: length of a rollout; best a multiple of the length of an episode, through which gradients then reach
            back to its start. Default: 128.
        batch_size: steps in a minibatch, a multiple of `n_steps`. Default: a quarter of the environments, however
            many there are when training starts.
        n_epochs: passes over a rollout. Default: 8, because a minibatch of whole sequences makes fewer updates than
            SB3's of single steps.
        gamma: discount of rewards per step. Default: 0.99.
        gae_lambda: trades bias against variance in the estimate of advantages; 1 is the discounted return. Default:
            0.95.
        clip_range: how far the probability of an action may move in an update; a number or a schedule.
        clip_range_vf: the same for values; None leaves them free.
        normalize_advantage: whether advantages are normalized over a minibatch.
        ent_coef: weight of the entropy in the loss. Default: 0.01, because a policy that explores too little early
            never finds what its memory is good for.
        vf_coef: weight of the values' error in the loss.
        max_grad_norm: where the norm of the gradient is cut. Default: 0.5.
        use_sde: whether to explore with noise that depends on the state (gSDE, `Box` actions).
        sde_sample_freq: steps between two draws of that noise; -1 draws once a rollout.
        rollout_buffer_class: `SequenceBuffer` or a subclass.
        rollout_buffer_kwargs: its further arguments.
        target_kl: if given, the epochs of an update end where the divergence from the old policy exceeds it.
        stats_window_size: episodes over which logged returns are averaged.
        tensorboard_log: folder for TensorBoard; None writes nothing.
        policy_kwargs: beside SB3's, `core` and `core_kwargs`; see `PlasticActorCriticPolicy`. Default: the core
            `plastic_memory` with 64 units on an LSTM, the one that learns the tasks of this package with least tuning.
        verbose: 0 prints nothing, 1 a table for each rollout, 2 more.
        seed: of parameters, actions, minibatches and environments.
        device: `"auto"`, `"cpu"`, `"cuda"`, ....
        ent_coef_final: if given, the entropy coefficient goes linearly from `ent_coef` to this at the end of training.
        normalize_reward: whether rewards are divided by the running standard deviation of the discounted return, as
            with SB3's `VecNormalize`; the deviation is saved with the model. Default: True, because learning rates and
            `ent_coef` then suit rewards of any size. A `VecNormalize` around `env` that does so takes its place.

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.
        ValueError: `batch_size` is no whole number of environments; the message says which values would do.

    Example:
        >>> from plastic_rl import PlasticPPO
        >>> model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0", seed=1)
        >>> model.get_env().num_envs > 1
        True
    """

    name = "plastic_ppo"

    def __init__(
        self,
        policy: PolicyName | str | type[PlasticActorCriticPolicy],
        env: GymEnv | VectorEnv | str,
        learning_rate: float | Schedule | None = None,
        n_steps: int | None = None,
        batch_size: int | None = None,
        n_epochs: int | None = None,
        gamma: float | None = None,
        gae_lambda: float | None = None,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float | None = None,
        vf_coef: float = 0.5,
        max_grad_norm: float | None = None,
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
        normalize_reward: bool | None = None,
    ) -> None:
        arguments = fill_in(self.name, env, locals())
        check_hyperparameters(**arguments)
        self.ent_coef_final = arguments.pop("ent_coef_final")
        self.normalize_reward = arguments.pop("normalize_reward")
        batch_size = arguments.pop("batch_size")
        self.default_batch_size = batch_size is None
        with warnings.catch_warnings():
            # SB3 wants a batch size before the environments are known, and warns of that one.
            warnings.filterwarnings("ignore", "You have specified a mini-batch size")
            super().__init__(
                policy,
                self._make_env(env),
                batch_size=max(arguments["n_steps"], 2),
                _init_setup_model=False,
                **arguments,
            )
        if batch_size is not None:
            self.batch_size = batch_size
            if self.env is not None:
                _check_batch_size(batch_size, self.n_steps, self.n_envs)
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
