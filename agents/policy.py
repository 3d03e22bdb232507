"""The recurrent actor-critic policy: SB3's, with a core between the features and the heads."""

from collections.abc import Callable
from copy import copy
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution, Distribution, MultiCategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, MlpExtractor, NatureCNN
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn
from torch.distributions import Categorical

from plastic_rl.agents.checks import check_dict
from plastic_rl.arguments import LARGEST, check_flag, check_integer
from plastic_rl.cores import RecurrentCore, State, make_core
from plastic_rl.cores.base import MOST_UNITS

DEFAULT_CORE: Final = "plastic_memory"
NumpyState = tuple[np.ndarray, ...]
CoreName = Literal[
    "associative",
    "delay_line",
    "delta",
    "gru",
    "homogeneous",
    "lstm",
    "neuromodulated",
    "neuromodulated_lstm",
    "plastic",
    "plastic_layer",
    "plastic_lstm",
    "plastic_memory",
    "prototypical",
    "repeated",
    "retroactive",
    "rnn",
    "stacked",
    "stpn",
]


class Sequences(NamedTuple):
    """Whole sequences of B environments, as `evaluate_actions` takes them in the place of observations.

    Attributes:
        observations: (T * B, ...), time first, or a dict of such.
        episode_starts: (T, B) bool.
        state: the core's state before the first step, a tuple of (B, ...) tensors.
    """

    observations: PyTorchObs
    episode_starts: Tensor
    state: State


