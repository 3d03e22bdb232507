"""
7. For neuroscientists: what maps to what
=========================================

The networks of this package are rate models with two kinds of learning at two time scales.
Gradient descent stands for evolution and development. Synaptic plasticity within an episode stands for learning.

.. list-table::
   :header-rows: 1

   * - in neuroscience
     - here
     - in the code
   * - firing rate of a neuron
     - activity x_j(t), from -1 to 1
     - ``state[0]``, the output of ``PlasticCore``
   * - innate synaptic strength
     - fixed weight w_ij, trained across episodes
     - ``weight``
   * - change of a synapse by experience
     - trace Hebb_ij(t), zero when an episode starts
     - ``core.traces(state)``
   * - how plastic a synapse is
     - plasticity coefficient alpha_ij, trained
     - ``alpha``
   * - rate of synaptic change
     - plasticity rate eta, trained
     - ``eta``
   * - Hebbian learning with forgetting
     - rule ``decay``
     - ``PlasticCore(rule="decay")``
   * - Hebbian learning with normalization
     - Oja's rule
     - ``PlasticCore(rule="oja")``
   * - neuromodulation (dopamine) of plasticity
     - M(t), an output of the network, gates the change
     - ``core="neuromodulated"``
   * - eligibility trace and delayed reward
     - a second trace that M(t) writes into the first
     - ``core="retroactive"``
   * - facilitation and depression at short term
     - short-term plasticity neurons
     - ``core="stpn"``
   * - prefrontal working memory, gated
     - activity of a gated network
     - ``core="gru"``, ``core="lstm"``
   * - hippocampal index: query and key
     - fast weights with keys and queries
     - ``core="plastic_memory"``, ``core="delta"``
   * - trial, session
     - step or phase of an episode, episode
     - ``episode_steps``, ``episode_start``

What it is not: there are no spikes, no Dale's law, and backpropagation through time trains the slow parameters.
"""

# %%
# A synapse in a dish
# -------------------
# ``plastic_scan`` runs a layer without any task. Here two neurons get current pulses, as in a pairing protocol.
# The trace of the connection from the first to the second is the synaptic change.

import matplotlib.pyplot as plt
import torch

from plastic_rl.ops import plastic_scan

T = 120
drive = torch.zeros(T, 1, 2)
for start in (10, 30, 50):  # three pairings: the presynaptic neuron, a step later the other one
    drive[start : start + 4, 0, 0] = 2.0
    drive[start + 1 : start + 5, 0, 1] = 2.0
drive[90:94, 0, 0] = 2.0  # later the presynaptic neuron alone


def trace_of_synapse(rule, eta):
    """Return the trace of the connection from neuron 0 to neuron 1 after every step."""
    state = (torch.zeros(1, 2), torch.zeros(1, 2, 2))
    silent, start = torch.zeros(2, 2), torch.zeros(1, 1, dtype=torch.bool)
    rate = torch.tensor(eta)
    values = []
    for now in drive.split(1):  # weight and alpha are zero: the synapse does not act
        _, state = plastic_scan(now, silent, silent, rate, state, start, rule=rule)
        values.append(state[1][0, 0, 1].item())
    return values


figure, (above, below) = plt.subplots(2, 1, figsize=(7, 4), sharex=True, height_ratios=[1, 2])
above.plot(drive[:, 0, 0], label="presynaptic")
above.plot(drive[:, 0, 1], label="postsynaptic")
above.set_ylabel("current")
above.legend(loc="upper right")
for rule in ("decay", "oja"):
    below.plot(trace_of_synapse(rule, 0.05), label=rule)
below.set_xlabel("time step")
below.set_ylabel("trace")
below.legend(loc="upper left")

# %%
# With the decay rule the trace fades with time.
# With Oja's rule it changes only while the postsynaptic neuron is active: a memory lasts until it is overwritten.
#
# Gated plasticity
# ----------------
# With the neuromodulated rule the network decides when to learn.
# M(t) is computed from the activity of the layer; here neuron 2 alone releases the modulator.

drive = torch.zeros(T, 1, 3)
drive[:, 0, :2] = torch.tensor([1.5, 1.5])  # both neurons are active all the time
drive[40:60, 0, 2] = 3.0  # the modulator is there for a while
drive[80:100, 0, 2] = -3.0  # and later its opposite
state = (torch.zeros(1, 3), torch.zeros(1, 3, 3))
release = torch.tensor([0.0, 0.0, 0.1])
parameters = {"modulation_weight": release, "modulation_bias": torch.tensor(0.0)}
silent, start = torch.zeros(3, 3), torch.zeros(1, 1, dtype=torch.bool)
trace, modulation = [], []
for now in drive.split(1):
    activity, state = plastic_scan(
        now, silent, silent, None, state, start, rule="neuromodulated", parameters=parameters
    )
    trace.append(state[1][0, 0, 1].item())
    modulation.append(torch.tanh(activity[0, 0] @ release).item())

plt.figure(figsize=(7, 3))
plt.plot(modulation, label="modulation M(t)")
plt.plot(trace, label="trace")
plt.xlabel("time step")
plt.legend()
plt.tight_layout()

# %%
# Tasks from the laboratory
# -------------------------
# Most tasks of this package have a relative in the laboratory:
#
# .. list-table::
#    :header-rows: 1
#
#    * - task
#      - in the laboratory
#    * - ``Maze-v0``
#      - Morris water maze: find a hidden place, then return to it
#    * - ``ColourBandit-v0``
#      - two-armed bandit with stimuli, probabilistic side
#    * - ``CueReward-v0``
#      - cue-reward association by elimination
#    * - ``PatternRecall-v0``, ``ImageRecall-v0``
#      - pattern completion
#    * - ``OneShot-v0``
#      - one-shot naming (fast mapping)
#
# `neurogym <https://github.com/neurogym/neurogym>`_ has many more. Version 2.3.1 asks for Gymnasium 0.29 and NumPy 2.2,
# and this package needs Gymnasium 1.1 or newer. So both cannot be installed into one environment today.
# Tutorial 2 shows how to bring a task over: write it as a Gymnasium environment, show the previous action and reward,
# and end the episode with ``terminated``.
