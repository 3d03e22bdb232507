"""The one mixin that makes SB3's on-policy algorithms recurrent: it carries the state through the rollouts."""

import warnings
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

import plastic_rl
from plastic_rl.agents.hyperparams import row
from plastic_rl.agents.policy import CnnPolicy, MlpPolicy, MultiInputPolicy, PlasticActorCriticPolicy
from plastic_rl.agents.return_scale import ReturnScale
from plastic_rl.agents.sequence_buffer import SequenceBuffer, map_arrays
from plastic_rl.agents.spaces import check_spaces
from plastic_rl.agents.step_graph import DEVICES, StepGraph
from plastic_rl.agents.vec_env import make_vec_env, wrap_vector_env
from plastic_rl.cores import State

PolicyName = Literal["MlpPolicy", "CnnPolicy", "MultiInputPolicy"]


class RecurrentRollouts(OnPolicyAlgorithm):
    """Collects rollouts with a recurrent policy; `train()` stays the algorithm's own.

    The state goes on from one rollout to the next, and is forgotten where an episode starts. Backpropagation through
    time reaches back to the start of a rollout: a rollout of whole episodes (`n_steps` a multiple of their length) is
    exact; with shorter ones the state that a sequence starts from was computed by older weights.

    Attributes:
        cuda_graphs: whether a step on CUDA is captured as a graph and replayed (`StepGraph`). Steps are plain all the
            same with gSDE, with an algorithm that acts in another way, as `PlasticBPTT`, with a buffer of one's own,
            and with a policy whose step waits for the GPU.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpPolicy": MlpPolicy,
        "CnnPolicy": CnnPolicy,
        "MultiInputPolicy": MultiInputPolicy,
    }
    name: ClassVar[str]  # of the file in `hyperparams`
    policy: PlasticActorCriticPolicy
    rollout_buffer: SequenceBuffer
    ent_coef_final: float | None = None
    normalize_reward: bool = False
    return_scale: ReturnScale | None = None
    acting: Literal["policy", "oracle"] = "policy"
    _ent_coef_start: float | None = None
    _last_states: State | None = None
    _callback: BaseCallback | None = None
    cuda_graphs: bool = True
    _step_graph: StepGraph | None = None

    @classmethod
    def _make_env(cls, env: Any) -> Any:
        """Make the native vector environment of an id, with as many copies as its hyperparameters say."""
        if not isinstance(env, str):
            return env
        tuned = row(cls.name, env)
        return make_vec_env(env, tuned["n_envs"], env_kwargs=tuned.get("env_kwargs"))

    @staticmethod
    def _wrap_env(env: Any, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        """Take a Gymnasium `VectorEnv` as well as all that SB3 takes.

        Raises:
            ValueError: it has observations or actions of a kind that the policy cannot deal with.
        """
        if isinstance(env, VectorEnv):
            env = wrap_vector_env(env)
        check_spaces(env.observation_space, env.action_space)
        return OnPolicyAlgorithm._wrap_env(env, verbose, monitor_wrapper)

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        if policy_name in self.policy_aliases:
            return self.policy_aliases[policy_name]
        names = ", ".join(map(repr, self.policy_aliases))
        hint = ""
        if "lstm" in str(policy_name).lower():
            hint = "; for an LSTM, choose the core: policy_kwargs=dict(core='lstm')"
        raise ValueError(f"policy must be one of {names}, or a class, not {policy_name!r}{hint}")

    def _setup_model(self) -> None:
        if not (isinstance(self.policy_class, type) and issubclass(self.policy_class, PlasticActorCriticPolicy)):
            name = getattr(self.policy_class, "__name__", repr(self.policy_class))
            raise TypeError(f"policy must be a name or a subclass of PlasticActorCriticPolicy, not {name}")
        self.rollout_buffer_class = self.rollout_buffer_class or SequenceBuffer
        super()._setup_model()
        self._last_states = None
        if self.normalize_reward and self.return_scale is None:
            self.return_scale = ReturnScale(self.n_envs)

    @property
    def last_states(self) -> State:
        """The recurrent state after the last step, a tuple of (B, ...) tensors; zeros before the first."""
        return self._last_states or self.policy.initial_state(self.n_envs)

    def rollout_state(self) -> dict[str, Any]:
        """Return what the next rollout starts from: last observations, episode starts, recurrent states, returns."""
        return {
            "observations": self._last_obs,
            "starts": self._last_episode_starts,
            "states": self._last_states,
            "returns": None if self.return_scale is None else self.return_scale.returns,
        }

    def set_rollout_state(self, state: dict[str, Any]) -> None:
        """Start the next rollout from what `rollout_state` returned, with arrays or tensors."""
        self._last_obs, self._last_episode_starts = state["observations"], state["starts"]
        states = state["states"]
        self._last_states = None if states is None else tuple(torch.as_tensor(s, device=self.device) for s in states)
        if self.return_scale is not None and state["returns"] is not None:
            self.return_scale.returns = state["returns"]

    def _maybe_recommend_cpu(self, mlp_class_name: str = "ActorCriticPolicy") -> None:
        """Say nothing: a plastic core profits from a GPU even without convolutions."""

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_last_states", "_callback", "_truncated", "_step_graph"]

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: Any = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "run",
        progress_bar: bool = False,
    ) -> tuple[int, BaseCallback]:
        resets = reset_num_timesteps or self._last_obs is None
        total_timesteps, self._callback = super()._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        if resets:
            self._begin_episodes()
        return total_timesteps, self._callback

    def _begin_episodes(self) -> None:
        """Called after the environments were reset."""
        self._check_step(self._last_obs, np.zeros(self.n_envs))  # type: ignore[arg-type]
        if self.return_scale is not None:
            self.return_scale.returns = np.zeros(self.n_envs)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Learn as SB3's method of this name does; callbacks see the end of the training also after Ctrl-C.

        Args:
            total_timesteps: environment steps to take, all copies together.
            callback: one, a list of them, or a function that is called at every step.
            log_interval: rollouts between two tables and two points in TensorBoard.
            tb_log_name: of the run in TensorBoard, before its number. Default: algorithm, core and seed, such as
                `PlasticPPO_plastic_memory_s1`.
            reset_num_timesteps: whether the count of steps and the episodes begin anew.
            progress_bar: whether to show one.
        """
        _warn_of_spinning_threads()
        name = self._run_name() if tb_log_name is None else tb_log_name
        try:
            return super().learn(total_timesteps, callback, log_interval, name, reset_num_timesteps, progress_bar)
        except KeyboardInterrupt:
            if self._callback is not None:
                self._callback.on_training_end()
            raise
        finally:
            self._callback = None

    def _run_name(self) -> str:
        core = self.policy.core_name
        core = core.rpartition(":")[2] if isinstance(core, str) else getattr(core, "__name__", "core")
        return f"{type(self).__name__}_{core}" + ("" if self.seed is None else f"_s{self.seed}")

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        # The last rollout goes beyond total_timesteps, where a linear schedule would be negative.
        super()._update_current_progress_remaining(min(num_timesteps, total_timesteps), total_timesteps)
        if self.ent_coef_final is not None:
            if self._ent_coef_start is None:
                self._ent_coef_start = self.ent_coef
            range_left = self._ent_coef_start - self.ent_coef_final
            self.ent_coef = self.ent_coef_final + self._current_progress_remaining * range_left

    def collect_rollouts(  # type: ignore[override]
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: SequenceBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer, as SB3's method of this name does, and carry the recurrent state along.

        An algorithm that acts or learns in another way overrides `_act`, `_move_on` and `_finish_rollout`. Callbacks
        see the local variables that they see in SB3.
        """
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        graph, state = self._graph(rollout_buffer), self._begin_rollout(env.num_envs)
        if graph is not None:
            state = graph.begin(state)
        rollout_buffer.initial_state = tuple(s.clone() for s in state)
        n_steps = 0
        callback.on_rollout_start()
        while n_steps < n_rollout_steps:
            if self.use_sde and (n_steps == 0 or (self.sde_sample_freq > 0 and n_steps % self.sde_sample_freq == 0)):
                self.policy.reset_noise(env.num_envs)
            if graph is None:
                obs_tensor = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
                with torch.no_grad():
                    actions, values, log_probs, state = self._act(obs_tensor, state)
            else:
                obs_tensor = graph.load(self._last_obs, self._last_episode_starts)
                actions, values, log_probs, state = graph.step()
            self._last_states = state
            clipped_actions = self._clipped(actions)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self._check_step(new_obs, rewards)  # type: ignore[arg-type]
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                # Observation, flags and state stay of one moment, so that learning can go on from here.
                self._move_on(new_obs, dones, infos)
                return False
            ended = np.flatnonzero(dones)  # to look at all of a thousand copies takes as long as to step them
            self._update_info_buffer([infos[i] for i in ended], dones[ended])
            self._remember_truncated(n_steps, dones, infos, state)
            n_steps += 1
            assert self._last_obs is not None
            assert self._last_episode_starts is not None
            if graph is None:
                rollout_buffer.add(self._last_obs, actions, rewards, self._last_episode_starts, values, log_probs)
            else:
                rollout_buffer.add_outcome(rewards, self._last_episode_starts)
            self._move_on(new_obs, dones, infos)
        if graph is not None:
            graph.finish(rollout_buffer)
        self._finish_rollout(rollout_buffer, state)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _graph(self, rollout_buffer: SequenceBuffer) -> StepGraph | None:
        """Return the graph of a step, or None where steps are plain; see `cuda_graphs`."""
        known = type(self)._act is RecurrentRollouts._act and type(rollout_buffer) is SequenceBuffer
        if self.device.type not in DEVICES or not self.cuda_graphs or self.use_sde or not known:
            return None
        if self._step_graph is None or not self._step_graph.fits(self.policy, rollout_buffer):
            self._step_graph = StepGraph(self.policy, rollout_buffer)
        return self._step_graph if self._step_graph.obstacle is None else None

    def _act(self, obs_tensor: Any, state: State) -> tuple[np.ndarray, Tensor, Tensor, State]:
        """Return actions, values, log-probabilities and the new state for the last observations."""
        starts = self._flags(self._last_episode_starts)
        actions, values, log_probs, state = self.policy(obs_tensor, state, starts)
        return actions.cpu().numpy(), values, log_probs, state

    def _move_on(self, new_obs: Any, dones: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Make what a step returned the last observations."""
        self._last_obs, self._last_episode_starts = new_obs, dones

    def _finish_rollout(self, rollout_buffer: SequenceBuffer, state: State) -> None:
        """Scale rewards, then compute returns and advantages with the values of the last observations."""
        assert self._last_episode_starts is not None
        if self.return_scale is not None and not self._is_scaled():
            dones = np.concatenate([rollout_buffer.episode_starts[1:] > 0, self._last_episode_starts[None]])
            rollout_buffer.rewards[:] = self.return_scale.scale(rollout_buffer.rewards, dones, self.gamma)
        for step, cut, last_values in self._truncated:
            rollout_buffer.rewards[step, cut] += self.gamma * last_values
        with torch.no_grad():
            obs_tensor = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
            values = self.policy.predict_values(obs_tensor, state, self._flags(self._last_episode_starts))
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=self._last_episode_starts)

    def _check_step(self, observations: np.ndarray | dict[str, np.ndarray], rewards: np.ndarray) -> None:
        """Refuse what the policy cannot read, and what would spoil the recurrent state and the parameters.

        Raises:
            ValueError: an observation has another shape than its space.
            FloatingPointError: an observation or a reward is NaN or infinite.
        """
        space = self.observation_space
        entries = space.spaces if isinstance(space, spaces.Dict) else {"observation": space}
        named = {name: observations[name] if isinstance(observations, dict) else observations for name in entries}
        for name, values in named.items():
            if values.shape[1:] != (shape := entries[name].shape or ()):
                raise ValueError(f"{name} must have the shape {shape} that its space has, not {values.shape[1:]}")
        for name, values in {"reward": rewards, **named}.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                copies = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1)).tolist()
                raise FloatingPointError(
                    f"{name} must be finite; environment {copies} gave NaN or infinity after step "
                    f"{self.num_timesteps:,}"
                )

    def _begin_rollout(self, n_envs: int) -> State:
        self._truncated: list[tuple[int, list[int], np.ndarray]] = []
        if self._last_states is None or len(self._last_states[0]) != n_envs:
            self._last_states = self.policy.initial_state(n_envs)
        return self._last_states

    def _flags(self, flags: np.ndarray | None) -> Tensor:
        return torch.as_tensor(flags, dtype=torch.bool, device=self.device)

    def _clipped(self, actions: np.ndarray) -> np.ndarray:
        if not isinstance(self.action_space, spaces.Box):
            return actions
        if self.policy.squash_output:
            return self.policy.unscale_action(actions)
        return np.clip(actions, self.action_space.low, self.action_space.high)

    def _is_scaled(self) -> bool:
        """Say whether a `VecNormalize` around the environment scales rewards already."""
        normalize = self.get_vec_normalize_env()
        return normalize is not None and normalize.norm_reward

    def _remember_truncated(self, step: int, dones: np.ndarray, infos: list[dict[str, Any]], state: State) -> None:
        """Keep the value of a last observation that a time limit cut off, in its own state."""
        cut = [
            int(i)
            for i in np.flatnonzero(dones)
            if infos[i].get("TimeLimit.truncated", False) and infos[i].get("terminal_observation") is not None
        ]
        if not cut:
            return
        last = [infos[i]["terminal_observation"] for i in cut]
        stacked = {k: np.stack([o[k] for o in last]) for k in last[0]} if isinstance(last[0], dict) else np.stack(last)
        observations = map_arrays(lambda array: torch.as_tensor(array, device=self.device), stacked)
        index = torch.as_tensor(cut, device=self.device)
        nowhere = torch.zeros(len(cut), dtype=torch.bool, device=self.device)
        with torch.no_grad():
            values = self.policy.predict_values(observations, tuple(s[index] for s in state), nowhere)
        self._truncated.append((step, cut, values.cpu().numpy().flatten()))


_warned = False


def _warn_of_spinning_threads() -> None:
    """Say once how to keep trainings side by side from slowing one another down, where the import could not."""
    global _warned
    if plastic_rl._spins and torch.get_num_threads() > 1 and not _warned:
        _warned = True
        warnings.warn(
            "torch was imported before plastic_rl, so its idle threads spin and slow down other trainings on this "
            "machine: import plastic_rl first, or call torch.set_num_threads(1)",
            stacklevel=3,
        )
