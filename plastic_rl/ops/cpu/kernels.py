"""The fused scan of the rules with one trace: one sample or two, time inside, the trace in the core's own cache.

Each kernel takes the samples `job`, `job + n_jobs`, ... of a batch. Vectors of N numbers are padded with zeros
to `columns`; matrices are packed to `size` (`tiles`). A leading dimension of one stands for the one trace.
"""

import numpy as np

from plastic_rl.ops.cpu.compiled import inner, kernel
from plastic_rl.ops.cpu.layer import gradients_of, layer_coefficients, layer_coefficients_backward, through_tanh
from plastic_rl.ops.cpu.normalization import normalize, normalize_backward
from plastic_rl.ops.cpu.simd import fill, lanes_of, least, load, lower, store
from plastic_rl.ops.cpu.tiles import (
    KEEP,
    POST,
    PRE,
    READ,
    ROWS,
    WRITE,
    add_products,
    advance,
    begin_retreat,
    clip_all,
    pack,
    rebuild,
    retreat,
    squash,
    undo_step,
    unpack,
)


@kernel
def forward(
    drive, starts, first, initial, final, layer, rule, limit, activity, received, checkpoints, every, packed, vectors,
    job, n_jobs, thread,
):  # fmt: skip
    """Run the scan, with the trace saved before every `every`-th step if there are `checkpoints`.

    Args:
        drive: (T, B, N).
        starts: (T, B) bool.
        first: (B, N) the activity before.
        initial: the traces before, (B, N * N) each.
        final: the traces after, written.
        layer: a `Layer`.
        rule: the rule's code.
        limit: where the trace is clipped, or None.
        activity: (T, B, N), written.
        received: (T, B, N), written with what a layer that normalizes has received; empty for one that does not.
        checkpoints: (1, T / every + 1, B, size), written, the last with the final trace, or none.
        every: steps of a segment.
        packed: (n_threads, 2, size) to work in.
        vectors: (n_threads, 2, 8, columns) to work in.
        job: the first sample.
        n_jobs: the distance between samples.
        thread: whose space to work in.
    """
    n_steps, batch, n = drive.shape
    traces, work = packed[thread], vectors[thread]
    columns = vectors.shape[3]
    for b in range(job, batch, 2 * n_jobs):
        samples = 1 if b + n_jobs >= batch else 2
        for s in range(samples):
            pack(initial[0][b + s * n_jobs], n, traces[s], columns)
            work[s, PRE] = 0
            work[s, PRE, :n] = first[b + s * n_jobs]
            work[s, POST] = work[s, PRE]
            work[s, KEEP] = 1
            work[s, WRITE] = 0
        old_limit = np.inf
        advance(traces, work, samples, layer.weight, layer.alpha, old_limit, None)
        for t in range(n_steps):
            for s in range(samples):
                sample, trace = b + s * n_jobs, traces[s]
                pre, post, read = work[s, PRE], work[s, POST], work[s, READ]
                if checkpoints.shape[1] and t % every == 0:
                    checkpoints[0, t // every, sample] = trace
                pre[:] = post
                if starts[t, sample]:
                    trace[:] = 0
                    read[:] = 0
                    pre[:] = 0
                for j in range(n):
                    read[j] += drive[t, sample, j]
                if len(received):
                    for j in range(n):
                        received[t, sample, j] = read[j]
                    normalize(read[:n], layer.gain, layer.bias)
                squash(read, post)
                for j in range(n):
                    activity[t, sample, j] = post[j]
                layer_coefficients(rule, layer, post, work[s, KEEP], work[s, WRITE], work[s, KEEP])
            advance(traces, work, samples, layer.weight, layer.alpha, old_limit, limit)
            if limit is not None:  # known when compiling
                old_limit = limit
        for s in range(samples):
            sample = b + s * n_jobs
            if checkpoints.shape[1]:
                checkpoints[0, checkpoints.shape[1] - 1, sample] = traces[s]
            unpack(traces[s], n, final[0][sample], columns)
            if limit is not None:
                clip_all(final[0][sample], limit)


@inner
def load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write, gate):
    """Fill the rows of a segment: `post[k]` the activity of step begin + k, `pre[k]` what that step reads.

    `pre` has a row more in front: that of the step before the segment.
    """
    n = activity.shape[2]
    for k in range(len(pre)):
        t = begin + k - 1
        pre[k] = 0
        if t >= 0 and not starts[t, b]:
            row = first[b] if t == 0 else activity[t - 1, b]
            for j in range(n):
                pre[k, j] = row[j]
    for k in range(len(post)):
        post[k] = 0
        for j in range(n):
            post[k, j] = activity[begin + k, b, j]
        layer_coefficients(rule, layer, post[k], keep[k], write[k], gate[k])


