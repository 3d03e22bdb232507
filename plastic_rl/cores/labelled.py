"""What the cores for one-shot classification share: features, and a label while one is shown."""

from torch import Tensor

from plastic_rl.arguments import check_integer
from plastic_rl.cores.loop import LoopCore


class LabelledCore(LoopCore):
    """A core from features to the logits of classes, whose input holds a label, one-hot, or zero on a query.

    Args:
        input_size: I, features and label.
        n_classes: how many of the features, at the end of the first `input_size - n_unused`, are the label.
        n_unused: how many features after the label are left out, such as a query flag.

    Raises:
        ValueError: `n_classes` and `n_unused` leave no features, or `n_unused` is negative.
    """

    def __init__(self, input_size: int, n_classes: int, n_unused: int) -> None:
        super().__init__(input_size, n_classes)
        self.n_features = input_size - n_classes - check_integer("n_unused", n_unused, 0)
        if self.n_features < 1:
            raise ValueError(f"n_classes={n_classes} and n_unused={n_unused} leave none of the {input_size} features")

    def _split(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features, (B, n_features), and the label, (B, n_classes), of inputs (B, I)."""
        return inputs[:, : self.n_features], inputs[:, self.n_features :][:, : self.output_size]
