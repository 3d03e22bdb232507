"""Layer normalization inside the compiled kernels: what a sample's neurons receive at a step, and its adjoint.

    standard[j] = (received[j] - mean) / sqrt(variance + EPSILON)        normalized[j] = gain[j] * standard[j] + bias[j]

Vectors have N numbers here, without padding.
"""

import math

from plastic_rl.ops.cpu.compiled import summing
from plastic_rl.ops.reference import EPSILON


@summing
def standardize(received):
    """Standardise what the neurons received where it lies, and return 1 / sqrt(variance + EPSILON)."""
    real, n = received.dtype.type, received.dtype.type(received.size)
    mean = real(0)
    for j in range(received.size):
        mean += received[j]
    mean = mean / n
    variance = real(0)
    for j in range(received.size):
        received[j] -= mean
        variance += received[j] * received[j]
    scale = real(1 / math.sqrt(variance / n + EPSILON))
    for j in range(received.size):
        received[j] *= scale
    return scale


@summing
def normalize(received, gain, bias):
    """Normalize what the neurons received where it lies."""
    standardize(received)
    for j in range(received.size):
        received[j] = gain[j] * received[j] + bias[j]


@summing
def normalize_backward(received, gain, delta, standard, gain_gradient, bias_gradient):
    """Turn the gradient of what was normalized into that of what was received, in `delta`, and add gain's and bias's.

    `standard` is to work in.
    """
    for j in range(delta.size):
        standard[j] = received[j]
    scale = standardize(standard)
    real, n = delta.dtype.type, delta.dtype.type(delta.size)
    mean, slope = real(0), real(0)
    for j in range(delta.size):
        gain_gradient[j] += delta[j] * standard[j]
        bias_gradient[j] += delta[j]
        delta[j] *= gain[j]
        mean += delta[j]
        slope += delta[j] * standard[j]
    mean, slope = mean / n, slope / n
    for j in range(delta.size):
        delta[j] = scale * (delta[j] - mean - standard[j] * slope)
