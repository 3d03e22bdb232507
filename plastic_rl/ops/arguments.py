"""The arguments of a scan, checked once at the door so that no backend has to."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from plastic_rl.ops.rules import RULES, Rule

LOW_PRECISION = (torch.bfloat16, torch.float16)
NORM = ("layer_norm[0] (gain)", "layer_norm[1] (bias)")
State = tuple[Tensor, ...]


@dataclass(frozen=True)
class ScanArguments:
    """The arguments of `plastic_scan`, checked, all floating-point tensors of one dtype and device.

    Attributes:
        drive: (T, B, N).
        weight: (K, N); K is N in a recurrent layer.
        alpha: (K, N), (), or None.
        eta: (), (N,), or None; None wherever the rule or the layer has no use for it.
        state: activity (B, N) in a recurrent layer, then a (B, K, N) for each of the rule's traces unless alpha is
            None.
        episode_starts: (T, B) bool.
        rule: the rule.
        parameters: the rule's tensors by name; empty where alpha is None.
        gain: (N,), of layer normalization, or None.
        bias: (N,), of layer normalization, or None.
        query: (T, B, K) presynaptic activity that reads, or None in a recurrent layer.
        key: (T, B, K) presynaptic activity that is written; None in a recurrent layer.
        modulation: (T, B) the signal M(t) of a modulated rule, or None where the layer computes it.
    """

    drive: Tensor
    weight: Tensor
    alpha: Tensor | None
    eta: Tensor | None
    state: State
    episode_starts: Tensor
    rule: Rule
    parameters: Mapping[str, Tensor]
    gain: Tensor | None
    bias: Tensor | None
    query: Tensor | None = None
    key: Tensor | None = None
    modulation: Tensor | None = None

    @property
    def recurrent(self) -> bool:
        """Whether the layer's presynaptic neurons are its own, one step before."""
        return self.query is None

    @property
    def traces(self) -> State:
        """The traces of the state."""
        return self.state[1:] if self.recurrent else self.state

    @cached_property
    def form(self) -> tuple[Any, ...] | None:
        """All that decides whether and how they can be run, of which none is a number in a tensor.

        None in `torch.compile`, where sizes may be symbols.
        """
        if torch.compiler.is_compiling():
            return None
        tensors = (
            self.drive, self.weight, self.alpha, self.eta, self.gain, self.bias, self.query, self.key, self.modulation,
            self.episode_starts, *self.state, *self.parameters.values(),
        )  # fmt: skip
        forms = ((x.shape, x.dtype, x.device) if isinstance(x, Tensor) else type(x) for x in tensors)
        return self.rule, len(self.state), *self.parameters, *forms

    def names_of_state(self) -> tuple[str, ...]:
        """Return what the tensors of the state are called."""
        traces = self.rule.traces if self.alpha is not None else ()
        return ("activity", *traces) if self.recurrent else traces

    def tensors(self) -> dict[str, Tensor]:
        """Return every floating-point tensor by its name."""
        named = {name: getattr(self, name) for name in ("drive", "weight", "alpha", "eta")}
        named |= {NORM[0]: self.gain, NORM[1]: self.bias}
        named |= {name: getattr(self, name) for name in ("query", "key", "modulation")}
        states = zip(self.names_of_state(), self.state, strict=False)
        named |= {f"state[{i}] ({name})": s for i, (name, s) in enumerate(states)}
        named |= {f"parameters[{name!r}]": p for name, p in self.parameters.items()}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def cast(self, dtype: torch.dtype) -> "ScanArguments":
        """Return the same arguments in another floating-point dtype; what has it already is not copied."""
        if dtype == self.drive.dtype:  # the others have that of the drive or the one it is computed in: the same
            return self

        def to(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(dtype) if value.is_floating_point() else value
            if isinstance(value, tuple):
                return tuple(map(to, value))
            return {name: to(v) for name, v in value.items()} if isinstance(value, dict) else value

        return replace(self, **{field.name: to(getattr(self, field.name)) for field in fields(self)})


def checked_arguments(
    drive: Tensor,
    weight: Tensor,
    alpha: Tensor | None,
    eta: Tensor | None,
    state: State,
    episode_starts: Tensor,
    rule: Rule,
    parameters: Mapping[str, Tensor] | None,
    layer_norm: tuple[Tensor, Tensor] | None,
    query: Tensor | None,
    key: Tensor | None,
    modulation: Tensor | None,
) -> ScanArguments:
    """Return the arguments of a scan, or raise an error that names the one that is wrong.

    Raises:
        TypeError: an argument is not a tensor, or of a dtype that cannot be computed with.
        ValueError: shapes, dtypes or devices do not agree, or a rule's parameter is missing or unknown.
    """
    _check_tensor("drive", drive)
    if drive.dim() != 3:
        raise ValueError(f"drive must have shape (T, B, N), not {tuple(drive.shape)}")
    if not drive.is_floating_point():
        raise TypeError(f"drive must be floating point, not {drive.dtype}")
    if not isinstance(state, (tuple, list)):
        raise TypeError(f"state must be a tuple of tensors, not {type(state).__name__}")
    plastic = alpha is not None
    if plastic and rule.uses_eta and eta is None:
        raise ValueError(f"eta must be a tensor of shape () or (N,) for rule {rule.name!r}, not None")
    for name, value in (("key", key), ("modulation", modulation)):
        if query is None and value is not None:
            raise ValueError(f"{name} must be None without query: a recurrent layer makes its own")
    gain, bias = _checked_norm(layer_norm)
    arguments = ScanArguments(
        drive,
        weight,
        alpha,
        eta if plastic and rule.uses_eta else None,
        tuple(state),
        episode_starts,
        rule,
        dict(parameters or {}) if plastic else {},
        gain,
        bias,
        query,
        query if key is None else key,
        modulation if plastic else None,
    )
    if arguments.form is None or arguments.form not in _accepted:
        _check_names(arguments)
        _check_shapes(arguments)
        _check_kinds(arguments)
        if len(_accepted) >= MOST_FORMS:
            _accepted.clear()
        _accepted.add(arguments.form)
    return arguments


# What was checked once need not be checked at every step of a rollout, where the checks took as long as the step.
MOST_FORMS = 1000
_accepted: set[tuple[Any, ...] | None] = set()


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(value).__name__}")


