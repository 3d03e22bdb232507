"""A trained policy as a file that runs without this package: ONNX, or a program of `torch.export`."""

import errno
import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import create_empty_array
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import get_obs_shape
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor, nn

from plastic_rl.agents.policy import PlasticActorCriticPolicy
from plastic_rl.agents.step_graph import unvalidated
from plastic_rl.cores import State

SUFFIXES = (".onnx", ".pt2")
Observation = Tensor | dict[str, Tensor]


class SingleStep(nn.Module):
    """One step of a policy as a pure function: an observation and a state in, an action and the next state out.

    Args:
        policy: the policy, on the CPU.
        normalization: what normalized the observations that it was trained on, if anything did; its statistics
            become part of the step, which then takes observations as the environment gives them.

    Attributes:
        observation_space: of the observations that the step takes.

    Raises:
        ValueError: the policy is on another device, or something between `normalization` and the policy changes the
            observations once more (a `VecFrameStack`, say).

    Example:
        >>> import torch
        >>> from plastic_rl import PlasticPPO
        >>> from plastic_rl.agents import SingleStep
        >>> model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0", device="cpu")
        >>> step, state = SingleStep(model.policy), model.policy.initial_state(1)
        >>> observation = torch.zeros(1, *model.observation_space.shape)
        >>> action, logits, state = step(observation, torch.ones(1, dtype=torch.bool), state)
    """

    def __init__(self, policy: PlasticActorCriticPolicy, normalization: VecNormalize | None = None) -> None:
        super().__init__()
        if policy.device.type != "cpu":
            raise ValueError(f"policy must be on the CPU, not on {policy.device}: load it with device='cpu'")
        self.policy = policy
        self.observation_space = policy.observation_space
        self.normalize = None
        if normalization is not None and normalization.norm_obs:
            given, read = (get_obs_shape(space.observation_space) for space in (normalization, policy))
            if given != read:
                raise ValueError(f"normalization must be of observations as the policy reads them, {read}, not {given}")
            self.observation_space = normalization.venv.observation_space
            self.normalize = _Normalize(normalization)
        self.eval()

    def forward(
        self, observation: Observation, episode_start: Tensor, state: State
    ) -> tuple[Tensor, tuple[Tensor, ...], State]:
        """Take one step.

        Args:
            observation: (B, ...), or a dict of such.
            episode_start: (B,) bool, where the state is forgotten before the step.
            state: a tuple of (B, ...) tensors; zeros at first.

        Returns:
            What `predict(deterministic=True)` would do, (B, ...); what its distribution is made of, the logits (B, K)
            of choices and of bits, normalized over choices, or mean and standard deviation (B, K) of a `Box` action
            before it is squashed or clipped; the next state.
        """
        if self.normalize is not None:
            observation = self.normalize(observation)
        policy = self.policy
        features = BasePolicy.extract_features(policy, observation, policy.pi_features_extractor)
        latent, state = policy.core.pure_step(features, state, episode_start)
        distribution = policy._get_action_dist_from_latent(policy.mlp_extractor.forward_actor(latent))
        action = distribution.get_actions(deterministic=True).reshape(-1, *(policy.action_space.shape or ()))
        return self._in_space(action), _parameters(distribution), state

    def _in_space(self, action: Tensor) -> Tensor:
        space = self.policy.action_space
        if not isinstance(space, spaces.Box):
            return action
        low, high = (torch.as_tensor(bound, dtype=action.dtype) for bound in (space.low, space.high))
        if self.policy.squash_output:
            return low + 0.5 * (action + 1.0) * (high - low)
        return action.clamp(low, high)


class _Normalize(nn.Module):
    """`VecNormalize.normalize_obs` on tensors; in float64, as there."""

    def __init__(self, env: VecNormalize) -> None:
        super().__init__()
        self.clip = float(env.clip_obs)
        statistics: dict[str, Any] = env.obs_rms if isinstance(env.obs_rms, dict) else {"": env.obs_rms}
        self.places = {key: place for place, key in enumerate(statistics)}
        for key, place in self.places.items():
            self.register_buffer(f"mean_{place}", torch.as_tensor(statistics[key].mean, dtype=torch.float64))
            deviation = (torch.as_tensor(statistics[key].var, dtype=torch.float64) + env.epsilon).sqrt()
            self.register_buffer(f"deviation_{place}", deviation)

    def forward(self, observation: Observation) -> Observation:
        if not isinstance(observation, dict):
            return self._one(observation, 0)
        return {k: self._one(v, self.places[k]) if k in self.places else v for k, v in observation.items()}

    def _one(self, values: Tensor, place: int) -> Tensor:
        centered = values.double() - self.get_buffer(f"mean_{place}")
        return (centered / self.get_buffer(f"deviation_{place}")).clamp(-self.clip, self.clip).float()


