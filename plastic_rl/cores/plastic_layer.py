"""The paper's one-shot network: a feed-forward plastic layer from features to classes, clamped by the label."""

from typing import Literal

import torch
from torch import Tensor, nn

from plastic_rl.cores.base import State, clamped_rate
from plastic_rl.cores.labelled import LabelledCore
from plastic_rl.ops import Rule, get_rule


class PlasticLayer(LabelledCore):
    """A layer from features to classes whose connections are written while a label is shown.

        a_j(t) = sum_i f_i(t) * (w_ij + alpha_ij * Hebb_ij(t)) + gain * label_j(t)
        y(t) = softmax(a(t))
        Hebb(t+1) = rule(Hebb(t), f(t), y(t))          where a label is shown

    with f(t) the features and label(t) one-hot, or zero on a query. Its output is a(t), the classes' logits: give it to
    the policy as it is (`readout="identity"`). Its state is the trace alone.

    Args:
        input_size: I, features and label.
        n_classes: how many of the features, at the end of the first `input_size - n_unused`, are the label.
        n_unused: how many features after the label are left out, such as a query flag.
        writes: whether the trace is written `"labelled"` only, or `"always"`, from a query and its answer, too. In the
            paper an episode ends with its only query, and both are the same; with more queries, `"labelled"`
            makes each of them count as if it were the only one.
        rule: `"oja"`, `"decay"`, or a `Rule` of one trace that needs no parameters.
        weight: whether there are fixed weights w; the published program of the paper has none here.
        alpha_init: initial alpha of every connection: at first, all features vote alike for all classes.
        eta_init: initial plasticity rate, in [0, 1].
        gain: how strongly a label clamps.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Miconi, Clune & Stanley (2018), section 4.5.

    Example:
        >>> import torch
        >>> from plastic_rl import make_core
        >>> core = make_core("plastic_layer", input_size=64 + 5, n_classes=5, n_unused=0)
        >>> features, label = torch.randn(10, 4, 64), torch.zeros(10, 4, 5)
        >>> label[range(5), :, range(5)] = 1  # five steps with a label each, then five queries
        >>> logits, state = core(torch.cat([features, label], dim=2))
        >>> logits.shape
        torch.Size([10, 4, 5])
    """

    def __init__(
        self,
        input_size: int,
        n_classes: int = 5,
        n_unused: int = 1,
        writes: Literal["labelled", "always"] = "labelled",
        rule: str | Rule = "oja",
        weight: bool = False,
        alpha_init: float = 1.0,
        eta_init: float = 0.3,
        gain: float = 1000.0,
    ) -> None:
        super().__init__(input_size, n_classes, n_unused)
        if not 0 <= eta_init <= 1:
            raise ValueError(f"eta_init must be a rate in [0, 1], not {eta_init}")
        if writes not in ("labelled", "always"):
            raise ValueError(f"writes must be 'labelled' or 'always', not {writes!r}")
        self.rule, self.gain, self.writes = get_rule(rule), gain, writes
        if len(self.rule.traces) != 1 or self.rule.parameters:
            raise ValueError(f"rule must have one trace and no parameters, which {self.rule.name!r} has not")
        shape = (self.n_features, n_classes)
        self.alpha = nn.Parameter(torch.full(shape, float(alpha_init)))
        self.eta = nn.Parameter(torch.tensor(float(eta_init)))
        self.weight = nn.Parameter(0.01 * torch.randn(shape)) if weight else None
        self.state_shapes = (shape,)

    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see `LoopCore.advance`."""
        features, labels = self._split(inputs)
        rate = clamped_rate(self.eta)
        connections = self.alpha * state[0]
        if self.weight is not None:
            connections = connections + self.weight
        activity = torch.bmm(features.unsqueeze(1), connections).squeeze(1) + self.gain * labels
        (trace,) = self.rule.step(state, features, torch.softmax(activity, dim=1), rate, {})
        if self.writes == "labelled":
            trace = torch.where(labels.any(dim=1)[:, None, None], trace, state[0])
        return activity, (trace,)

    def traces(self, state: State) -> dict[str, Tensor]:
        """Return the trace, (B, features, classes)."""
        return {"trace": state[0]}