def _checked_norm(layer_norm: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | tuple[None, None]:
    if layer_norm is None:
        return None, None
    if not isinstance(layer_norm, (tuple, list)):
        raise TypeError(f"layer_norm must be a tuple of gain and bias, or None, not {type(layer_norm).__name__}")
    if len(layer_norm) != 2:
        raise ValueError(f"layer_norm must be a tuple of 2 (gain, bias), not of {len(layer_norm)}")
    for name, tensor in zip(NORM, layer_norm, strict=True):
        _check_tensor(name, tensor)
    return layer_norm[0], layer_norm[1]


def _check_names(arguments: ScanArguments) -> None:
    rule, given = arguments.rule, arguments.parameters
    if arguments.alpha is not None:
        required = rule.parameters
        if not arguments.recurrent and rule.is_modulated and arguments.modulation is not None:
            required = tuple(name for name in required if not name.startswith("modulation_"))  # M(t) is given
        takes = (*required, *rule.optional_parameters)
        missing = [name for name in required if name not in given]
        unknown = [name for name in given if name not in takes]
        if missing or unknown:
            complaint = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is unknown"
            raise ValueError(f"parameters of rule {rule.name!r} are {', '.join(takes) or 'none'}: {complaint}")
    expected = arguments.names_of_state()
    if len(arguments.state) != len(expected):
        why = f"rule {rule.name!r}" if arguments.alpha is not None else "alpha=None, which has no trace"
        names = ", ".join(expected) or "nothing"
        raise ValueError(f"state must be a tuple of {len(expected)} ({names}) for {why}, not of {len(arguments.state)}")


def _check_shapes(arguments: ScanArguments) -> None:
    n_steps, batch, n = arguments.drive.shape
    if n == 0:
        raise ValueError(f"drive must have at least one neuron, not shape {tuple(arguments.drive.shape)}")
    k = n
    if arguments.query is not None:
        _check_tensor("query", arguments.query)
        if arguments.query.dim() != 3 or arguments.query.shape[:2] != (n_steps, batch) or not arguments.query.shape[2]:
            raise ValueError(
                f"query must have shape ({n_steps}, {batch}, K) for a drive of shape {tuple(arguments.drive.shape)}, "
                f"not {tuple(arguments.query.shape)}"
            )
        k = arguments.query.shape[2]
    allowed: dict[str, list[tuple[int, ...]]] = {
        "drive": [(n_steps, batch, n)],
        "weight": [(k, n)],
        "alpha": [(k, n), ()],
        "eta": [(), (n,)],
        "key": [(n_steps, batch, k)],
        "modulation": [(n_steps, batch)],
        NORM[0]: [(n,)],
        NORM[1]: [(n,)],
    }
    if arguments.rule == RULES.get(arguments.rule.name):  # a rule of one's own decides on its shapes itself
        allowed |= {
            "parameters['modulation_weight']": [(n,)],
            "parameters['modulation_bias']": [()],
            "parameters['fan_out']": [(n,)],
        }
    for name, tensor in arguments.tensors().items():
        _check_tensor(name, tensor)
        if name.startswith("state["):
            shapes: list[tuple[int, ...]] = [(batch, n) if name.endswith("(activity)") else (batch, k, n)]
        else:
            shapes = allowed.get(name, [tuple(tensor.shape)])
        _check_shape(name, tensor, shapes, arguments.drive)
    _check_tensor("episode_starts", arguments.episode_starts)
    _check_shape("episode_starts", arguments.episode_starts, [(n_steps, batch)], arguments.drive)


def _check_shape(name: str, tensor: Tensor, shapes: list[tuple[int, ...]], drive: Tensor) -> None:
    if tuple(tensor.shape) not in shapes:
        allowed = " or ".join(map(str, shapes))
        raise ValueError(
            f"{name} must have shape {allowed} for a drive of shape {tuple(drive.shape)}, not {tuple(tensor.shape)}"
        )


def _check_kinds(arguments: ScanArguments) -> None:
    drive = arguments.drive
    computed = compute_dtype(drive.dtype)
    for name, tensor in arguments.tensors().items():
        if tensor.dtype not in (drive.dtype, computed):
            raise ValueError(f"{name} must be {computed} for a drive of {drive.dtype}, not {tensor.dtype}")
    if arguments.episode_starts.dtype != torch.bool:
        raise TypeError(f"episode_starts must be torch.bool, not {arguments.episode_starts.dtype}")
    for name, tensor in {**arguments.tensors(), "episode_starts": arguments.episode_starts}.items():
        if tensor.device != drive.device:
            raise ValueError(f"{name} must be on {drive.device} as drive is, not on {tensor.device}")


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what a scan computes in and keeps its state in: float32 for half-precision inputs, else the input's."""
    return torch.float32 if dtype in LOW_PRECISION else dtype
