"""A plastic memory on a controller: connections that are read with what the agent sees now."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from plastic_rl.arguments import check_choice, check_integer, check_number
from plastic_rl.cores.base import MOST_UNITS, RecurrentCore, State, clamped_rate
from plastic_rl.cores.stacked import Layer, make_layer
from plastic_rl.ops import Rule, get_rule, plastic_scan, plastic_step
from plastic_rl.ops.scan import check_backend


class PlasticMemory(RecurrentCore):
    """A plastic layer that is read with query neurons and written with key neurons, on top of a recurrent controller.

        h(t) = controller(x(t), h(t-1)),    u(t) = [x(t), h(t)]
        q(t) = tanh(Q u(t)),    k(t) = tanh(P u(t)),    M(t) = tanh(m . u(t) + b)
        c_j(t) = tanh( (D u(t))_j + sum_i q_i(t) * (w_ij + alpha_ij * Hebb_ij(t)) )
        Hebb(t+1) = rule(Hebb(t), k(t), c(t), M(t))
        output(t) = [c(t), h(t)]

    A recurrent plastic layer reads its trace with its activity of the step before, and writes with the same neurons.
    Here the query depends on what is seen at this step, and what is written may be stored under another key. With the
    rules `"neuromodulated"` and `"retroactive"`, M(t) sees the reward of this step directly.

    Args:
        input_size: I.
        hidden_size: N, the number of postsynaptic neurons c.
        controller: the name of a core, such as `"gru"`, `"lstm"` or `"rnn"`, or a pair of its name and its arguments;
            None for a memory without one.
        controller_size: C, the units of a controller that is given by its name; `hidden_size` by default. The core has
            N + C outputs.
        key_size: K, the number of query neurons and of key neurons; `hidden_size` by default.
        keys: `"separate"` for key neurons of their own, which begin with the weights of the query neurons, so that the
            memory finds what it stored before anything is learned; `"shared"` to write with the query neurons.
        rule: `"neuromodulated"`, `"retroactive"`, `"decay"`, `"oja"`, or a `Rule` of one's own.
        alpha: `"per_connection"` (K, N), `"shared"` (one number), or `"none"` for a layer that is not plastic.
        alpha_init: the initial alpha of every connection. All are alike and positive, so that what is read at first is
            what was written under a key like the query.
        eta_init: initial plasticity rate, in [0, 1].
        eta: `"shared"` (one rate), or `"per_neuron"` (one for each postsynaptic neuron).
        weight_init: scale of the initial fixed weights, relative to a uniform distribution in 1 / sqrt(K).
        backend: which backend of `plastic_scan` to use; the fastest available by default.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Miconi, Clune & Stanley (2018), equations 1 and 2, and Miconi et al. (2019) for the modulated rules; queries
    and keys as in fast weight programmers (Schmidhuber, 1992; Schlag, Irie & Schmidhuber, 2021).

    Example:
        >>> import torch
        >>> from plastic_rl.cores import PlasticMemory
        >>> core = PlasticMemory(input_size=3, hidden_size=8)
        >>> outputs, state = core(torch.zeros(5, 2, 3))
        >>> outputs.shape
        torch.Size([5, 2, 16])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 64,
        controller: Layer | None = "lstm",
        controller_size: int | None = None,
        key_size: int | None = None,
        keys: Literal["separate", "shared"] = "separate",
        rule: str | Rule = "neuromodulated",
        alpha: Literal["per_connection", "shared", "none"] = "per_connection",
        alpha_init: float = 0.1,
        eta_init: float = 0.1,
        eta: Literal["shared", "per_neuron"] = "shared",
        weight_init: float = 0.1,
        backend: str | None = None,
    ) -> None:
        n = check_integer("hidden_size", hidden_size, 1, MOST_UNITS)
        c = check_integer("controller_size", n if controller_size is None else controller_size, 1, MOST_UNITS)
        k = check_integer("key_size", n if key_size is None else key_size, 1, MOST_UNITS)
        check_choice("keys", keys, ("separate", "shared"))
        check_choice("alpha", alpha, ("per_connection", "shared", "none"))
        check_choice("eta", eta, ("shared", "per_neuron"))
        check_number("eta_init", eta_init, 0, 1)
        check_number("alpha_init", alpha_init, 0)
        check_number("weight_init", weight_init, 0)
        core = None if controller is None else make_layer("controller", controller, input_size, c)
        super().__init__(input_size, n + (0 if core is None else core.output_size))
        self.controller = core
        self.rule = get_rule(rule)
        self.backend = check_backend(backend)
        plastic = alpha != "none"
        self.sizes = {"drive": n, "query": k, "key": k if plastic and keys == "separate" else 0}
        self.sizes["modulation"] = int(plastic and self.rule.is_modulated)
        self.input_map = nn.Linear(input_size + self.output_size - n, sum(self.sizes.values()))
        bound = weight_init / math.sqrt(k)
        self.weight = nn.Parameter(torch.empty(k, n).uniform_(-bound, bound))
        self.alpha: nn.Parameter | None = None
        self.eta: nn.Parameter | None = None
        self.rule_parameters = nn.ParameterDict()
        self.state_shapes = () if core is None else core.state_shapes
        self.n_controller_states = len(self.state_shapes)
        if not plastic:
            return
        self.alpha = nn.Parameter(torch.full((k, n) if alpha == "per_connection" else (), float(alpha_init)))
        if self.sizes["key"]:
            with torch.no_grad():
                for parameter in (self.input_map.weight, self.input_map.bias):
                    parameter[n + k : n + 2 * k] = parameter[n : n + k]
        self.eta = nn.Parameter(torch.full((n,) if eta == "per_neuron" else (), float(eta_init)))
        if not self.rule.is_modulated:
            self.rule_parameters.update(self.rule.make_parameters(n))
        self.state_shapes += ((1,),) * self.sizes["modulation"] + ((k, n),) * len(self.rule.traces)

    def extra_repr(self) -> str:
        """Return sizes, rule and alpha for `repr`."""
        alpha = None if self.alpha is None else tuple(self.alpha.shape)
        return f"{super().extra_repr()}, key_size={self.sizes['query']}, rule={self.rule.name!r}, alpha={alpha}"

    @property
    def rate(self) -> Tensor | None:
        """The plasticity rate kept in [0, 1]; its gradient is eta's own."""
        return None if self.eta is None else clamped_rate(self.eta)

    def forward(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Run the core over a sequence; see `RecurrentCore.forward`."""
        return self._run("__call__", plastic_scan, self.backend, inputs, state, episode_starts)

    @torch.no_grad()
    def step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step, the traces updated in place; see `RecurrentCore.step`."""
        return self._run("step", plastic_step, self.backend, inputs, state, episode_starts)

    def pure_step(self, inputs: Tensor, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        """Advance by one step for an export, with the backend that is plain PyTorch; see `RecurrentCore.pure_step`."""

        def scan_one(
            drive: Tensor, weight: Any, alpha: Any, rate: Any, state: State, starts: Tensor, **how: Any
        ) -> tuple[Tensor, State]:
            how = {name: x.unsqueeze(0) if isinstance(x, Tensor) else x for name, x in how.items()}
            outputs, state = plastic_scan(
                drive.unsqueeze(0), weight, alpha, rate, state, starts.unsqueeze(0), **how
            )
            return outputs[0], state

        return self._run("pure_step", scan_one, "reference", inputs, state, episode_starts)

    def _run(
        self, method: str, scan: Callable, backend: str | None, inputs: Tensor, state: State, episode_starts: Tensor
    ) -> tuple[Tensor, State]:
        """Run the controller with one of its methods, and the memory with a scan or a step."""
        own, seen, hidden = state[: self.n_controller_states], inputs, None
        if self.controller is not None:
            hidden, own = getattr(self.controller, method)(inputs, own, episode_starts)
            seen = torch.cat([inputs, hidden], -1)
        rate = None if self.eta is None else clamped_rate(self.eta)
        n, n_signals = self.sizes["drive"], self.sizes["modulation"]
        mapped = self.input_map(seen)
        drive = mapped[..., :n]
        query, key, signal = torch.tanh(mapped[..., n:]).split(list(self.sizes.values())[1:], -1)
        parameters = dict(self.rule_parameters.items())
        if n_signals and not self.rule.uses_eta:
            assert rate is not None
            parameters, rate = {"fan_out": rate.expand(n)}, None
        content, traces = scan(
            drive, self.weight, self.alpha, rate, state[self.n_controller_states + n_signals :], episode_starts,
            rule=self.rule, parameters=parameters, backend=backend, query=query,
            key=key if self.sizes["key"] else None,
            modulation=signal.squeeze(-1) if n_signals else None,
        )  # fmt: skip
        last = signal[-1] if signal.dim() == 3 else signal
        outputs = content if hidden is None else torch.cat([content, hidden], -1)
        return outputs, (*own, *((last.clone(),) if n_signals else ()), *traces)

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the rule's traces by name, (B, K, N) each."""
        if self.alpha is None:
            return {}
        return dict(zip(self.rule.traces, state[self.n_controller_states + self.sizes["modulation"] :], strict=True))

    def modulation(self, state: State) -> Tensor | None:
        """Return M(t), (B,), of the step that led to a state; None where the rule has none."""
        return state[self.n_controller_states][:, 0].detach() if self.sizes["modulation"] else None
