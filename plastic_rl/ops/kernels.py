"""The fused scan of the rules with one trace: sample by sample, time inside, the trace in the core's own cache.

Each kernel takes the samples `thread`, `thread + n_threads`, ... of a batch. Vectors of N numbers are padded with zeros
to `columns`; matrices are packed (`sweeps`).
"""

import math
from typing import NamedTuple

import numpy as np

from plastic_rl.ops.compiled import inner, kernel
from plastic_rl.ops.simd import lanes_of
from plastic_rl.ops.sweeps import ROWS, advance, begin_retreat, rebuild, retreat, squash

DECAY, OJA, MODULATED = 0, 1, 2
FORWARD_VECTORS = 5
BACKWARD_VECTORS = 5


class Layer(NamedTuple):
    """A layer's parameters as the kernels want them: matrices packed, vectors padded, what is missing zero."""

    weight: np.ndarray
    alpha: np.ndarray
    eta: np.ndarray
    modulation_weight: np.ndarray
    modulation_bias: np.ndarray
    fan_out: np.ndarray


class Gradients(NamedTuple):
    """The gradients that a thread sums over its samples, in the form of `Layer`."""

    alpha: np.ndarray
    eta: np.ndarray
    modulation_weight: np.ndarray
    modulation_bias: np.ndarray
    fan_out: np.ndarray


@inner
def modulation(layer, post):
    """Return M(t) = tanh(post . modulation_weight + modulation_bias)."""
    signal = layer.modulation_bias[0]
    for j in range(post.size):
        signal += post[j] * layer.modulation_weight[j]
    return math.tanh(signal)


@inner
def coefficients(rule, layer, post, keep, write):
    """Write the step's `keep` and `write`: trace <- keep[j] * trace + pre[i] * write[j]."""
    eta = layer.eta
    if rule == DECAY:
        for j in range(post.size):
            keep[j] = 1 - eta[j]
            write[j] = eta[j] * post[j]
    elif rule == OJA:
        for j in range(post.size):
            keep[j] = 1 - eta[j] * post[j] * post[j]
            write[j] = eta[j] * post[j]
    else:
        signal = modulation(layer, post)
        for j in range(post.size):
            keep[j] = 1
            write[j] = signal * layer.fan_out[j] * post[j]


@inner
def coefficients_backward(rule, layer, post, write_sum, keep_sum, gradient, gradients):
    """Add to `gradient`, that of the activity, and to the layer's, given those of `write` and `keep`."""
    eta = layer.eta
    if rule == DECAY:
        for j in range(post.size):
            gradient[j] += eta[j] * write_sum[j]
            gradients.eta[j] += post[j] * write_sum[j] - keep_sum[j]
    elif rule == OJA:
        for j in range(post.size):
            gradient[j] += eta[j] * (write_sum[j] - 2 * post[j] * keep_sum[j])
            gradients.eta[j] += post[j] * (write_sum[j] - post[j] * keep_sum[j])
    else:
        signal = modulation(layer, post)
        signal_gradient = write_sum[0] * 0
        for j in range(post.size):
            written = layer.fan_out[j] * post[j]
            signal_gradient += write_sum[j] * written
            gradients.fan_out[j] += write_sum[j] * signal * post[j]
            gradient[j] += write_sum[j] * signal * layer.fan_out[j]
        modulation_backward(layer, post, signal, signal_gradient, gradient, gradients)


@inner
def modulation_backward(layer, post, signal, signal_gradient, gradient, gradients):
    """Add the gradients of M(t)'s parameters and of the activity it is computed from."""
    received = signal_gradient * (1 - signal * signal)
    gradients.modulation_bias[0] += received
    for j in range(post.size):
        gradients.modulation_weight[j] += received * post[j]
        gradient[j] += received * layer.modulation_weight[j]


@kernel
def forward(
    drive, starts, first, traces, layer, rule, limit, activity, checkpoints, every, vectors, thread, n_threads
):
    """Run the scan, with the trace saved before every `every`-th step if there are `checkpoints`.

    `traces` (B, size) is the state before and, unclipped, after; `first` (B, N) the activity before.
    """
    n_steps, batch, n = drive.shape
    own = vectors[thread]
    pre, post, keep, write, read = own[0], own[1], own[2], own[3], own[4]
    for b in range(thread, batch, n_threads):
        trace = traces[b]
        pre[:] = 0
        pre[:n] = first[b]
        keep[:] = 1
        write[:] = 0
        old_limit = np.inf
        advance(trace, layer.weight, layer.alpha, pre, pre, keep, write, read, old_limit, None)
        for t in range(n_steps):
            if starts[t, b]:
                trace[:] = 0
                read[:] = 0
                pre[:] = 0
            if len(checkpoints) and t % every == 0:
                checkpoints[t // every, b] = trace
            for j in range(n):
                read[j] += drive[t, b, j]
            squash(read, post)
            activity[t, b] = post[:n]
            coefficients(rule, layer, post, keep, write)
            advance(trace, layer.weight, layer.alpha, pre, post, keep, write, read, old_limit, limit)
            pre, post = post, pre
            if limit is not None:
                old_limit = limit


@inner
def load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write):
    """Fill the rows of a segment: `post[k]` the activity of step begin + k, `pre[k]` what that step reads.

    `pre` has a row more in front: that of the step before the segment.
    """
    n = activity.shape[2]
    for k in range(len(pre)):
        t = begin + k - 1
        pre[k] = 0
        if t == 0 and not starts[t, b]:
            pre[k, :n] = first[b]
        elif t > 0 and not starts[t, b]:
            pre[k, :n] = activity[t - 1, b]
    for k in range(len(post)):
        post[k] = 0
        post[k, :n] = activity[begin + k, b]
        coefficients(rule, layer, post[k], keep[k], write[k])


