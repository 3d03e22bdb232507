"""The fused scan of the rules with one trace: sample by sample, time inside, the trace in the core's own cache.

Each kernel takes the samples `thread`, `thread + n_threads`, ... of a batch. Vectors of N numbers are padded with zeros
to `columns`; matrices are packed to `size` (`sweeps`). A leading dimension of one stands for the one trace.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from plastic_rl.ops.compiled import inner, kernel
from plastic_rl.ops.simd import lanes_of
from plastic_rl.ops.sweeps import ROWS, advance, begin_retreat, rebuild, retreat, squash

DECAY, OJA, MODULATED = 0, 1, 2


class Layer(NamedTuple):
    """A layer's parameters as the kernels want them: matrices packed, vectors padded, what is missing zero."""

    weight: Any
    alpha: Any
    eta: Any
    modulation_weight: Any
    modulation_bias: Any
    fan_out: Any


class Gradients(NamedTuple):
    """The gradients that a thread sums over its samples, in the form of `Layer`."""

    alpha: Any
    eta: Any
    modulation_weight: Any
    modulation_bias: Any
    fan_out: Any


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
    eta, one = layer.eta, post.dtype.type(1)
    if rule == DECAY:
        for j in range(post.size):
            keep[j] = one - eta[j]
            write[j] = eta[j] * post[j]
    elif rule == OJA:
        for j in range(post.size):
            keep[j] = one - eta[j] * post[j] * post[j]
            write[j] = eta[j] * post[j]
    else:
        signal = modulation(layer, post)
        for j in range(post.size):
            keep[j] = one
            write[j] = signal * layer.fan_out[j] * post[j]


@inner
def coefficients_backward(rule, layer, post, write_sum, keep_sum, gradient, gradients):
    """Add to `gradient`, that of the activity, and to the layer's, given those of `write` and `keep`."""
    eta, two = layer.eta, post.dtype.type(2)
    if rule == DECAY:
        for j in range(post.size):
            gradient[j] += eta[j] * write_sum[j]
            gradients.eta[j] += post[j] * write_sum[j] - keep_sum[j]
    elif rule == OJA:
        for j in range(post.size):
            gradient[j] += eta[j] * (write_sum[j] - two * post[j] * keep_sum[j])
            gradients.eta[j] += post[j] * (write_sum[j] - post[j] * keep_sum[j])
    else:
        signal = modulation(layer, post)
        signal_gradient = post.dtype.type(0)
        for j in range(post.size):
            written = layer.fan_out[j] * post[j]
            signal_gradient += write_sum[j] * written
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


