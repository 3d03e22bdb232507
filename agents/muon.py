"""An optimizer for convolutions: momentum whose directions all count alike."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Three quintics, from the largest slope at zero on, and what a momentum is divided by against a division by zero.
COEFFICIENTS, STEPS, EPSILON = (3.4445, -4.7750, 2.0315), 5, 1e-7


class Muon(torch.optim.Adam):
    """Muon for the kernels of convolutions, and Adam for all other parameters.

    A kernel, as a matrix M with a row for each filter, is moved along the orthogonal factor of its momentum: with
    M = U S V', along U V', so that rare directions are learned as fast as frequent ones. The step's root mean square is
    0.2 of the learning rate, about that of Adam's, so that both share a rate.

    `torch.optim.Muon` is the same for matrices alone, and computes in bfloat16, which few processors do.

    Args:
        params: parameters, or groups of them; those with four dimensions are kernels.
        lr: learning rate of both.
        momentum: of the kernels, in [0, 1), Nesterov's.
        **adam: further arguments of `torch.optim.Adam`.

    Raises:
        ValueError: an argument is out of its range; the message names it.

    Source: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".

    Example:
        >>> import torch
        >>> from plastic_rl import Muon
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
        >>> optimizer = Muon(network.parameters(), lr=1e-3)
        >>> network(torch.ones(4, 1, 3, 3)).sum().backward()
        >>> optimizer.step()
    """

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.95, **adam: Any) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {momentum}")
        super().__init__(params, lr=lr, **adam)
        self.defaults["momentum"] = momentum
        for group in self.param_groups:  # where it is saved and copied, as Adam's own settings are
            group.setdefault("momentum", momentum)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; `closure`, if given, computes the loss and the gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        everything = [(group, p) for group in self.param_groups for p in group["params"]]
        kernels = [(group, p, p.grad) for group, p in everything if p.dim() == 4 and p.grad is not None]
        for _, kernel, _ in kernels:  # Adam passes over them
            kernel.grad = None
        super().step()
        for group, kernel, gradient in kernels:
            kernel.grad = gradient
            state = self.state[kernel]
            if not state:
                state["step"] = torch.zeros(())  # Adam wants one of every parameter when it is loaded
                state["momentum"] = torch.zeros_like(kernel)
            momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
            matrix = torch.lerp(gradient, momentum, group["momentum"]).flatten(1)
            direction = orthogonal_factor(matrix).reshape(kernel.shape)
            kernel.add_(direction, alpha=-0.2 * math.sqrt(max(matrix.shape)) * group["lr"])
        return loss


def orthogonal_factor(matrix: Tensor) -> Tensor:
    """Return about U V' of a matrix U S V': with singular values from about 0.7 to 1.2 in place of its own.

    Source: Jordan et al. (2024): five steps of a quintic Newton-Schulz iteration.
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / wide.norm().clamp(min=EPSILON)
    for _ in range(STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide is matrix else x.T
