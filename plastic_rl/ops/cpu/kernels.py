"""The fused scan of a recurrent layer: time inside, one or two samples at a time, their traces in the core's own cache.

Each kernel takes the samples `job`, `job + n_jobs`, ... of a batch. Vectors of N numbers are padded with zeros to
`columns`; matrices are packed to `size` (`tiles`). What belongs to the eligibility is None for a rule with one trace,
which is known when compiling: the code for it is then left out, as is that for the clip where `limit` is None.
"""

import numpy as np

from plastic_rl.ops.cpu import retroactive
from plastic_rl.ops.cpu.compiled import inner, kernel
from plastic_rl.ops.cpu.layer import layer_coefficients, layer_coefficients_backward, through_tanh
from plastic_rl.ops.cpu.normalization import normalize, normalize_backward
from plastic_rl.ops.cpu.simd import copy, fill, lanes_of, least, load, lower, set_all, store
from plastic_rl.ops.cpu.tiles import (
    GATE,
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
    drive, starts, first, initial, initial_eligibility, final, final_eligibility, layer, rule, limit, activity,
    received, checkpoints, every, packed, vectors, job, n_jobs, thread,
):  # fmt: skip
    """Run the scan, with the traces saved before every `every`-th step if there are `checkpoints`.

    Args:
        drive: (T, B, N).
        starts: (T, B) bool.
        first: (B, N) the activity before.
        initial: (B, N * N) the trace before.
        initial_eligibility: the same of the eligibility, or None.
        final: the trace after, written.
        final_eligibility: written, or None.
        layer: a `Layer`.
        rule: the rule's code.
        limit: where the trace is clipped, or None.
        activity: (T, B, N), written.
        received: (T, B, N), written with what a layer that normalizes has received; empty for one that does not.
        checkpoints: (traces, T / every + 1, B, size), written, the last with the final traces, or none.
        every: steps of a segment.
        packed: (n_threads, 2, size) to work in: the traces of two samples, or trace and eligibility of one.
        vectors: (n_threads, 2, 8, columns) to work in.
        job: the first sample.
        n_jobs: the distance between samples.
        thread: whose space to work in.
    """
    n_steps, batch, n = drive.shape
    traces, work, columns = packed[thread], vectors[thread], vectors.shape[3]
    at_a_time = 2 if final_eligibility is None else 1
    for b in range(job, batch, at_a_time * n_jobs):
        samples = 1 if b + n_jobs >= batch else at_a_time
        for s in range(samples):
            pack(initial[b + s * n_jobs], n, traces[s], columns)
            set_all(work[s, POST], 0)
            copy(first[b + s * n_jobs], work[s, POST, :n])
            copy(work[s, POST], work[s, PRE])
            set_all(work[s, KEEP], 1)
            set_all(work[s, WRITE], 0)
            set_all(work[s, GATE], 0)
        if final_eligibility is not None:
            pack(initial_eligibility[b], n, traces[1], columns)
        old = new = np.inf
        for t in range(-1, n_steps):  # at -1 the trace is only read, for the first step
            for s in range(samples if t >= 0 else 0):
                sample, trace = b + s * n_jobs, traces[s]
                pre, post, read = work[s, PRE], work[s, POST], work[s, READ]
                if checkpoints.shape[1] and t % every == 0:
                    copy(trace, checkpoints[0, t // every, sample])
                    if final_eligibility is not None:
                        copy(traces[1], checkpoints[1, t // every, sample])
                copy(post, pre)
                if starts[t, sample]:
                    set_all(trace, 0)
                    if final_eligibility is not None:
                        set_all(traces[1], 0)
                    set_all(read, 0)
                    set_all(pre, 0)
                for j in range(n):
                    read[j] += drive[t, sample, j]
                if len(received):
                    copy(read[:n], received[t, sample])
                    normalize(read[:n], layer.gain, layer.bias)
                squash(read, post)
                copy(post[:n], activity[t, sample])
                layer_coefficients(rule, layer, post, work[s, KEEP], work[s, WRITE], work[s, GATE])
            if final_eligibility is None:
                advance(traces, work, samples, layer.weight, layer.alpha, limit, old, new)
            else:
                retroactive.advance(traces[0], traces[1], work[0], layer.weight, layer.alpha, old, new)
            if limit is not None:
                old, new = new, limit
        for s in range(samples):
            sample = b + s * n_jobs
            if checkpoints.shape[1]:
                copy(traces[s], checkpoints[0, checkpoints.shape[1] - 1, sample])
            unpack(traces[s], n, final[sample], columns)
            if limit is not None:
                clip_all(final[sample], limit)
        if final_eligibility is not None:
            unpack(traces[1], n, final_eligibility[b], columns)


@inner
def load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write, gate):
    """Fill the rows of a segment: `post[k]` the activity of step begin + k, `pre[k]` what that step reads.

    `pre` has a row more in front: that of the step before the segment.
    """
    n = activity.shape[2]
    for k in range(len(pre)):
        t = begin + k - 1
        set_all(pre[k], 0)
        if t >= 0 and not starts[t, b]:
            copy(first[b] if t == 0 else activity[t - 1, b], pre[k, :n])
    for k in range(len(post)):
        set_all(post[k], 0)
        copy(activity[begin + k, b], post[k, :n])
        layer_coefficients(rule, layer, post[k], keep[k], write[k], gate[k])


@inner
def gradient_of_keep(trace, adjoint, keep, write, write_sum, trace_sum, keep_sum):
    """Write sum_i trace[i, j] * adjoint[i, j], the trace as it was before the step and the adjoint after.

    The sweep has left `trace_sum`, the same sum with the trace after the step, which is keep * trace + pre * write.
    Where `keep` is too small to divide by, the sum is done in full.
    """
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

    The others are found by undoing the step on the trace after it,

        before[i, j] = (after[i, j] - pre[i] * write[j]) / keep[j],

    which divides the error of `after` by keep and adds a rounding of its own. A trace is kept before the product of
    1 / keep has reached 16. From one that is kept on, errors are therefore at most 16 times that of the trace it began
    with plus 16 roundings a step, a relative 1e-6 a step in float32. Where a trace is clipped, undoing is impossible.
    Where an episode starts, nobody reads the trace before.

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
        set_all(adjoint, 0)


@kernel
def backward(
    activity, received, starts, first, activity_gradient, checkpoints, every, layer, rule, limit, final_gradient,
    final_eligibility_gradient, initial_gradient, initial_eligibility_gradient, drive_gradient, first_gradient,
    segments, packed, rows, vectors, slots, own, job, n_jobs, thread,
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
        final_gradient: of the final trace, (B, N * N), or empty for zeros.
        final_eligibility_gradient: the same of the eligibility, or None.
        initial_gradient: of the initial trace, written.
        initial_eligibility_gradient: the same of the eligibility, or None.
        drive_gradient: written.
        first_gradient: written.
        segments: (n_threads, traces, every + 1, size) for the traces of a segment.
        packed: (n_threads, traces, size) for their adjoints.
        rows: (n_threads, 6, every + 1, columns) for its activity and coefficients.
        vectors: (n_threads, 8, columns) to work in.
        slots: (n_threads, every) int64 to work in.
        own: a `Layer` of gradients, this job's own, added to.
        job: the first sample.
        n_jobs: the distance between samples.
        thread: whose space to work in.
    """
    n_steps, batch, n = activity.shape
    work, traces = vectors[thread], segments[thread, 0]
    gradient, write_sum, trace_sum, keep_sum, gate_sum = work[0], work[1], work[2], work[3], work[4]
    grow, shift, standard, adjoint = work[5], work[6], work[7, :n], packed[thread, 0]
    for b in range(job, batch, n_jobs):
        load_adjoint(final_gradient, b, n, adjoint, gradient.size)
        if final_eligibility_gradient is not None:
            load_adjoint(final_eligibility_gradient, b, n, packed[thread, 1], gradient.size)
        set_all(gradient, 0)
        for segment in range(checkpoints.shape[1] - 2, -1, -1):
            begin = segment * every
            length = min(every, n_steps - begin)
            start, slot = starts[begin : begin + length, b], slots[thread, :length]
            pre, post = rows[thread, 0, : length + 1], rows[thread, 1, :length]
            keep, write, delta = rows[thread, 2, :length], rows[thread, 3, :length], rows[thread, 4, :length]
            gate = rows[thread, 5, :length]
            load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write, gate)
            reach = choose_slots(keep, start, limit is not None, slot)
            saved, after, old = checkpoints[0, segment, b], checkpoints[0, segment + 1, b], np.inf
            if limit is not None and begin > 0:
                old = limit
            if final_eligibility_gradient is None:
                rebuild(saved, traces, slot, reach, pre[1:], keep, write, start, limit, old)
            else:
                retroactive.rebuild(
                    saved, checkpoints[1, segment, b], segments[thread], slot, reach, pre[1:], keep, write, gate, start,
                    limit, old,
                )  # fmt: skip
            if begin + length == n_steps:
                begin_retreat(adjoint, after, pre[length], write_sum, trace_sum, limit)
            trace = traces[every]
            if limit is None:
                undo(keep[length - 1], write[length - 1], grow, shift)
                undo_step(after, pre[length], grow, shift, trace)
            for k in range(length - 1, -1, -1):
                t = begin + k
                if slot[k] >= 0:
                    trace = traces[slot[k]]
                for j in range(n):
                    gradient[j] += activity_gradient[t, b, j]
                if start[k]:
                    set_all(keep_sum, 0)
                    set_all(write_sum, 0)
                    set_all(gate_sum, 0)
                elif final_eligibility_gradient is not None:
                    eligibility = segments[thread, 1, slot[k]]
                    retroactive.gather(packed[thread], eligibility, pre[k + 1], gate_sum, write_sum, keep_sum)
                elif limit is None:
                    gradient_of_keep(trace, adjoint, keep[k], write[k], write_sum, trace_sum, keep_sum)
                layer_coefficients_backward(rule, layer, post[k], keep_sum, write_sum, gate_sum, gradient, own)
                through_tanh(gradient, post[k], delta[k])
                if len(received):
                    normalize_backward(received[t, b], layer.gain, delta[k, :n], standard, own.gain, own.bias)
                copy(delta[k, :n], drive_gradient[t, b])
                bound = np.inf
                if limit is not None and t > 0:
                    bound = limit
                if start[k]:
                    set_all(adjoint, 0)
                    if final_eligibility_gradient is not None:
                        set_all(packed[thread, 1], 0)
                    set_all(gradient, 0)
                    set_all(trace_sum, 0)
                elif final_eligibility_gradient is not None:
                    retroactive.retreat(
                        packed[thread], trace, layer.weight, layer.alpha, own.alpha, pre[k + 1], keep[k], write[k],
                        gate[k], delta[k], gradient, bound,
                    )  # fmt: skip
                else:
                    if limit is None and k > 0:
                        undo(keep[k - 1], write[k - 1], grow, shift)
                    retreat(
                        adjoint, trace, layer.weight, layer.alpha, own.alpha, pre[k + 1], pre[k], keep[k], write[k],
                        delta[k], write_sum, trace_sum, gradient, limit, bound, grow, shift,
                    )  # fmt: skip
            add_products(own.weight, pre[1:], delta)
        copy(gradient[:n], first_gradient[b])
        unpack(adjoint, n, initial_gradient[b], gradient.size)
        if final_eligibility_gradient is not None:
            unpack(packed[thread, 1], n, initial_eligibility_gradient[b], gradient.size)