@kernel
def forward(
    drive, starts, first, traces, layer, rule, limit, activity, checkpoints, every, vectors, thread, n_threads
):  # fmt: skip
    """Run the scan, with the trace saved before every `every`-th step if there are `checkpoints`.

    Args:
        drive: (T, B, N).
        starts: (T, B) bool.
        first: (B, N) the activity before.
        traces: (1, B, size) the traces before and, unclipped, after.
        layer: a `Layer`.
        rule: DECAY, OJA or MODULATED.
        limit: where the trace is clipped, or None.
        activity: (T, B, N), written.
        checkpoints: (1, T / every, B, size), written, or none.
        every: steps of a segment.
        vectors: (n_threads, 8, columns) to work in.
        thread: the first sample.
        n_threads: the distance between samples.
    """
    n_steps, batch, n = drive.shape
    work = vectors[thread]
    pre, post, keep, write, read = work[0], work[1], work[2], work[3], work[4]
    for b in range(thread, batch, n_threads):
        trace = traces[0, b]
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
            if checkpoints.shape[1] and t % every == 0:
                checkpoints[0, t // every, b] = trace
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
def gradient_of_keep(trace, adjoint, start, keep, write, write_sum, trace_sum, keep_sum):
    """Write sum_i trace[i, j] * adjoint[i, j], the trace as it was before the step and the adjoint after.

    The sweep has left `trace_sum`, the same sum with the trace after the step, which is keep * trace + pre * write.
    Where `keep` is too small to divide by, the sum is done in full.
    """
    if start:
        keep_sum[:] = 0
        return
    enough = True
    for j in range(keep.size):
        enough &= keep[j] > 0.25
        keep_sum[j] = (trace_sum[j] - write[j] * write_sum[j]) / keep[j]
    if enough:
        return
    lanes = lanes_of(trace)
    rows, columns = trace.size // keep.size, keep.size
    for j in range(columns):
        if keep[j] > 0.25:
            continue
        keep_sum[j] = 0
        for i in range(rows):
            o = (i // ROWS * (columns // lanes) + j // lanes) * ROWS * lanes + i % ROWS * lanes + j % lanes
            keep_sum[j] += trace[o] * adjoint[o]


@inner
def gradients_of(gradients, thread):
    """Return one thread's share."""
    return Gradients(
        gradients.alpha[thread],
        gradients.eta[thread],
        gradients.modulation_weight[thread],
        gradients.modulation_bias[thread],
        gradients.fan_out[thread],
    )


@inner
def through_tanh(gradient, post, delta):
    """Write the gradient of what the neurons received, given that of post = tanh(received)."""
    one = post.dtype.type(1)
    for j in range(post.size):
        delta[j] = gradient[j] * (one - post[j] * post[j])


@kernel
def backward(
    activity, starts, first, activity_gradient, checkpoints, every, layer, rule, limit, adjoints, drive_gradient,
    first_gradient, gradients, segments, rows, vectors, thread, n_threads,
):  # fmt: skip
    """Run the adjoint of the scan, segment by segment from the last.

    Args:
        activity: (T, B, N), as are `activity_gradient` and `drive_gradient`, which is written.
        starts: (T, B) bool.
        first: (B, N), as is `first_gradient`, which is written.
        activity_gradient: the gradient of the activity.
        checkpoints: what `forward` saved.
        every: steps of a segment.
        layer: a `Layer`.
        rule: DECAY, OJA or MODULATED.
        limit: where the trace is clipped, or None.
        adjoints: (1, B, size) the gradient of the final traces, which becomes that of the first.
        drive_gradient: written.
        first_gradient: written.
        gradients: `Gradients` with a row for each thread, added to.
        segments: (n_threads, 1, every + 1, size) for the traces of a segment.
        rows: (n_threads, 5, every + 1, columns) for its activity and coefficients.
        vectors: (n_threads, 8, columns) to work in.
        thread: the first sample.
        n_threads: the distance between samples.
    """
    n_steps, batch, n = activity.shape
    work, traces, own = vectors[thread], segments[thread, 0], gradients_of(gradients, thread)
    gradient, delta, write_sum, trace_sum, keep_sum = work[0], work[1], work[2], work[3], work[4]
    for b in range(thread, batch, n_threads):
        adjoint = adjoints[0, b]
        gradient[:] = 0
        for segment in range(checkpoints.shape[1] - 1, -1, -1):
            begin = segment * every
            length = min(every, n_steps - begin)
            pre, post = rows[thread, 0, : length + 1], rows[thread, 1, :length]
            keep, write = rows[thread, 2, :length], rows[thread, 3, :length]
            load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write)
            traces[0] = checkpoints[0, segment, b]
            old_limit = np.inf if begin == 0 else 1.0
            rebuild(traces[: length + 1], pre[1:], keep, write, starts[begin : begin + length, b], old_limit, limit)
            if begin + length == n_steps:
                begin_retreat(adjoint, traces[length], pre[length], write_sum, trace_sum, limit)
            for k in range(length - 1, -1, -1):
                t = begin + k
                for j in range(n):
                    gradient[j] += activity_gradient[t, b, j]
                if limit is None:
                    gradient_of_keep(
                        traces[k], adjoint, starts[t, b], keep[k], write[k], write_sum, trace_sum, keep_sum
                    )
                coefficients_backward(rule, layer, post[k], write_sum, keep_sum, gradient, own)
                through_tanh(gradient, post[k], delta)
                drive_gradient[t, b] = delta[:n]
                if starts[t, b]:
                    adjoint[:] = 0
                    gradient[:] = 0
                    write_sum[:] = 0
                    trace_sum[:] = 0
                    continue
                bound = limit
                if limit is not None:  # noqa: SIM102 - numba drops it when compiling, and would not with `and`
                    if t == 0:
                        bound = np.inf
                retreat(
                    adjoint, traces[k], layer.weight, layer.alpha, own.alpha, pre[k + 1], pre[k], keep[k], write[k],
                    delta, write_sum, trace_sum, gradient, bound,
                )  # fmt: skip
        first_gradient[b] = gradient[:n]
