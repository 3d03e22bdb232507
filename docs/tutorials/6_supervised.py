"""
6. Plasticity without RL: a supervised loop
===========================================

The cores are PyTorch modules. Use them in any training loop, as you use ``torch.nn.LSTM``.
This tutorial trains three of them to remember pairs of keys and values, and needs no environment.
"""

import time

import matplotlib.pyplot as plt
import torch
from torch import nn

from plastic_rl import make_core

torch.set_num_threads(1)

# %%
# The data
# --------
# A sequence shows some pairs of a key and a value, one a step. Then it shows one key again: what was its value?
# Keys are random vectors that are new in every sequence, so the network must store the pairs as it sees them.

N_PAIRS, KEY, N_VALUES, BATCH = 3, 8, 4, 64


def draw_batch():
    """Return inputs (T, B, I) and the right values (B,)."""
    keys = torch.randn(N_PAIRS, BATCH, KEY).sign()
    values = torch.randint(N_VALUES, (N_PAIRS, BATCH))
    inputs = torch.cat([keys, nn.functional.one_hot(values, N_VALUES).float()], 2)
    asked = torch.randint(N_PAIRS, (BATCH,))
    sequence = torch.arange(BATCH)
    question = torch.cat([keys[asked, sequence], torch.zeros(BATCH, N_VALUES)], 1)
    return torch.cat([inputs, question.unsqueeze(0)]), values[asked, sequence]


# %%
# The loop
# --------
# A core maps ``(T, B, I)`` to ``(T, B, O)``, and returns the state after the sequence. Two more arguments are optional:
# the state before the sequence, and flags that say where an episode starts.


def train(name, steps=400, **arguments):
    """Return the accuracies in the course of training."""
    torch.manual_seed(0)
    core = make_core(name, KEY + N_VALUES, **arguments)
    head = nn.Linear(core.output_size, N_VALUES)
    optimizer = torch.optim.Adam([*core.parameters(), *head.parameters()], lr=3e-3)
    accuracies = []
    for _ in range(steps):
        inputs, values = draw_batch()
        outputs, _ = core(inputs)
        logits = head(outputs[-1])
        loss = nn.functional.cross_entropy(logits, values)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*core.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        accuracies.append((logits.argmax(1) == values).float().mean().item())
    return accuracies


plt.figure(figsize=(6, 3.5))
for name, arguments in {
    "plastic_memory": dict(hidden_size=64),
    "gru": dict(hidden_size=64),
    "lstm": dict(hidden_size=64),
}.items():
    begin = time.perf_counter()
    accuracies = torch.tensor(train(name, **arguments))
    smooth = accuracies.unfold(0, 25, 1).mean(1)
    plt.plot(smooth, label=name)
    print(f"{name}: accuracy {smooth[-1]:.2f}, {time.perf_counter() - begin:.1f} s")
plt.axhline(1 / N_VALUES, color="gray", linewidth=0.8, linestyle=":", label="guess")
plt.xlabel("training step")
plt.ylabel("accuracy, mean over 25 steps")
plt.legend()
plt.tight_layout()

# %%
# Long sequences
# --------------
# Backpropagation through time keeps a state for each step. The trace of a step has ``B * N * N`` numbers, which is much
# for long sequences. ``plastic_scan``, which the plastic cores use, stores a few states only and computes the others
# again in the backward pass. So memory grows with the square root of the length.
#
# To train on a stream, cut it, and detach the state between the cuts:

core = make_core("plastic", 5, hidden_size=32)
state = None
for _ in range(3):
    segment = torch.randn(50, 1, 5)
    outputs, state = core(segment, state)
    outputs.square().mean().backward()
    state = tuple(part.detach() for part in state)
print([tuple(part.shape) for part in state])