def _parameters(distribution: Distribution) -> tuple[Tensor, ...]:
    inner: Any = distribution.distribution
    if isinstance(inner, list):
        return (torch.cat([part.logits for part in inner], dim=1),)
    return (inner.mean, inner.stddev) if isinstance(inner, torch.distributions.Normal) else (inner.logits,)


def export_policy(
    policy: PlasticActorCriticPolicy, path: str | os.PathLike, normalization: VecNormalize | None = None
) -> Path:
    """Write the single step of a policy into a file, for any number of observations at a time.

    An `.onnx` file has the inputs `observation` (or `observation.KEY` for each entry of a `Dict`), `episode_start` and
    `state.0`, `state.1`, ...; and the outputs `action`, `logits` (or `mean` and `std`), and `new_state.0`, ....
    A `.pt2` file is read by `torch.export.load`; its `module()` is called as `SingleStep`.

    Args:
        policy: the policy, on the CPU.
        path: a file that ends in `.onnx` (needs `pip install plastic_rl[export]`) or `.pt2`.
        normalization: as in `SingleStep`.

    Returns:
        The path.

    Raises:
        ValueError: `path` ends in something else; or as `SingleStep`; or a core of one's own has a step that is no
            graph of PyTorch operations.
        FileNotFoundError: the folder of `path` is not there, which is said before anything is exported.
        ImportError: there is no onnx or onnxscript to write ONNX with.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"path must end in {' or '.join(SUFFIXES)}, not {path.name!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own, about themselves
        program, shapes = _program(SingleStep(policy, normalization))
        if path.suffix == ".pt2":
            torch.export.save(program, path)
        else:
            _write_onnx(policy, program, shapes, path)
    return path


def _program(step: SingleStep) -> tuple[torch.export.ExportedProgram, Any]:
    """Return the step as a program, and which dimensions of its arguments are as long as the batch."""
    policy, batch = step.policy, {0: torch.export.Dim("batch")}
    n = 2  # with one, one would be taken for the only number possible
    empty: Any = create_empty_array(step.observation_space, n, np.zeros)
    observation, _ = policy.obs_to_tensor(empty)
    state = policy.core.initial_state(n)
    along: Any = dict.fromkeys(observation, batch) if isinstance(observation, dict) else batch
    shapes = (along, batch, tuple(batch for _ in state))
    try:
        with torch.no_grad(), unvalidated():  # there are no values yet
            arguments = (observation, torch.zeros(n, dtype=torch.bool), state)
            return torch.export.export(step, arguments, dynamic_shapes=shapes), shapes
    except Exception as error:  # of many kinds, and many lines
        raise ValueError(
            f"core {policy.core_name!r} or the features before it cannot be exported: pure_step must consist of "
            f"PyTorch operations that depend on no value ({str(error).partition(chr(10))[0]})"
        ) from error


def _write_onnx(
    policy: PlasticActorCriticPolicy, program: torch.export.ExportedProgram, shapes: Any, path: Path
) -> None:
    space = policy.observation_space
    inputs = [f"observation.{key}" for key in space.spaces] if isinstance(space, spaces.Dict) else ["observation"]
    state = [f"state.{i}" for i in range(len(policy.core.state_shapes))]
    parameters = ["mean", "std"] if isinstance(policy.action_space, spaces.Box) else ["logits"]
    onnx = torch.onnx.export(
        program,
        input_names=[*inputs, "episode_start", *state],
        output_names=["action", *parameters, *(f"new_{name}" for name in state)],
        dynamic_shapes=shapes,
        dynamo=True,
        verbose=False,
    )
    assert onnx is not None
    onnx.model.metadata_props.update(plastic_rl=version("plastic_rl"), action_space=str(policy.action_space))
    onnx.save(path)
