"""Advantage actor-critic with a recurrent, plastic policy."""

from typing import Any

import torch
from gymnasium.vector import VectorEnv
from stable_baselines3 import A2C
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import GymEnv, Schedule

from plastic_rl.agents.checks import check_hyperparameters
from plastic_rl.agents.hyperparams import fill_in
from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.agents.rollouts import PolicyName, RecurrentRollouts


class PlasticA2C(RecurrentRollouts, A2C):
    """SB3's `A2C` with a recurrent policy; one update for each rollout, over all environments.

    An argument that is None has the value that `plastic_rl.hyperparameters` gives: that of the environment's row, if
    `env` is an id that has one, else the default named below.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: a Gymnasium `Env` or `VectorEnv`, an SB3 `VecEnv`, or an environment id, of which as many copies are made
            as its row says: 32 where it has none.
        learning_rate: of the optimizer, a number or a schedule of the remaining progress (1 to 0). Default: from 1e-3
            linearly to 0.
        n_steps: length of a rollout; best a multiple of the length of an episode, through which gradients then reach
            back to its start. Default: 128.
        gamma: discount of rewards per step. Default: 0.99.
        gae_lambda: trades bias against variance in the estimate of advantages; 1 is the discounted return. Default:
            0.95.
        ent_coef: weight of the entropy in the loss. Default: 0.01, because a policy that explores too little early
            never finds what its memory is good for.
        vf_coef: weight of the values' error in the loss.
        max_grad_norm: where the norm of the gradient is cut. Default: 0.5.
        rms_prop_eps: what RMSprop adds to a denominator.
        use_rms_prop: whether RMSprop is the optimizer; otherwise Adam, or what `policy_kwargs` names. Default: False,
            because Adam learns from gradients through time of any size.
        use_sde: whether to explore with noise that depends on the state (gSDE, `Box` actions).
        sde_sample_freq: steps between two draws of that noise; -1 draws once a rollout.
        rollout_buffer_class: `SequenceBuffer` or a subclass.
        rollout_buffer_kwargs: its further arguments.
        normalize_advantage: whether advantages are normalized over the rollout. Default: True.
        stats_window_size: episodes over which logged returns are averaged.
        tensorboard_log: folder for TensorBoard; None writes nothing.
        policy_kwargs: beside SB3's, `core` and `core_kwargs`; see `PlasticActorCriticPolicy`. Default: the core
            `plastic_memory` with 64 units on an LSTM, as in `PlasticPPO`.
        verbose: 0 prints nothing, 1 a table every `log_interval` rollouts, 2 more.
        seed: of parameters, actions and environments.
        device: `"auto"`, `"cpu"`, `"cuda"`, ....
        ent_coef_final: if given, the entropy coefficient goes linearly from `ent_coef` to this at the end of training.
        normalize_reward: whether rewards are divided by the running standard deviation of the discounted return; see
            `PlasticPPO`. Default: True.

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.

    Example:
        >>> from plastic_rl import PlasticA2C
        >>> model = PlasticA2C("MlpPolicy", "plastic_rl/PatternRecall-v0", seed=1)
        >>> model.get_env().num_envs > 1
        True
    """

    name = "plastic_a2c"

    def __init__(
        self,
        policy: PolicyName | str | type[PlasticActorCriticPolicy],
        env: GymEnv | VectorEnv | str,
        learning_rate: float | Schedule | None = None,
        n_steps: int | None = None,
        gamma: float | None = None,
        gae_lambda: float | None = None,
        ent_coef: float | None = None,
        vf_coef: float = 0.5,
        max_grad_norm: float | None = None,
        rms_prop_eps: float = 1e-5,
        use_rms_prop: bool | None = None,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        normalize_advantage: bool | None = None,
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
        self.use_rms_prop, self.rms_prop_eps = arguments.pop("use_rms_prop"), arguments.pop("rms_prop_eps")
        # SB3 would write RMSprop into `policy_kwargs`, and `load` then refuses those that the user gave.
        super().__init__(policy, self._make_env(env), use_rms_prop=False, _init_setup_model=False, **arguments)
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        given = self.policy_kwargs
        if self.use_rms_prop and "optimizer_class" not in given:
            settings = {"alpha": 0.99, "eps": self.rms_prop_eps, "weight_decay": 0}
            self.policy_kwargs = {**given, "optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": settings}
        super()._setup_model()
        self.policy_kwargs = given
