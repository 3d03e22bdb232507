"""What the fused scan of a memory layer keeps for the backward grows with the root of the sequence's length."""

import math

import pytest
import torch
from test_query import make_memory

from plastic_rl.ops import RULES, plastic_scan


def saved_traces(rule, T):
    """Return how many numbers autograd keeps beside the sequences themselves."""
    layer = make_memory(rule, T, 1, 8, 16, dtype=torch.float32)
    saved = {}

    def keep(tensor):
        if tensor.numel() and tensor.dim() > 3:
            saved[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        plastic_scan(**layer, backend="numba")
    return sum(saved.values())


@pytest.mark.parametrize("rule", RULES)
def test_checkpoints_grow_no_faster_than_the_root_of_the_length(rule):
    short, long = saved_traces(rule, 64), saved_traces(rule, 1024)
    assert short > 0
    assert math.log(long / short) / math.log(16) < 0.6
