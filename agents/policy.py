"""The recurrent actor-critic policy: SB3's, with a core between the features and the heads."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, MlpExtractor, NatureCNN
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from plastic_rl.agents.hyperparameters import check_dict
from plastic_rl.arguments import LARGEST, check_integer
from plastic_rl.cores import RecurrentCore, State, make_core
from plastic_rl.cores.base import MOST_UNITS

NumpyState = tuple[np.ndarray, ...]


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

    Args:
        observation_space: as in SB3.
        action_space: `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`.
        lr_schedule: as in SB3.
        core: a name of `plastic_rl.cores` (`"plastic"`, `"lstm"`, ...), `"module:Class"`, or a `RecurrentCore` class.
        core_kwargs: the core's own arguments, such as `dict(hidden_size=100, rule="oja")`.
        net_arch: layers after the core, in SB3's form; none by default.
        readout: how the core's output becomes logits, or the mean action: `"linear"`, SB3's trained layer, or a number
            that it is multiplied with, for a core whose neurons are themselves the answer.
        lr_scales: factors of the learning rate for parameters of the core by their name, such as `dict(alpha=3.0)`.
        kwargs: as in SB3's `ActorCriticPolicy`.

    Raises:
        ValueError: the core or one of its arguments has no such name, or `share_features_extractor` is False: there is
            one core, and it reads one set of features. Or `readout` is a number and the core has not as many outputs
            as the action has elements or choices. Or `lr_scales` names no parameter of the core, or a factor is not
            positive.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        core: str | Callable[..., RecurrentCore] = "plastic",
        core_kwargs: dict[str, Any] | None = None,
        net_arch: list[int] | dict[str, list[int]] | None = None,
        readout: Literal["linear"] | float = "linear",
        lr_scales: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        _check_readout(readout)
        check_dict("core_kwargs", {} if core_kwargs is None else core_kwargs)
        _check_net_arch(net_arch)
        if not kwargs.get("share_features_extractor", True):
            raise ValueError("share_features_extractor must be True: actor and critic read one core")
        self.readout = readout
        self.core_name = core
        self.core_kwargs = dict(core_kwargs or {})
        self.lr_scales = dict(lr_scales or {})
        super().__init__(
            observation_space, action_space, lr_schedule, net_arch=[] if net_arch is None else net_arch, **kwargs
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {"core": self.core_name, "core_kwargs": self.core_kwargs, "readout": self.readout}
        own["lr_scales"] = self.lr_scales
        return {**super()._get_constructor_parameters(), **own}

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        if not isinstance(self.readout, str):
            wanted, given = self._n_outputs(), self.mlp_extractor.latent_dim_pi
            if wanted != given:
                raise ValueError(f"readout={self.readout} needs a core of {wanted} outputs, one a logit, not {given}")
            self.action_net = _Scale(self.readout)
        # Made once more: for a layer that is not there any more, and learning rates of their own.
        self.optimizer = self.optimizer_class(self._parameter_groups(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]
        self.optimizer.register_step_pre_hook(_scale_learning_rates)

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
            own = name.rpartition(".")[2] if name.startswith("core.") else ""
            groups.setdefault(float(self.lr_scales.get(own, 1.0)), []).append(parameter)
        return [{"params": parameters, "lr_scale": factor} for factor, parameters in groups.items()]

    def _n_outputs(self) -> int:
        space = self.action_space
        if isinstance(space, spaces.Discrete):
            return int(space.n)
        return int(space.nvec.sum() if isinstance(space, spaces.MultiDiscrete) else np.prod(space.shape or ()))

    def _build_mlp_extractor(self) -> None:
        # Called by SB3 before the heads and the optimiser are made; orthogonal initialisation leaves the core alone.
        self.core = make_core(self.core_name, self.features_dim, **self.core_kwargs).to(self.device)
        self.mlp_extractor = MlpExtractor(
            self.core.output_size, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )

    def initial_state(self, batch_size: int) -> State:
        """Return the core's state at the start of an episode, a tuple of (B, ...) tensors."""
        return self.core.initial_state(batch_size)

    def forward(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """Act for one step of a rollout. No gradient flows through the core.

        Args:
            obs: (B, ...) observations.
            state: the core's state; its storage may be reused, so it must not be used afterwards.
            episode_starts: (B,) bool.
            deterministic: whether to take the most probable action.

        Returns:
            Actions (B, ...), values (B, 1), log-probabilities (B,), and the new state.
        """
        latent, state = self.core.step(self.extract_features(obs), state, episode_starts)  # type: ignore[arg-type]
        latent_policy, latent_value = self.mlp_extractor(latent)
        distribution = self._get_action_dist_from_latent(latent_policy)
        actions = distribution.get_actions(deterministic=deterministic)
        log_probs = distribution.log_prob(actions)
        shape = self.action_space.shape or ()
        return actions.reshape((-1, *shape)), self.value_net(latent_value), log_probs, state

    def latent_sequences(self, sequences: Sequences) -> Tensor:
        """Run the core over whole sequences, with gradients.

        Returns:
            The core's outputs, (T * B, O), time first.
        """
        features = self.extract_features(sequences.observations)
        assert isinstance(features, Tensor)
        shape = sequences.episode_starts.shape
        outputs, _ = self.core(features.reshape(*shape, -1), sequences.state, sequences.episode_starts)
        return outputs.flatten(0, 1)

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
        latent_policy, latent_value = self.mlp_extractor(self.latent_sequences(obs))
        distribution = self._get_action_dist_from_latent(latent_policy)
        return self.value_net(latent_value), distribution.log_prob(actions), distribution.entropy()

    def predict_values(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor
    ) -> Tensor:
        """Return the values (B, 1) of observations (B, ...) seen in a state, which is left as it is."""
        latent = self.latent_sequences(Sequences(obs, episode_starts.unsqueeze(0), state))
        return self.value_net(self.mlp_extractor.forward_critic(latent))

    def get_distribution(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor
    ) -> tuple[Distribution, State]:
        """Return the action distribution for observations (B, ...), and the state after them; see `forward`."""
        latent, state = self.core.step(self.extract_features(obs), state, episode_starts)  # type: ignore[arg-type]
        return self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(latent)), state

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
        expected = [(batch_size, *shape) for shape in self.core.state_shapes]
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


