"""A layer's parameters inside the fused kernels: what each rule makes of them for a step, and its adjoint.

Every rule writes its trace as `trace <- keep[j] * trace + key[i] * write[j]`; the retroactive rule writes its
eligibility so, and adds it to the trace with `gate[j]`. This file is the only one of the CPU's that knows the rules.
"""

import math
from typing import Any, NamedTuple

from plastic_rl.ops.cpu.compiled import inner
from plastic_rl.ops.cpu.simd import fill, fma, lanes_of, load, store, total
from plastic_rl.ops.rules import NEUROMODULATED, OJA, RETROACTIVE


class Layer(NamedTuple):
    """A layer's parameters, or their gradients, as the kernels want them: matrices packed, vectors padded.

    What a layer does not have is zero.
    """

    weight: Any
    alpha: Any
    eta: Any
    modulation_weight: Any
    modulation_bias: Any
    fan_out: Any
    gain: Any
    bias: Any


@inner
def modulation(rule, layer, post):
    """Return M(t) = tanh(post . modulation_weight + modulation_bias), or 0 for a rule without."""
    received = layer.modulation_bias[0]
    if rule not in (NEUROMODULATED, RETROACTIVE):
        return post.dtype.type(0)
    for j in range(post.size):
        received += post[j] * layer.modulation_weight[j]
    return post.dtype.type(math.tanh(received))


@inner
def modulation_backward(layer, post, signal, signal_gradient, gradient, gradients):
    """Add the gradients of M(t)'s parameters and of the activity it is computed from."""
    received = signal_gradient * (post.dtype.type(1) - signal * signal)
    gradients.modulation_bias[0] += received
    for j in range(post.size):
        gradients.modulation_weight[j] += received * post[j]
        gradient[j] += received * layer.modulation_weight[j]


@inner
def coefficients(rule, eta, fan_out, signal, post, keep, write, gate):
    """Write the step's `keep`, `write` and `gate`, given its activity and M(t)."""
    one, m = fill(post, 1.0), fill(post, signal)
    for j in range(0, post.size, lanes_of(post)):
        x, e, f = load(post, j), load(eta, j), load(fan_out, j)
        if rule == OJA:
            store(keep, j, one - e * x * x)
            store(write, j, e * x)
        elif rule == NEUROMODULATED:
            store(keep, j, one)
            store(write, j, m * f * x)
        else:  # decay, and the eligibility of the retroactive rule
            store(keep, j, one - e)
            store(write, j, e * x)
        if rule == RETROACTIVE:
            store(gate, j, m * f)


@inner
def coefficients_backward(
    rule, eta, fan_out, signal, post, keep_sum, write_sum, gate_sum, gradient, eta_gradient, fan_out_gradient
):
    """Take the gradients of `keep`, `write` and `gate` back to the activity, the rates and M(t).

    Returns:
        The gradient of M(t); those of the others are added.
    """
    two, m, signal_sum = fill(post, 2.0), fill(post, signal), fill(post, 0.0)
    for j in range(0, post.size, lanes_of(post)):
        x, e, f, u = load(post, j), load(eta, j), load(fan_out, j), load(write_sum, j)
        if rule == NEUROMODULATED:
            store(gradient, j, fma(m * f, u, load(gradient, j)))
            store(fan_out_gradient, j, fma(m * x, u, load(fan_out_gradient, j)))
            signal_sum = fma(f * x, u, signal_sum)
            continue
        c = load(keep_sum, j)
        if rule == OJA:
            store(gradient, j, fma(e, u - two * x * c, load(gradient, j)))
            store(eta_gradient, j, fma(x, u - x * c, load(eta_gradient, j)))
        else:
            store(gradient, j, fma(e, u, load(gradient, j)))
            store(eta_gradient, j, load(eta_gradient, j) + (x * u - c))
        if rule == RETROACTIVE:
            g = load(gate_sum, j)
            store(fan_out_gradient, j, fma(m, g, load(fan_out_gradient, j)))
            signal_sum = fma(f, g, signal_sum)
    return total(signal_sum)


@inner
def layer_coefficients(rule, layer, post, keep, write, gate):
    """Do `coefficients` for a layer that computes M(t) itself."""
    coefficients(rule, layer.eta, layer.fan_out, modulation(rule, layer, post), post, keep, write, gate)


@inner
def layer_coefficients_backward(rule, layer, post, keep_sum, write_sum, gate_sum, gradient, gradients):
    """Do `coefficients_backward` for a layer that computes M(t) itself."""
    signal = modulation(rule, layer, post)
    signal_gradient = coefficients_backward(
        rule, layer.eta, layer.fan_out, signal, post, keep_sum, write_sum, gate_sum, gradient, gradients.eta,
        gradients.fan_out,
    )  # fmt: skip
    if rule in (NEUROMODULATED, RETROACTIVE):
        modulation_backward(layer, post, signal, signal_gradient, gradient, gradients)


@inner
def through_tanh(gradient, post, delta):
    """Write the gradient of what the neurons received, given that of post = tanh(received)."""
    one = fill(post, 1.0)
    for j in range(0, post.size, lanes_of(post)):
        x = load(post, j)
        store(delta, j, load(gradient, j) * (one - x * x))
