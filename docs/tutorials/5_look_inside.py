"""
5. Look inside a memory: trace, eta and alpha
=============================================

What does a plastic network remember, and where? This tutorial trains the network of Miconi, Clune & Stanley (2018)
to recall patterns, draws its trace in the course of one episode, and takes the trace away.
"""

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch

from plastic_rl import PlasticBPTT
from plastic_rl.envs import score

torch.set_num_threads(1)

# %%
# Train
# -----
# The task shows two patterns of 20 bits for three steps each. Then it shows one of them with half of its bits hidden.
# The core ``associative`` has one neuron for each bit, and one bias neuron. The neurons are the answer.

N_BITS = 20
TASK = "plastic_rl/PatternRecall-v0"
arguments = dict(
    n_bits=N_BITS,
    n_patterns=2,
    presentation_steps=3,
    blank_steps=2,
    query_steps=3,
    settling_steps=2,
)
envs = gym.make_vec(TASK, num_envs=16, autoreset_mode="SameStep", **arguments)
model = PlasticBPTT(
    "MlpPolicy",
    envs,
    learning_rate=3e-3,
    seed=0,
    device="cpu",
    policy_kwargs=dict(
        core="associative",
        core_kwargs=dict(n_elements=N_BITS, weight_init=0.001, rule="oja"),
        readout=5.0,
    ),
)
model.learn(70_000)

# %%
# The trained parameters
# ----------------------
# ``plasticity()`` returns the fixed weights, the plasticity coefficients and the plasticity rate of any core.

core = model.policy.core
for name, value in core.plasticity().items():
    print(f"{name}: shape {tuple(value.shape)}, mean size {value.abs().mean():.3f}")

# %%
# The patterns are new in every episode, so fixed weights cannot help: all memory is in the trace.
# ``alpha`` says how much each connection uses its trace. Here nearly all connections between bits use it.
#
# One episode
# -----------
# ``core.traces(state)`` names the parts of a state that are traces. ``predict`` returns the state after each step.

env = gym.make(TASK, **arguments)
observation, info = env.reset(seed=3)
state, terminated, traces, shown = None, False, [], []
while not terminated:
    action, state = model.predict(observation, state, deterministic=True)
    tensors = tuple(torch.as_tensor(part) for part in state)
    traces.append(next(iter(core.traces(tensors).values()))[0].numpy())
    shown.append(observation[:N_BITS])
    observation, reward, terminated, truncated, info = env.step(action)

steps = [0, 3, 7, len(traces) - 1]
figure, axes = plt.subplots(2, len(steps), figsize=(8, 3), height_ratios=[1, 6])
largest = np.abs(traces).max()
for column, step in enumerate(steps):
    axes[0, column].imshow(shown[step][None], cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes[1, column].imshow(traces[step], cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes[0, column].set_title(f"step {step + 1}")
for axis in axes.flat:
    axis.set_xticks([])
    axis.set_yticks([])
axes[0, 0].set_ylabel("input")
axes[1, 0].set_ylabel("trace")

# %%
# The trace is empty at first. Then it takes the form of an outer product: a checkered square that says which bits of
# the pattern are alike. With the second pattern it becomes the sum of two such squares. That is a Hopfield network,
# written within one episode.
#
# Ablate the trace
# ----------------
# To find out what the trace is worth, set it to zero before every step.


def mean_score(erase_trace: bool, episodes: int = 64) -> float:
    """Return the normalized score with or without the trace."""
    batch = gym.make_vec(TASK, num_envs=episodes, **arguments)
    observations, _ = batch.reset(seed=100)
    state, earned, done = None, np.zeros(episodes), False
    while not done:
        actions, state = model.predict(observations, state, deterministic=True)
        if erase_trace:
            state = (state[0], *(np.zeros_like(trace) for trace in state[1:]))
        observations, rewards, terminated, _, _ = batch.step(actions)
        earned += rewards
        done = terminated.all()
    return score(TASK, earned.mean(), **arguments)


print(f"score with the trace {mean_score(False):.2f}, without it {mean_score(True):.2f}")

# %%
# With a run folder of ``plastic-rl train`` the commands do the same for any task and core:
#
# .. code-block:: bash
#
#     plastic-rl watch RUN                      # one episode as a film
#     plastic-rl evaluate RUN --ablate trace    # the score without the trace
#     tensorboard --logdir runs/tb              # eta, alpha and the trace during training
