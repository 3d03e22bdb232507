"""Norms of the gradients of groups of parameters, as training computes them."""

from collections import defaultdict

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


class GradientNorms:
    """Watches the gradients of a policy's parameters, before they are clipped.

    A group is one of the core's parameters or submodules (`core.weight`, `core.alpha`, `core.input_map`), or another
    part of the policy (`action_net`, `value_net`).

    Args:
        policy: whose `named_parameters` are watched, until `close`; frozen ones from when they are trained.
    """

    def __init__(self, policy: nn.Module) -> None:
        self._policy = policy
        self._squares: dict[str, dict[str, list[torch.Tensor]]] = defaultdict(lambda: defaultdict(list))
        self._handles: dict[str, RemovableHandle] = {}
        self._watch()

    def _watch(self) -> None:
        for name, parameter in self._policy.named_parameters():
            if name in self._handles or not parameter.requires_grad:
                continue
            parts = name.split(".")
            group = ".".join(parts[:2]) if parts[0] == "core" else parts[0]
            squares = self._squares[group][name]

            def remember(parameter: torch.Tensor, squares: list[torch.Tensor] = squares) -> None:
                if parameter.grad is not None:
                    squares.append(parameter.grad.detach().square().sum())

            self._handles[name] = parameter.register_post_accumulate_grad_hook(remember)

    def take(self) -> dict[str, float]:
        """Return each group's norm, root mean square over the backward passes since the last call, and forget them."""
        norms = {}
        for group, parameters in self._squares.items():
            means = [torch.stack(squares).mean() for squares in parameters.values() if squares]
            if means:
                norms[group] = torch.stack(means).sum().sqrt().item()
            for squares in parameters.values():
                squares.clear()
        self._watch()
        return norms

    def close(self) -> None:
        """Stop watching."""
        for handle in self._handles.values():
            handle.remove()
