"""The smallest arguments of every core, for tests over all of them."""

from typing import Any


def small(core: str, hidden_size: int) -> dict[str, Any]:
    """Return the core's arguments; the paper's networks take their size from the task."""
    layers = ["rnn", "plastic", "neuromodulated"]
    stack = {"layers": [(layer, {"hidden_size": hidden_size}) for layer in layers]}
    own = {
        "stacked": stack,
        "repeated": {"layer": ("neuromodulated", {"hidden_size": hidden_size})},
        "associative": {},
        "delay_line": {"steps": 2},
        "prototypical": {"n_classes": 1, "n_unused": 0},
        "plastic_layer": {"n_classes": 1, "n_unused": 0, "weight": True, "gain": 1.0},
    }
    return own.get(core, {"hidden_size": hidden_size})
