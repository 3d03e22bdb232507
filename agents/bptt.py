"""Learning from the right answers: backpropagation through time, as the paper trains its memory tasks."""

from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from plastic_rl.agents import distributed
from plastic_rl.agents.hyperparameters import check_hyperparameters
from plastic_rl.agents.rollouts import RecurrentRollouts
from plastic_rl.agents.sequence_buffer import SequenceBuffer
from plastic_rl.arguments import check_choice

ACTING = ("policy", "oracle")


class PlasticBPTT(RecurrentRollouts):
    """Minimises the negative log-likelihood of `info["target"]` under the policy, where `info["query"]` is set.

    A rollout is whole lives, and one step of the optimiser follows it, with gradients through all of their time. The
    loss is the mean over queries of the cross-entropy (`Discrete`, `MultiDiscrete`), of the binary cross-entropy of a
    bit (`MultiBinary`), or of the squared error of the mean action (`Box`), whose deviation is not trained. Rewards and
    the value function play no part. An environment without `query` asks at every step.

    Logs `train/loss`, `train/accuracy` (of the most probable answer, or of its bits; not for `Box`) and
    `train/grad_norm`.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: an environment id, a Gymnasium `Env` or `VectorEnv`, or an SB3 `VecEnv`, whose infos hold `target`.
        learning_rate: of Adam, a number or a schedule.
        n_steps: length of a rollout, a multiple of an episode's; by default that of this package's tasks.
        acting: who acts while observations are collected: the `"policy"`, by sampling, which then learns what would
            have been right where it came itself (as DAgger does), or the `"oracle"`: the returns of training, in
            monitor files and `rollout/ep_rew_mean`, are then the oracle's.
        max_grad_norm: where the gradient's norm is cut.
        kwargs: as in SB3's `OnPolicyAlgorithm`: `policy_kwargs`, `tensorboard_log`, `verbose`, `seed`, `device`, ...

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.
        ValueError: the environment gives no `target`, `acting` is neither of the two, or `n_steps` is not given and
            cannot be found out.

    Source: Miconi, Clune & Stanley (2018), section 4; Ross, Gordon & Bagnell (2011) for acting by the learner's policy.
    """

    def __init__(
        self,
        policy: Any,
        env: Any,
        learning_rate: float | Schedule = 1e-3,
        n_steps: int | None = None,
        acting: Literal["policy", "oracle"] = "policy",
        max_grad_norm: float = 1.0,
        _init_setup_model: bool = True,
        **kwargs: Any,
    ) -> None:
        check_choice("acting", acting, ACTING)
        length = 1 if n_steps is None else n_steps
        check_hyperparameters(learning_rate=learning_rate, n_steps=length, max_grad_norm=max_grad_norm, **kwargs)
        self.acting = acting
        super().__init__(
            policy,
            env,
            learning_rate,
            n_steps=length,
            gamma=1.0,
            gae_lambda=1.0,
            ent_coef=0.0,
            vf_coef=0.0,
            max_grad_norm=max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            supported_action_spaces=(spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box),
            _init_setup_model=False,
            **kwargs,
        )
        if n_steps is None and self.env is not None:
            self.n_steps = _life_length(self.env)
        if _init_setup_model:
            self._setup_model()

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._setup_learn(*args, **kwargs)
        assert self.env is not None
        if self._last_answers is None:
            self._last_answers = _answers(self.env)
        return result

    _last_answers: tuple[np.ndarray, np.ndarray] | None = None

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_last_answers", "_targets", "_queries"]

    def collect_rollouts(  # type: ignore[override]
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: SequenceBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer with observations, and remember the right answers and where they were asked for."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        state = self._begin_rollout(env.num_envs)
        rollout_buffer.initial_state = tuple(s.clone() for s in state)
        nothing = torch.zeros(env.num_envs)
        targets, queries = [], []
        callback.on_rollout_start()
        for _ in range(n_rollout_steps):
            assert self._last_answers is not None
            target, query = self._last_answers
            targets.append(target)
            queries.append(query)
            actions = target
            if self.acting == "policy":
                with torch.no_grad():
                    obs_tensor = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
                    starts = self._flags(self._last_episode_starts)
                    actions_tensor, _, _, state = self.policy(obs_tensor, state, starts)
                self._last_states = state
                actions = actions_tensor.cpu().numpy()
            new_obs, rewards, dones, infos = env.step(self._clipped(actions))
            self._check_finite(new_obs, rewards)  # type: ignore[arg-type]
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
                self._last_answers = _answers(env, infos, dones)
                return False
            self._update_info_buffer(infos, dones)
            assert self._last_obs is not None
            assert self._last_episode_starts is not None
            rollout_buffer.add(self._last_obs, actions, rewards, self._last_episode_starts, nothing, nothing)
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
            self._last_answers = _answers(env, infos, dones)
        self._targets, self._queries = np.stack(targets), np.stack(queries)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Take one step of the optimiser on the lives in the buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        query = torch.as_tensor(self._queries.reshape(-1), device=self.device)
        n_queries = distributed.mean(query.sum().float())  # of a process: one of many may have none in its lives
        if n_queries == 0:
            return
        sequences = self.rollout_buffer.sequences(np.arange(self.n_envs)).observations
        latent = self.policy.latent_sequences(sequences)[query]  # type: ignore[arg-type]
        targets = torch.as_tensor(self._targets.reshape(-1, *self._targets.shape[2:]), device=self.device)[query]
        losses, right = self._losses(self.policy.mlp_extractor.forward_actor(latent), targets)
        loss = losses.sum() / n_queries
        self.policy.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates = getattr(self, "_n_updates", 0) + 1
        self.logger.record("train/loss", distributed.mean(loss.detach()).item())
        if right is not None:
            self.logger.record("train/accuracy", distributed.mean(right.sum() / n_queries).item())
        self.logger.record("train/grad_norm", norm.item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def _losses(self, latent: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the loss of each answer given from `latent` (n, L), and which part of it is right; both (n,)."""
        if not len(latent):  # nothing was asked here, but of others: the gradient is zero
            nothing = latent.sum(dim=1)
            return nothing, None if isinstance(self.action_space, spaces.Box) else nothing
        distribution = self.policy._get_action_dist_from_latent(latent)
        best = distribution.mode()
        targets = targets.reshape(best.shape)
        if isinstance(self.action_space, spaces.Box):
            return (best - targets.to(best.dtype)).square().flatten(1).mean(1), None
        right = (best == targets).float().reshape(len(best), -1).mean(1)
        if isinstance(self.action_space, spaces.MultiBinary):
            # SB3's log-probability is the sum over bits; the mean keeps learning rates comparable between sizes.
            return -distribution.log_prob(targets.to(latent.dtype)) / best.shape[-1], right
        return -distribution.log_prob(targets.long()), right


def _answers(
    env: VecEnv, infos: list[dict[str, Any]] | None = None, dones: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the targets (B, ...) and queries (B,) that belong to the last observations of an environment.

    Args:
        env: the environment; one of ours has both as arrays.
        infos: of the last step; after a reset, and where an episode is over, those of the reset count.
        dones: whose episode is over.
    """
    columns = getattr(env, "vector_infos", None)
    if columns is not None and "target" in columns:
        return np.array(columns["target"]), np.array(columns.get("query", np.ones(env.num_envs)), bool)
    current = list(env.reset_infos)
    if infos is not None and dones is not None:
        current = [env.reset_infos[i] if done else infos[i] for i, done in enumerate(dones)]
    missing = [i for i, info in enumerate(current) if "target" not in info]
    if missing:
        raise ValueError(
            f"env must give info['target'], the right action, at every step for PlasticBPTT to learn from; "
            f"copy {missing[0]} gives {sorted(current[missing[0]]) or 'nothing'}"
        )
    return np.stack([info["target"] for info in current]), np.array([info.get("query", True) for info in current], bool)


def _life_length(env: VecEnv) -> int:
    try:
        return int(env.get_attr("task")[0].episode_steps)
    except AttributeError:
        raise ValueError("n_steps must be given, the length of an episode: this environment does not say it") from None
