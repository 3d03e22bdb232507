"""The plastic recurrent layer: every core that is a rule and a kind of alpha."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from plastic_rl.arguments import check_choice, check_integer, check_number
from plastic_rl.cores.base import MOST_UNITS, RecurrentCore, State, clamped_rate
from plastic_rl.ops import Rule, get_rule, plastic_scan, plastic_step
from plastic_rl.ops.rules import modulation
from plastic_rl.ops.scan import check_backend


class PlasticCore(RecurrentCore):
    """A recurrent tanh layer whose connections are partly plastic.

        x_j(t) = tanh( (U inputs(t) + c)_j + sum_i x_i(t-1) * (w_ij + alpha_ij * Hebb_ij(t)) )

    The rule says how the trace Hebb is written. With `layer_norm`, what is in the brackets is normalized over the
    neurons first (`plastic_rl.ops.plastic_scan`). With `alpha="shared"` it is the paper's homogeneous network, with
    `alpha="none"` an Elman network without a trace.

    Args:
        input_size: I.
        hidden_size: N, the number of neurons and of outputs.
        rule: `"decay"`, `"oja"`, `"neuromodulated"`, `"retroactive"`, or a `Rule` of one's own.
        alpha: `"per_connection"` (N, N), `"shared"` (one number), or `"none"`.
        alpha_init: standard deviation of the initial alpha; a shared alpha starts at this value.
        eta_init: initial plasticity rate, in [0, 1].
        eta: `"shared"` (one rate), or `"per_neuron"` (one for each postsynaptic neuron).
        fan_out: whether a modulated rule scales M(t) by a trained weight for each postsynaptic neuron.
        fan_out_init: initial value of these weights, in [-1, 1]: how fast traces are written at first.
        layer_norm: whether what the neurons receive is normalized, with a trained gain and bias, 1 and 0 at first.
        backend: which backend of `plastic_scan` to use; the fastest available by default.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Miconi, Clune & Stanley (2018), equations 1 and 2; Miconi et al. (2019) for the modulated rules; Ba, Kiros &
    Hinton (2016) for the normalization.

    Example:
        >>> import torch
        >>> from plastic_rl.cores import PlasticCore
        >>> core = PlasticCore(input_size=3, hidden_size=8)
        >>> outputs, state = core(torch.zeros(5, 2, 3))
        >>> outputs.shape
        torch.Size([5, 2, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 100,
        rule: str | Rule = "decay",
        alpha: Literal["per_connection", "shared", "none"] = "per_connection",
        alpha_init: float = 0.01,
        eta_init: float = 0.03,
        eta: Literal["shared", "per_neuron"] = "shared",
        fan_out: bool = False,
        fan_out_init: float = 1.0,
        layer_norm: bool = False,
        backend: str | None = None,
    ) -> None:
        super().__init__(input_size, check_integer("hidden_size", hidden_size, 1, MOST_UNITS))
        check_choice("alpha", alpha, ("per_connection", "shared", "none"))
        check_choice("eta", eta, ("shared", "per_neuron"))
        if not 0 <= eta_init <= 1:
            raise ValueError(f"eta_init must be a rate in [0, 1], not {eta_init}")
        if alpha_init < 0:
            raise ValueError(f"alpha_init must be a standard deviation of at least 0, not {alpha_init}")
        check_number("fan_out_init", fan_out_init, -1, 1)
        self.rule = get_rule(rule)
        self.backend = check_backend(backend)
        self.input_map = nn.Linear(input_size, hidden_size)
        bound = 1 / math.sqrt(hidden_size)
        self.weight = nn.Parameter(torch.empty(hidden_size, hidden_size).uniform_(-bound, bound))
        self.norm = nn.LayerNorm(hidden_size) if layer_norm else None
        self.alpha: nn.Parameter | None = None
        self.eta: nn.Parameter | None = None
        self.rule_parameters = nn.ParameterDict()
        matrix = (hidden_size, hidden_size)
        self.state_shapes = ((hidden_size,),)
        if alpha == "none":
            return
        self.state_shapes = ((hidden_size,), *[matrix] * len(self.rule.traces))
        self.alpha = nn.Parameter(
            alpha_init * torch.randn(matrix) if alpha == "per_connection" else torch.tensor(float(alpha_init))
        )
        if self.rule.uses_eta:
            self.eta = nn.Parameter(torch.full((hidden_size,) if eta == "per_neuron" else (), float(eta_init)))
        names = self.rule.parameters
        if fan_out:
            if "fan_out" not in self.rule.optional_parameters:
                raise ValueError(f"fan_out needs a modulated rule, not {self.rule.name!r}")
            names += ("fan_out",)
        self.rule_parameters.update(self.rule.make_parameters(hidden_size, names))
        if fan_out:
            nn.init.constant_(self.rule_parameters["fan_out"], float(fan_out_init))

    def extra_repr(self) -> str:
        """Return sizes, rule and alpha for `repr`."""
        alpha = None if self.alpha is None else tuple(self.alpha.shape)
        return f"{super().extra_repr()}, rule={self.rule.name!r}, alpha={alpha}"

    @property
    def rate(self) -> Tensor | None:
        """The plasticity rate kept in [0, 1], beyond which traces grow without bound; its gradient is eta's own."""
        return None if self.eta is None else clamped_rate(self.eta)

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the layer over a sequence; see `RecurrentCore.forward`."""
        return plastic_scan(self.input_map(inputs), state=state, episode_starts=episode_starts, **self._layer())

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step, the traces updated in place; see `RecurrentCore.step`."""
        return plastic_step(self.input_map(inputs), state=state, episode_starts=episode_starts, **self._layer())

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step for an export, with the backend that is plain PyTorch; see `RecurrentCore.pure_step`."""
        drive, starts = self.input_map(inputs).unsqueeze(0), episode_starts.unsqueeze(0)
        layer = {**self._layer(), "backend": "reference"}
        activity, state = plastic_scan(drive, state=state, episode_starts=starts, **layer)
        return activity[0], state

    def _layer(self) -> dict[str, Any]:
        """Return those arguments of `plastic_scan` that are the layer's own."""
        return {
            "weight": self.weight,
            "alpha": self.alpha,
            "eta": self.rate,
            "rule": self.rule,
            "parameters": dict(self.rule_parameters.items()),
            "backend": self.backend,
            "layer_norm": None if self.norm is None else (self.norm.weight, self.norm.bias),
        }

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the rule's traces by name, (B, N, N) each."""
        return dict(zip(self.rule.traces, state[1:], strict=False))

    def modulation(self, state: State) -> Tensor | None:
        """Return M(t), (B,), before any fan-out; None where the rule has none."""
        names = ("modulation_weight", "modulation_bias")
        if self.alpha is None or names[0] not in self.rule_parameters:
            return None
        return modulation(state[0], {name: self.rule_parameters[name].detach() for name in names})[:, 0]
