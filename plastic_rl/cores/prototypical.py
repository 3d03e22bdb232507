"""A control without plasticity for one-shot classification: the nearest class mean."""

import torch
from torch import Tensor, nn

from plastic_rl.cores.base import State
from plastic_rl.cores.labelled import LabelledCore


class PrototypicalCore(LabelledCore):
    """Compares features with the mean of those that were shown with each label.

        a_j(t) = -scale * |f(t) - mean_j(t)|^2

    with f(t) the features and mean_j(t) their mean over the steps before at which label j was shown; zero before there
    is one. Its output is a(t), the classes' logits: give it to the policy as it is. Its state is the sum of the
    features of each class, and how many there were.

    Args:
        input_size: I, features and label.
        n_classes: how many of the features, at the end of the first `input_size - n_unused`, are the label.
        n_unused: how many features after the label are left out, such as a query flag.
        scale: initial scale, which is trained.

    Raises:
        ValueError: `n_classes` and `n_unused` leave no features, or `n_unused` is negative.

    Source: Snell, Swersky & Zemel (2017), "Prototypical networks for few-shot learning".

    Example:
        >>> import torch
        >>> from plastic_rl import make_core
        >>> core = make_core("prototypical", input_size=64 + 5, n_classes=5, n_unused=0)
        >>> features, label = torch.randn(10, 4, 64), torch.zeros(10, 4, 5)
        >>> label[range(5), :, range(5)] = 1  # five steps with a label each, then five queries
        >>> logits, state = core(torch.cat([features, label], dim=2))
        >>> logits.shape
        torch.Size([10, 4, 5])
    """

    def __init__(self, input_size: int, n_classes: int = 5, n_unused: int = 1, scale: float = 1.0) -> None:
        super().__init__(input_size, n_classes, n_unused)
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        self.state_shapes = ((n_classes, self.n_features), (n_classes,))

    def advance(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; see `LoopCore.advance`."""
        sums, counts = state
        features, labels = self._split(inputs)
        means = sums / counts.clamp(min=1).unsqueeze(2)
        distances = (features.unsqueeze(1) - means).square().sum(dim=2)
        sums = sums + labels.unsqueeze(2) * features.unsqueeze(1)
        return -self.scale * distances, (sums, counts + labels)
