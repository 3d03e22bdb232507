"""Learning from the right answers: backpropagation through time, as the paper trains its memory tasks."""

from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from plastic_rl.agents import distributed
from plastic_rl.agents.checks import check_hyperparameters
from plastic_rl.agents.hyperparams import fill_in
from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.agents.rollouts import PolicyName, RecurrentRollouts
from plastic_rl.agents.sequence_buffer import SequenceBuffer
from plastic_rl.arguments import check_choice
from plastic_rl.cores import State

ACTING = ("policy", "oracle")


class PlasticBPTT(RecurrentRollouts):
    """Minimizes the negative log-likelihood of `info["target"]` under the policy, where `info["query"]` is set.

    A rollout is whole episodes, and one step of the optimizer follows it, with gradients through all of their time. The
    loss is the mean over queries of the cross-entropy (`Discrete`, `MultiDiscrete`), of the binary cross-entropy of a
    bit (`MultiBinary`), or of the squared error of the mean action (`Box`), whose deviation is not trained. Rewards and
    the value function play no part. An environment without `query` asks at every step.

    Logs `train/loss`, `train/accuracy` (of the most probable answer, or of its bits; not for `Box`) and
    `train/grad_norm`.

    An argument that is None has the value that `plastic_rl.hyperparameters` gives: that of the environment's row, if
    `env` is an id that has one, else the default named below.

    Args:
        policy: `"MlpPolicy"`, `"CnnPolicy"`, `"MultiInputPolicy"`, or a policy class.
        env: a Gymnasium `Env` or `VectorEnv`, or an SB3 `VecEnv`, whose infos hold `target`; or an environment id, of
            which as many copies are made as its row says: 32 where it has none.
        learning_rate: of Adam, a number or a schedule of the remaining progress (1 to 0). Default: from 1e-3 linearly
            to 0.
        n_steps: length of a rollout, a multiple of an episode's. Default: the length of an episode, which the tasks of
            this package say.
        max_grad_norm: where the norm of the gradient is cut. Default: 1.
        rollout_buffer_class: `SequenceBuffer` or a subclass.
        rollout_buffer_kwargs: its further arguments.
        stats_window_size: episodes over which logged returns are averaged.
        tensorboard_log: folder for TensorBoard; None writes nothing.
        policy_kwargs: beside SB3's, `core` and `core_kwargs`; see `PlasticActorCriticPolicy`. Default: the plastic core
            with 64 units and Oja's rule, whose traces cannot grow without bound.
        verbose: 0 prints nothing, 1 a table for each rollout, 2 more.
        seed: of parameters, actions and environments.
        device: `"auto"`, `"cpu"`, `"cuda"`, ....
        acting: who acts while observations are collected: the `"policy"`, by sampling, which then learns what would
            have been right where it came itself (as DAgger does), or the `"oracle"`: the returns of training, in
            monitor files and `rollout/ep_rew_mean`, are then the oracle's. Default: the policy.

    Raises:
        TypeError, ValueError: an argument is of another type, or out of its range; the message names it.
        ValueError: the environment gives no `target`, `acting` is neither of the two, or `n_steps` is not given and
            cannot be found out.

    Source: Miconi, Clune & Stanley (2018), section 4; Ross, Gordon & Bagnell (2011) for acting by the learner's policy.

    Example:
        >>> from plastic_rl import PlasticBPTT
        >>> model = PlasticBPTT("MlpPolicy", "plastic_rl/PatternRecall-v0", seed=1)
        >>> model.get_env().num_envs > 1
        True
    """

    name = "plastic_bptt"

    def __init__(
        self,
        policy: PolicyName | str | type[PlasticActorCriticPolicy],
        env: GymEnv | VectorEnv | str,
        learning_rate: float | Schedule | None = None,
        n_steps: int | None = None,
        max_grad_norm: float | None = None,
        rollout_buffer_class: type[RolloutBuffer] | None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        acting: Literal["policy", "oracle"] | None = None,
    ) -> None:
        arguments = fill_in(self.name, env, locals())
        self.acting = check_choice("acting", arguments.pop("acting"), ACTING)  # type: ignore[assignment]
        finds_length = arguments["n_steps"] is None
        if finds_length:
            arguments["n_steps"] = 1  # until the environment is known
        check_hyperparameters(**arguments)
        super().__init__(
            policy,
            self._make_env(env),
            gamma=1.0,
            gae_lambda=1.0,
            ent_coef=0.0,
            vf_coef=0.0,
            use_sde=False,
            sde_sample_freq=-1,
            supported_action_spaces=(spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box),
            _init_setup_model=False,
            **arguments,
        )
        if finds_length and _init_setup_model and self.env is not None:
            self.n_steps = _episode_length(self.env)
        if _init_setup_model:
            self._setup_model()

    _last_answers: tuple[np.ndarray, np.ndarray]

    def _begin_episodes(self) -> None:
        super()._begin_episodes()
        assert self.env is not None
        self._last_answers = _answers(self.env)

    def rollout_state(self) -> dict[str, Any]:
        """Return what the next rollout starts from, the right answers to the last observations among it."""
        return {**super().rollout_state(), "answers": self._last_answers}

    def set_rollout_state(self, state: dict[str, Any]) -> None:
        """Start the next rollout from what `rollout_state` returned."""
        super().set_rollout_state(state)
        self._last_answers = state["answers"]

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_last_answers", "_targets", "_queries", "_asked"]

    def _begin_rollout(self, n_envs: int) -> State:
        self._asked: list[tuple[np.ndarray, np.ndarray]] = []
        return super()._begin_rollout(n_envs)

    def _act(self, obs_tensor: Any, state: State) -> tuple[np.ndarray, Tensor, Tensor, State]:
        """Remember the right answers and where they are asked for; act by the policy, or by the answers."""
        self._asked.append(self._last_answers)
        if self.acting == "policy":
            return super()._act(obs_tensor, state)
        target = self._last_answers[0]
        nothing = torch.zeros(len(target))
        return target, nothing, nothing, state

    def _move_on(self, new_obs: Any, dones: np.ndarray, infos: list[dict[str, Any]]) -> None:
        super()._move_on(new_obs, dones, infos)
        assert self.env is not None
        self._last_answers = _answers(self.env, infos, dones)

    def _remember_truncated(self, *_: Any) -> None:
        """Keep nothing: rewards play no part."""

    def _finish_rollout(self, rollout_buffer: SequenceBuffer, state: State) -> None:
        targets, queries = zip(*self._asked, strict=True)
        self._targets, self._queries = np.stack(targets), np.stack(queries)

    def train(self) -> None:
        """Take one step of the optimizer on the episodes in the buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        query = torch.as_tensor(self._queries.reshape(-1), device=self.device)
        # Of a process: one of many may have none in its episodes.
        n_queries = distributed.all_reduce_mean(query.sum().float())
        if n_queries == 0:
            return
        sequences = self.rollout_buffer.sequences(np.arange(self.n_envs)).observations
        latent = self.policy.actor_sequences(sequences)[query]  # type: ignore[arg-type]
        targets = torch.as_tensor(self._targets.reshape(-1, *self._targets.shape[2:]), device=self.device)[query]
        losses, right = self._losses(self.policy.mlp_extractor.forward_actor(latent), targets)
        loss = losses.sum() / n_queries
        self.policy.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        self.policy.optimizer.step()
        self._n_updates = getattr(self, "_n_updates", 0) + 1
        self.logger.record("train/loss", distributed.all_reduce_mean(loss.detach()).item())
        if right is not None:
            self.logger.record("train/accuracy", distributed.all_reduce_mean(right.sum() / n_queries).item())
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


def _episode_length(env: VecEnv) -> int:
    try:
        return int(env.get_attr("task")[0].episode_steps)
    except AttributeError:
        raise ValueError("n_steps must be given, the length of an episode: this environment does not say it") from None