@inner
def gradient_of_keep(trace, adjoint, start, keep, write, write_sum, trace_sum, keep_sum):
    """Write sum_i trace[i, j] * adjoint[i, j], the trace as it was before the step and the adjoint after.

    The sweep has left `trace_sum`, the same sum with the trace after the step, which is keep * trace + pre * write.
    Where `keep` is too small to divide by, the sum is done in full.
    """
    if start:
        keep_sum[:] = 0
        return
    for j in range(0, keep.size, lanes_of(keep)):
        difference = load(trace_sum, j) - load(write, j) * load(write_sum, j)
        store(keep_sum, j, difference / load(keep, j))
    if smallest(keep) > 0.25:
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
def smallest(vector):
    """Return the smallest number of a vector."""
    found = load(vector, 0)
    for j in range(0, vector.size, lanes_of(vector)):
        found = lower(found, load(vector, j))
    return least(found)


@inner
def choose_slots(keep, starts, clipped, slots):
    """Choose which traces of a segment to keep: `slots[k]` is where to write the one before step k, or -1.

    The others are found by undoing the step on the trace after it. That cannot be done where the trace is clipped or an
    episode starts, whose trace nobody reads, and it multiplies the rounding error by 1 / keep: before that has grown
    sixteen times, a trace is kept.

    Returns:
        How many steps have to be computed again for those that are kept.
    """
    used = reach = 0
    growth = 1.0
    for k in range(len(keep) - 1, -1, -1):
        growth = growth / smallest(keep[k])
        slots[k] = -1
        if starts[k]:
            growth = np.inf
        elif clipped or not 0 < growth < 16:
            slots[k] = used
            used += 1
            reach = max(reach, k + 1)
            growth = 1.0
    return reach


@inner
def undo(keep, write, grow, shift):
    """Write the vectors with which `retreat` undoes a step."""
    one = fill(keep, 1.0)
    for j in range(0, keep.size, lanes_of(keep)):
        inverse = one / load(keep, j)
        store(grow, j, inverse)
        store(shift, j, inverse * load(write, j))


@inner
def load_adjoint(final_gradient, b, n, adjoint, columns):
    """Pack a sample's gradient of the final trace; an empty array stands for zeros."""
    if len(final_gradient):
        pack(final_gradient[b], n, adjoint, columns)
    else:
        adjoint[:] = 0


