"""
4. Your own plasticity rule and your own core
=============================================

A *rule* says how the trace of a connection changes in one time step. A *core* is the recurrent network of a policy.
Both are values that you pass in: nothing in this package needs to be edited.
"""

import torch
from torch import Tensor, nn

from plastic_rl import LoopCore, PlasticPPO, Rule, make_core, make_vec_env, register_core
from plastic_rl.cores import PlasticCore

torch.set_num_threads(1)
torch.manual_seed(0)

# %%
# A rule
# ------
# A rule is a pure function on tensors. It gets the traces, the activity before (``pre``) and after (``post``) the step,
# the plasticity rate ``eta``, and the rule's own parameters. It returns the new traces.
#
# This rule strengthens a connection when both neurons are active, and weakens it when only the first one is:
#
# ``Hebb(t+1) = Hebb(t) + eta * pre * (post - theta) * |post|``
#
# It is a simple relative of the BCM rule (Bienenstock, Cooper & Munro, 1982), with a clip against growth without bound.


def bcm_step(traces, pre, post, eta, parameters):
    (trace,) = traces  # (B, N, N), from presynaptic row to postsynaptic column
    change = pre.unsqueeze(2) * ((post - 0.2) * post.abs()).unsqueeze(1)
    return ((trace + eta * change).clamp(-1, 1),)


bcm = Rule("bcm", bcm_step)

# %%
# ``plastic_scan`` runs any rule over a whole sequence, and gradients flow through every step.
# Your own rule runs on the backend ``recompute``, which stores a few states only and computes the others again.

core = PlasticCore(input_size=3, hidden_size=8, rule=bcm)
inputs = torch.randn(20, 4, 3)  # time, batch, features
outputs, (activity, trace) = core(inputs)
outputs.square().mean().backward()
print("outputs", tuple(outputs.shape), "trace", tuple(trace.shape))
print(f"gradient of alpha {core.alpha.grad.norm():.1e}, and of eta {core.eta.grad:.1e}")

# %%
# A rule of your own is slower than a built-in one, which has a compiled kernel: ``plastic-rl benchmark`` measures it.
#
# A core
# ------
# For any other recurrent network, subclass ``LoopCore`` and implement one time step.
# This core keeps an exponential average of its inputs at several time scales.


class LeakyCore(LoopCore):
    """A bank of leaky integrators with trained time constants."""

    def __init__(self, input_size: int, hidden_size: int = 32) -> None:
        super().__init__(input_size, hidden_size)
        self.input_map = nn.Linear(input_size, hidden_size)
        self.decay = nn.Parameter(torch.linspace(-2, 4, hidden_size))
        self.state_shapes = ((hidden_size,),)  # what one episode remembers, without the batch

    def advance(self, inputs: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        (level,) = state
        keep = torch.sigmoid(self.decay)
        level = keep * level + (1 - keep) * torch.tanh(self.input_map(inputs))
        return level, (level,)


register_core("leaky", LeakyCore)
print(make_core("leaky", input_size=3))

# %%
# The state is an argument and a result; nothing that belongs to an episode is kept in the module.
# ``LoopCore`` zeroes the state where an episode starts, also in the middle of a sequence:

core = LeakyCore(3)
starts = torch.zeros(20, 4, dtype=torch.bool)
starts[10] = True
whole, _ = core(inputs, core.initial_state(4), starts)
second, _ = core(inputs[10:], core.initial_state(4), starts[10:])
torch.testing.assert_close(whole[10:], second)

# %%
# Train with them
# ---------------
# A policy takes a registered name, a class, or ``"module:Class"``.


class BCMCore(PlasticCore):
    """A plastic layer with the rule of this tutorial."""

    def __init__(self, input_size: int, hidden_size: int = 32) -> None:
        super().__init__(input_size, hidden_size, rule=bcm, alpha_init=0.1)


for core in ("leaky", BCMCore):
    envs = make_vec_env("plastic_rl/PatternRecall-v0", n_envs=32, seed=0)
    settings = dict(n_steps=6, gamma=0.0, seed=0, device="cpu")
    model = PlasticPPO("MlpPolicy", envs, **settings, policy_kwargs=dict(core=core))
    model.learn(2_000)
    print(type(model.policy.core).__name__, "trained for", model.num_timesteps, "steps")

# %%
# On the command line, name the module and the class. The module is a file in the folder where you are:
#
# .. code-block:: bash
#
#     plastic-rl train --env plastic_rl/ColourBandit-v0 -P --core my_module:BCMCore