@inner
def gradient_of_keep(trace, adjoint, keep, write, write_sum, trace_sum, keep_sum):
    """Write sum_i trace[i, j] * adjoint[i, j], the trace as it was before the step and the adjoint after.

    The sweep has left `trace_sum`, the same sum with the trace after the step, which is keep * trace + pre * write. Where
    `keep` is too small to divide by, the sum is done in full.
    """
    lanes = lanes_of(trace)
    rows, columns = trace.size // keep.size, keep.size
    for j in range(columns):
        if keep[j] > 0.25:
            keep_sum[j] = (trace_sum[j] - write[j] * write_sum[j]) / keep[j]
            continue
        keep_sum[j] = 0
        for i in range(rows):
            o = (i // ROWS * (columns // lanes) + j // lanes) * ROWS * lanes + i % ROWS * lanes + j % lanes
            keep_sum[j] += trace[o] * adjoint[o]


@kernel
def backward(
    activity, starts, first, activity_gradient, checkpoints, every, layer, rule, limit, adjoints, has_final,
    drive_gradient, first_gradient, gradients, segments, rows, vectors, thread, n_threads,
):  # fmt: skip
    """Run the scan's adjoint.

    `adjoints` (B, size) is the gradient of the final traces (all zero unless `has_final`) and becomes that of the first.
    `gradients` are summed over the thread's samples. `segments[thread]` holds the traces of a segment and one more,
    `rows[thread]` its activity and coefficients, four times `every + 1` vectors.
    """
    n_steps, batch, n = activity.shape
    work, traces = vectors[thread], segments[thread]
    gradient, delta, write_sum, trace_sum, keep_sum = work[0], work[1], work[2], work[3], work[4]
    own = Gradients(
        gradients.alpha[thread], gradients.eta[thread], gradients.modulation_weight[thread],
        gradients.modulation_bias[thread], gradients.fan_out[thread],
    )  # fmt: skip
    for b in range(thread, batch, n_threads):
        adjoint = adjoints[b]
        gradient[:] = 0
        write_sum[:] = 0
        trace_sum[:] = 0
        for segment in range(len(checkpoints) - 1, -1, -1):
            begin = segment * every
            length = min(every, n_steps - begin)
            pre, post = rows[thread, 0, : length + 1], rows[thread, 1, :length]
            keep, write = rows[thread, 2, :length], rows[thread, 3, :length]
            load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write)
            traces[0] = checkpoints[segment, b]
            last = begin + length == n_steps
            old_limit = np.inf if begin == 0 else 1.0
            rebuild(
                traces[: length + (last and has_final)], pre[1:], keep, write, starts[begin : begin + length, b],
                old_limit, limit,
            )  # fmt: skip
            if last and has_final:
                begin_retreat(adjoint, traces[length], pre[length], write_sum, trace_sum, limit)
            for k in range(length - 1, -1, -1):
                t = begin + k
                for j in range(n):
                    gradient[j] += activity_gradient[t, b, j]
                if limit is None and not starts[t, b]:
                    gradient_of_keep(traces[k], adjoint, keep[k], write[k], write_sum, trace_sum, keep_sum)
                elif limit is None:
                    keep_sum[:] = 0
                coefficients_backward(rule, layer, post[k], write_sum, keep_sum, gradient, own)
                for j in range(gradient.size):
                    delta[j] = gradient[j] * (1 - post[k, j] * post[k, j])
                drive_gradient[t, b] = delta[:n]
                if starts[t, b]:
                    adjoint[:] = 0
                    gradient[:] = 0
                    write_sum[:] = 0
                    trace_sum[:] = 0
                    continue
                bound = limit
                if limit is not None:
                    if t == 0:
                        bound = np.inf
                retreat(
                    adjoint, traces[k], layer.weight, layer.alpha, own.alpha, pre[k + 1], pre[k], keep[k], write[k],
                    delta, write_sum, trace_sum, gradient, bound,
                )  # fmt: skip
        first_gradient[b] = gradient[:n]