@kernel
def backward(
    activity, received, starts, first, activity_gradient, checkpoints, every, layer, rule, limit, final_gradients,
    initial_gradients, drive_gradient, first_gradient, gradients, segments, packed, rows, vectors, job, n_jobs, thread,
):  # fmt: skip
    """Run the adjoint of the scan, segment by segment from the last.

    Args:
        activity: (T, B, N), as are `activity_gradient` and `drive_gradient`, which is written.
        received: what `forward` wrote.
        starts: (T, B) bool.
        first: (B, N), as is `first_gradient`, which is written.
        activity_gradient: the gradient of the activity.
        checkpoints: what `forward` saved.
        every: steps of a segment.
        layer: a `Layer`.
        rule: the rule's code.
        limit: where the trace is clipped, or None.
        final_gradients: of the final traces, (B, N * N) each, or empty for zeros.
        initial_gradients: of the initial traces, written unless empty.
        drive_gradient: written.
        first_gradient: written.
        gradients: `Gradients` with a row for each job, added to.
        segments: (n_threads, 1, every + 1, size) for the traces of a segment.
        packed: (n_threads, 1, size) to work in.
        rows: (n_threads, 6, every + 1, columns) for its activity and coefficients.
        vectors: (n_threads, 8, columns) to work in.
        job: the first sample.
        n_jobs: the distance between samples.
        thread: whose space to work in.
    """
    n_steps, batch, n = activity.shape
    work, traces, own = vectors[thread], segments[thread, 0], gradients_of(gradients, job)
    gradient, write_sum, trace_sum, keep_sum = work[0], work[1], work[2], work[3]
    grow, shift, standard, adjoint = work[4], work[5], work[6, :n], packed[thread, 0]
    slots = np.empty(every, np.int64)
    for b in range(job, batch, n_jobs):
        load_adjoint(final_gradients[0], b, n, adjoint, gradient.size)
        gradient[:] = 0
        for segment in range(checkpoints.shape[1] - 2, -1, -1):
            begin = segment * every
            length = min(every, n_steps - begin)
            start = starts[begin : begin + length, b]
            pre, post = rows[thread, 0, : length + 1], rows[thread, 1, :length]
            keep, write, delta = rows[thread, 2, :length], rows[thread, 3, :length], rows[thread, 4, :length]
            load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write, write)
            reach = choose_slots(keep, start, limit is not None, slots[:length])
            old_limit = np.inf if begin == 0 else 1.0
            rebuild(checkpoints[0, segment, b], traces, slots, reach, pre[1:], keep, write, start, old_limit, limit)
            after, trace = checkpoints[0, segment + 1, b], traces[every]
            if begin + length == n_steps:
                begin_retreat(adjoint, after, pre[length], write_sum, trace_sum, limit)
            if limit is None:
                undo(keep[length - 1], write[length - 1], grow, shift)
                undo_step(after, pre[length], grow, shift, trace)
            for k in range(length - 1, -1, -1):
                t = begin + k
                if slots[k] >= 0:
                    trace = traces[slots[k]]
                for j in range(n):
                    gradient[j] += activity_gradient[t, b, j]
                if limit is None:
                    gradient_of_keep(trace, adjoint, start[k], keep[k], write[k], write_sum, trace_sum, keep_sum)
                layer_coefficients_backward(rule, layer, post[k], keep_sum, write_sum, write_sum, gradient, own)
                through_tanh(gradient, post[k], delta[k])
                if len(received):
                    normalize_backward(received[t, b], layer.gain, delta[k, :n], standard, own.gain, own.bias)
                for j in range(n):
                    drive_gradient[t, b, j] = delta[k, j]
                if start[k]:
                    adjoint[:] = 0
                    gradient[:] = 0
                    write_sum[:] = 0
                    trace_sum[:] = 0
                    continue
                if limit is None:  # known when compiling: the branch that is not taken is not compiled
                    if k > 0 and slots[k - 1] < 0 and not start[k - 1]:
                        undo(keep[k - 1], write[k - 1], grow, shift)
                        retreat(
                            adjoint, trace, layer.weight, layer.alpha, own.alpha, pre[k + 1], pre[k], keep[k], write[k],
                            delta[k], write_sum, trace_sum, gradient, None, grow, shift,
                        )  # fmt: skip
                        continue
                    bound = None
                else:
                    bound = limit if t > 0 else np.inf
                retreat(
                    adjoint, trace, layer.weight, layer.alpha, own.alpha, pre[k + 1], pre[k], keep[k], write[k],
                    delta[k], write_sum, trace_sum, gradient, bound, None, None,
                )  # fmt: skip
            add_products(own.weight, pre[1:], delta)
        first_gradient[b] = gradient[:n]
        if len(initial_gradients[0]):
            unpack(adjoint, n, initial_gradients[0][b], gradient.size)