class PlasticActorCriticPolicy(ActorCriticPolicy):
    """An actor-critic policy with a recurrent core: features -> core -> (`net_arch`) -> action and value heads.

    With `share_features_extractor=False` the critic has features and a core of its own. The state then holds the
    actor's tensors first and the critic's after them.

    Args:
        observation_space: as in SB3.
        action_space: `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`.
        lr_schedule: as in SB3.
        core: a name of `plastic_rl.cores` (`"plastic_memory"`, `"lstm"`, ...), `"module:Class"`, or a `RecurrentCore`
            class.
        core_kwargs: the core's own arguments, such as `dict(hidden_size=100, rule="oja")`.
        net_arch: layers after the core, in SB3's form; none by default.
        readout: how the core's output becomes logits, or the mean action: `"linear"`, SB3's trained layer, or a number
            that it is multiplied with, for a core whose neurons are themselves the answer.
        lr_scales: factors of the learning rate for parameters of the core by their name, such as `dict(alpha=3.0)`.
        share_features_extractor: whether actor and critic read one core; otherwise each has its own, as with
            sb3-contrib's `enable_critic_lstm`.
        kwargs: as in SB3's `ActorCriticPolicy`.

    Raises:
        ValueError: the core or one of its arguments has no such name. Or `readout` is a number and the core has not as
            many outputs as the action has elements or choices. Or `lr_scales` names no parameter of the core, or a
            factor is not positive.
        FloatingPointError: (while training) a gradient is NaN or infinite.

    Example:
        >>> import numpy as np
        >>> from plastic_rl import PlasticPPO
        >>> model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0", policy_kwargs=dict(core="gru"))
        >>> observation, state = model.env.reset(), None  # 256 copies of the environment
        >>> action, state = model.policy.predict(observation, state, episode_start=np.ones(256, bool))
        >>> action.shape
        (256, 6)
    """

    core: RecurrentCore
    critic_core: RecurrentCore | None

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        core: CoreName | str | Callable[..., RecurrentCore] = DEFAULT_CORE,
        core_kwargs: dict[str, Any] | None = None,
        net_arch: list[int] | dict[str, list[int]] | None = None,
        readout: Literal["linear"] | float = "linear",
        lr_scales: dict[str, float] | None = None,
        share_features_extractor: bool = True,
        **kwargs: Any,
    ) -> None:
        _check_readout(readout)
        _check_net_arch(net_arch)
        check_dict("core_kwargs", {} if core_kwargs is None else core_kwargs)
        check_flag("share_features_extractor", share_features_extractor)
        self.readout = readout
        self.core_name = core
        self.core_kwargs = dict(core_kwargs or {})
        self.lr_scales = dict(lr_scales or {})
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            net_arch=[] if net_arch is None else net_arch,
            share_features_extractor=share_features_extractor,
            **kwargs,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {"core": self.core_name, "core_kwargs": self.core_kwargs, "readout": self.readout}
        own |= {"lr_scales": self.lr_scales, "share_features_extractor": self.share_features_extractor}
        return {**super()._get_constructor_parameters(), **own}

    def __getstate__(self) -> dict[str, Any]:
        # The distribution of the last update holds its graph of gradients, which cannot be copied.
        dist = copy(self.action_dist)
        for name, value in vars(dist).items():
            if isinstance(value, Tensor):
                setattr(dist, name, value.detach())
            elif name in ("distribution", "weights_dist"):
                setattr(dist, name, None)
        return {**self.__dict__, "action_dist": dist}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies and pickles of an optimizer have lost its hooks.
        super().__setstate__(state)
        self._watch_optimizer()

    def _watch_optimizer(self) -> None:
        self.optimizer.register_step_pre_hook(_scale_learning_rates)
        self.optimizer.register_step_pre_hook(_check_gradients)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        if not isinstance(self.readout, str):
            wanted, given = self.action_net.out_features, self.mlp_extractor.latent_dim_pi
            if wanted != given:
                raise ValueError(f"readout={self.readout} needs a core of {wanted} outputs, one a logit, not {given}")
            self.action_net = _Scale(self.readout)
        # Replaces SB3's: `action_net` may be another layer now, and the core's parameters have own learning rates.
        arguments = self.optimizer_kwargs
        if self.optimizer_class is torch.optim.Adam and self.device.type in ("cpu", "cuda"):
            arguments = {"fused": True, **arguments}  # one pass over all parameters; else a tenth of small updates
        self.optimizer = self.optimizer_class(self._parameter_groups(), lr=lr_schedule(1), **arguments)  # type: ignore[call-arg]
        self._watch_optimizer()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        groups: dict[float, list[nn.Parameter]] = {1.0: []}
        of_core = {name.rpartition(".")[2] for name, _ in self.core.named_parameters()}
        for name, factor in self.lr_scales.items():
            if name not in of_core or not factor > 0:
                raise ValueError(
                    f"lr_scales must give positive factors for parameters of the core, which are "
                    f"{', '.join(sorted(of_core))}, not {name!r}: {factor!r}"
                )
        for name, parameter in self.named_parameters():
            own = name.rpartition(".")[2] if name.startswith(("core.", "critic_core.")) else ""
            groups.setdefault(float(self.lr_scales.get(own, 1.0)), []).append(parameter)
        return [{"params": parameters, "lr_scale": factor} for factor, parameters in groups.items()]

    def _build_mlp_extractor(self) -> None:
        # Called by SB3 before the heads and the optimizer are made; orthogonal initialization leaves the cores alone.
        self.core = self._make_core()
        self.critic_core = None if self.share_features_extractor else self._make_core()
        self.mlp_extractor = MlpExtractor(
            self.core.output_size, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )

    def _make_core(self) -> RecurrentCore:
        # SB3 counts the features of MultiDiscrete observations with NumPy's integers, which torch refuses.
        return make_core(self.core_name, int(self.features_dim), **self.core_kwargs).to(self.device)

    @property
    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each tensor of the recurrent state without its batch dimension."""
        return self.core.state_shapes + (() if self.critic_core is None else self.critic_core.state_shapes)

    def initial_state(self, batch_size: int) -> State:
        """Return the recurrent state at the start of an episode, a tuple of (B, ...) tensors."""
        state = self.core.initial_state(batch_size)
        return state if self.critic_core is None else state + self.critic_core.initial_state(batch_size)

    def actor_state(self, state: State) -> State:
        """Return the part of a recurrent state that belongs to `core`, as its `traces` and `modulation` take it."""
        return state[: len(self.core.state_shapes)]

    def critic_state(self, state: State) -> State:
        """Return the part of a recurrent state that the values come from: that of `critic_core`, if there is one."""
        return state if self.critic_core is None else state[len(self.core.state_shapes) :]

    def _step(self, obs: PyTorchObs, state: State, episode_starts: Tensor) -> tuple[Tensor, Tensor, State]:
        """Return the outputs (B, O) of the actor's and of the critic's core for one step, and the new state."""
        features: Any = self.extract_features(obs)
        if self.critic_core is None:
            outputs, state = self.core.step(features, state, episode_starts)
            return outputs, outputs, state
        actor, actor_state = self.core.step(features[0], self.actor_state(state), episode_starts)
        critic, critic_state = self.critic_core.step(features[1], self.critic_state(state), episode_starts)
        return actor, critic, actor_state + critic_state

    def forward(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """Act for one step of a rollout. No gradient flows through the core.

        Args:
            obs: (B, ...) observations.
            state: the recurrent state; its storage may be reused, so it must not be used afterwards.
            episode_starts: (B,) bool.
            deterministic: whether to take the most probable action.

        Returns:
            Actions (B, ...), values (B, 1), log-probabilities (B,), and the new state.
        """
        actor, critic, state = self._step(obs, state, episode_starts)
        latent = self.mlp_extractor.forward_actor(actor)
        kind = type(self.action_dist)
        if kind is CategoricalDistribution:
            actions, log_probs = _choose(self.action_net(latent), deterministic)
        elif kind is MultiCategoricalDistribution and latent.device.type != "cpu":  # SB3's makes a GPU wait
            assert isinstance(self.action_space, spaces.MultiDiscrete)
            actions, log_probs = _choose_each(self.action_net(latent), self.action_space.nvec.tolist(), deterministic)
        else:
            distribution = self._get_action_dist_from_latent(latent)
            actions = distribution.get_actions(deterministic=deterministic)
            log_probs = distribution.log_prob(actions)
        values = self.value_net(self.mlp_extractor.forward_critic(critic))
        return actions.reshape((-1, *(self.action_space.shape or ()))), values, log_probs, state

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        """Return the action distribution; choices are not validated again, which takes as long as to sample them."""
        if isinstance(self.action_dist, CategoricalDistribution):
            self.action_dist.distribution = Categorical(logits=self.action_net(latent_pi), validate_args=False)
            return self.action_dist
        return super()._get_action_dist_from_latent(latent_pi)

    def actor_sequences(self, sequences: Sequences) -> Tensor:
        """Run the actor's core over whole sequences, with gradients; return its outputs (T * B, O), time first."""
        features = BasePolicy.extract_features(self, sequences.observations, self.pi_features_extractor)
        return _run(self.core, features, self.actor_state(sequences.state), sequences.episode_starts)

    def critic_sequences(self, sequences: Sequences) -> Tensor:
        """Run the core of the values over whole sequences, with gradients; return its outputs (T * B, O)."""
        features = BasePolicy.extract_features(self, sequences.observations, self.vf_features_extractor)
        core = self.core if self.critic_core is None else self.critic_core
        return _run(core, features, self.critic_state(sequences.state), sequences.episode_starts)

    def evaluate_actions(  # type: ignore[override]
        self, obs: Sequences, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Evaluate actions along whole sequences; SB3's `train()` calls this with what the buffer handed out.

        Args:
            obs: the sequences.
            actions: (T * B, ...), time first.

        Returns:
            Values (T * B, 1), log-probabilities (T * B,), entropies (T * B,) or None.
        """
        actor = self.actor_sequences(obs)
        critic = actor if self.critic_core is None else self.critic_sequences(obs)
        distribution = self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(actor))
        values = self.value_net(self.mlp_extractor.forward_critic(critic))
        return values, distribution.log_prob(actions), distribution.entropy()

    def predict_values(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor
    ) -> Tensor:
        """Return the values (B, 1) of observations (B, ...) seen in a state, which is left as it is."""
        outputs = self.critic_sequences(Sequences(obs, episode_starts.unsqueeze(0), state))
        return self.value_net(self.mlp_extractor.forward_critic(outputs))

    def get_distribution(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor
    ) -> tuple[Distribution, State]:
        """Return the action distribution for observations (B, ...), and the state after them; see `forward`."""
        actor, _, state = self._step(obs, state, episode_starts)
        return self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(actor)), state

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: NumpyState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, NumpyState]:
        """Choose actions, following SB3's convention for recurrent policies.

        Args:
            observation: one observation, or (B, ...) of a vector environment.
            state: what the call before returned, a tuple of arrays, batch first; None at the very beginning.
            episode_start: (B,) bool, where an episode starts and the state is to be forgotten; None is nowhere.
            deterministic: whether to take the most probable action. A plastic policy was trained with sampled ones.

        Returns:
            The actions, and the state to hand in next; the arrays handed in are left as they are.

        Raises:
            ValueError: `state` or `episode_start` do not fit the number of observations.
        """
        self.set_training_mode(False)
        if isinstance(observation, tuple):
            raise ValueError("observation must be an array or a dict, not a tuple such as (obs, info) of env.reset()")
        obs, is_vectorized = self.obs_to_tensor(observation)
        batch_size = len(next(iter(obs.values())) if isinstance(obs, dict) else obs)
        state_tensors = self._state_tensors(state, batch_size)
        starts = np.zeros(batch_size, bool) if episode_start is None else np.asarray(episode_start, bool).reshape(-1)
        if len(starts) != batch_size:
            raise ValueError(f"episode_start must hold {batch_size} flags, one an observation, not {len(starts)}")
        with torch.no_grad():
            distribution, new_state = self.get_distribution(
                obs, state_tensors, torch.as_tensor(starts, device=self.device)
            )
            actions = distribution.get_actions(deterministic=deterministic).cpu().numpy()
        actions = self._to_action_space(actions.reshape((-1, *(self.action_space.shape or ()))))
        return actions if is_vectorized else actions.squeeze(axis=0), tuple(s.cpu().numpy() for s in new_state)

    def _state_tensors(self, state: NumpyState | None, batch_size: int) -> State:
        if state is None:
            return self.initial_state(batch_size)
        expected = [(batch_size, *shape) for shape in self.state_shapes]
        if [np.shape(s) for s in state] != expected:
            raise ValueError(
                f"state must hold arrays of shapes {expected}, as the last predict() returned for as many "
                f"observations, not {[np.shape(s) for s in state]}"
            )
        # Copies, because the core may write into them.
        return tuple(
            torch.tensor(s, dtype=like.dtype, device=like.device)
            for s, like in zip(state, self.initial_state(1), strict=True)
        )

    def _to_action_space(self, actions: np.ndarray) -> np.ndarray:
        if not isinstance(self.action_space, spaces.Box):
            return actions
        if self.squash_output:
            return self.unscale_action(actions)
        return np.clip(actions, self.action_space.low, self.action_space.high)


def _choose(logits: Tensor, deterministic: bool) -> tuple[Tensor, Tensor]:
    """Return choices (B,) and their log-probabilities, as SB3's distribution does in three times the time.

    The choice with the least waiting time is one of those probabilities where times are exponential with them as rates.
    """
    log_probs = torch.log_softmax(logits, -1)
    rates = log_probs if deterministic else log_probs - torch.empty_like(logits).exponential_().log_()
    actions = rates.argmax(-1)
    return actions, log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def _choose_each(logits: Tensor, sizes: list[int], deterministic: bool) -> tuple[Tensor, Tensor]:
    """Return several choices (B, n), one in each part of the logits, and the log-probabilities of all together (B,)."""
    chosen = [_choose(part, deterministic) for part in logits.split(sizes, -1)]
    return torch.stack([actions for actions, _ in chosen], -1), torch.stack([p for _, p in chosen], -1).sum(-1)


def _scale_learning_rates(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Give each group its part of the learning rate, which SB3 sets to one for all; the first group's factor is 1."""
    first, *others = optimizer.param_groups
    for group in others:
        group["lr"] = group["lr_scale"] * first["lr"]


def _check_gradients(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Stop before a step that would put NaN into the parameters."""
    gradients = [p.grad.sum() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if gradients and not torch.stack(gradients).sum().isfinite():
        raise FloatingPointError(
            "a gradient became NaN or infinite; the parameters are those from before. A smaller learning_rate or "
            "max_grad_norm may help, and so may a look at the rewards"
        )


def _run(core: RecurrentCore, features: Any, state: State, episode_starts: Tensor) -> Tensor:
    outputs, _ = core(features.reshape(*episode_starts.shape, -1), state, episode_starts)
    return outputs.flatten(0, 1)


def _check_readout(readout: Any) -> None:
    is_number = isinstance(readout, int | float) and not isinstance(readout, bool) and 0 < readout <= LARGEST
    if not is_number and not (isinstance(readout, str) and readout == "linear"):
        raise ValueError(f"readout must be 'linear' or a number above 0, not {readout!r}")


def _check_net_arch(net_arch: Any) -> None:
    if net_arch is None:
        return
    if isinstance(net_arch, list) and len(net_arch) == 1 and isinstance(net_arch[0], dict):
        net_arch = net_arch[0]  # an older form, of which SB3 warns
    stacks = net_arch if isinstance(net_arch, dict) else {"pi": net_arch}
    if not set(stacks) <= {"pi", "vf"} or not all(isinstance(stack, list | tuple) for stack in stacks.values()):
        raise ValueError(f"net_arch must be a list of sizes, or a dict of such under 'pi' and 'vf', not {net_arch!r}")
    for size in (size for stack in stacks.values() for size in stack):
        check_integer("net_arch's sizes", size, 1, MOST_UNITS)


class _Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        return self.factor * inputs


class PlasticActorCriticCnnPolicy(PlasticActorCriticPolicy):
    """The same for image observations: SB3's `NatureCNN` before the core.

    Example:
        >>> import gymnasium as gym
        >>> from gymnasium.wrappers import AddRenderObservation
        >>> from plastic_rl import PlasticPPO
        >>> env = AddRenderObservation(gym.make("plastic_rl/Maze-v0", render_mode="rgb_array"))
        >>> small = {"features_extractor_kwargs": {"features_dim": 64}}
        >>> model = PlasticPPO("CnnPolicy", env, n_steps=250, policy_kwargs=small)
    """

    def __init__(self, *args: Any, features_extractor_class: type[BaseFeaturesExtractor] = NatureCNN, **kwargs: Any):
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)


class PlasticMultiInputActorCriticPolicy(PlasticActorCriticPolicy):
    """The same for `Dict` observations: SB3's `CombinedExtractor` before the core.

    Example:
        >>> from plastic_rl import PlasticPPO
        >>> model = PlasticPPO("MultiInputPolicy", "plastic_rl/OneShot-v0")
    """

    def __init__(
        self, *args: Any, features_extractor_class: type[BaseFeaturesExtractor] = CombinedExtractor, **kwargs: Any
    ):
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)


MlpPolicy = PlasticActorCriticPolicy
CnnPolicy = PlasticActorCriticCnnPolicy
MultiInputPolicy = PlasticMultiInputActorCriticPolicy
