"""A layer's parameters inside the fused kernels: what each rule makes of them for a step, and its adjoint."""

import math
from typing import Any, NamedTuple

from plastic_rl.ops.cpu.compiled import inner
from plastic_rl.ops.cpu.simd import fill, fma, lanes_of, load, store

DECAY, OJA, MODULATED = 0, 1, 2


class Layer(NamedTuple):
    """A layer's parameters as the kernels want them: matrices packed, vectors padded, what is missing zero."""

    weight: Any
    alpha: Any
    eta: Any
    modulation_weight: Any
    modulation_bias: Any
    fan_out: Any
    gain: Any
    bias: Any


class Gradients(NamedTuple):
    """The gradients that a job sums over its samples, in the form of `Layer`."""

    weight: Any
    alpha: Any
    eta: Any
    modulation_weight: Any
    modulation_bias: Any
    fan_out: Any
    gain: Any
    bias: Any


@inner
def modulation(layer, post):
    """Return M(t) = tanh(post . modulation_weight + modulation_bias)."""
    received = layer.modulation_bias[0]
    for j in range(post.size):
        received += post[j] * layer.modulation_weight[j]
    return post.dtype.type(math.tanh(received))


@inner
def coefficients(rule, layer, post, keep, write):
    """Write the step's `keep` and `write`: trace <- keep[j] * trace + pre[i] * write[j]."""
    one = fill(post, 1.0)
    signal = fill(post, modulation(layer, post) if rule == MODULATED else 0.0)
    for j in range(0, post.size, lanes_of(post)):
        x, eta = load(post, j), load(layer.eta, j)
        if rule == DECAY:
            store(keep, j, one - eta)
            store(write, j, eta * x)
        elif rule == OJA:
            store(keep, j, one - eta * x * x)
            store(write, j, eta * x)
        else:
            store(keep, j, one)
            store(write, j, signal * load(layer.fan_out, j) * x)


@inner
def coefficients_backward(rule, layer, post, write_sum, keep_sum, gradient, gradients):
    """Add to `gradient`, that of the activity, and to the layer's, given those of `write` and `keep`."""
    two = fill(post, 2.0)
    for j in range(0, post.size, lanes_of(post)):
        x, eta, u, c = load(post, j), load(layer.eta, j), load(write_sum, j), load(keep_sum, j)
        if rule == DECAY:
            store(gradient, j, fma(eta, u, load(gradient, j)))
            store(gradients.eta, j, load(gradients.eta, j) + (x * u - c))
        elif rule == OJA:
            store(gradient, j, fma(eta, u - two * x * c, load(gradient, j)))
            store(gradients.eta, j, fma(x, u - x * c, load(gradients.eta, j)))
    if rule == MODULATED:
        modulated_backward(layer, post, write_sum, gradient, gradients)


@inner
def modulated_backward(layer, post, write_sum, gradient, gradients):
    """Do `coefficients_backward` for write[j] = M(t) * fan_out[j] * post[j]."""
    signal, signal_gradient = modulation(layer, post), post.dtype.type(0)
    for j in range(post.size):
        signal_gradient += write_sum[j] * layer.fan_out[j] * post[j]
        gradients.fan_out[j] += write_sum[j] * signal * post[j]
        gradient[j] += write_sum[j] * signal * layer.fan_out[j]
    modulation_backward(layer, post, signal, signal_gradient, gradient, gradients)


@inner
def modulation_backward(layer, post, signal, signal_gradient, gradient, gradients):
    """Add the gradients of M(t)'s parameters and of the activity it is computed from."""
    received = signal_gradient * (post.dtype.type(1) - signal * signal)
    gradients.modulation_bias[0] += received
    for j in range(post.size):
        gradients.modulation_weight[j] += received * post[j]
        gradient[j] += received * layer.modulation_weight[j]


@inner
def gradients_of(gradients, job):
    """Return one job's share."""
    return Gradients(
        gradients.weight[job],
        gradients.alpha[job],
        gradients.eta[job],
        gradients.modulation_weight[job],
        gradients.modulation_bias[job],
        gradients.fan_out[job],
        gradients.gain[job],
        gradients.bias[job],
    )


@inner
def through_tanh(gradient, post, delta):
    """Write the gradient of what the neurons received, given that of post = tanh(received)."""
    one = fill(post, 1.0)
    for j in range(0, post.size, lanes_of(post)):
        x = load(post, j)
        store(delta, j, load(gradient, j) * (one - x * x))