def _scale_learning_rates(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Give each group its part of the learning rate, which SB3 sets to one for all; the first group's factor is 1."""
    first, *others = optimizer.param_groups
    for group in others:
        group["lr"] = group["lr_scale"] * first["lr"]


def _check_readout(readout: Any) -> None:
    is_number = isinstance(readout, int | float) and not isinstance(readout, bool) and 0 < readout <= LARGEST
    if not is_number and not (isinstance(readout, str) and readout == "linear"):
        raise ValueError(f"readout must be 'linear' or a number above 0, not {readout!r}")


def _check_net_arch(net_arch: Any) -> None:
    if net_arch is None:
        return
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
    """The same for image observations: SB3's `NatureCNN` before the core."""

    def __init__(self, *args: Any, features_extractor_class: type[BaseFeaturesExtractor] = NatureCNN, **kwargs: Any):
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)


class PlasticMultiInputActorCriticPolicy(PlasticActorCriticPolicy):
    """The same for `Dict` observations: SB3's `CombinedExtractor` before the core."""

    def __init__(
        self, *args: Any, features_extractor_class: type[BaseFeaturesExtractor] = CombinedExtractor, **kwargs: Any
    ):
        super().__init__(*args, features_extractor_class=features_extractor_class, **kwargs)


MlpPolicy = PlasticActorCriticPolicy
CnnPolicy = PlasticActorCriticCnnPolicy
MultiInputPolicy = PlasticMultiInputActorCriticPolicy
