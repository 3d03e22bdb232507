"""The fused scan of a layer whose queries and keys are given: one block of columns at a time, time inside.

Nothing but the traces runs through time here, and a column of a trace depends on no other column. So a block of two
vectors of columns takes all its steps before the next one begins: its part of the traces, of alpha and of their
gradients, K rows of WIDTH numbers each, stays in the first-level cache.

    forward     trace <- keep * trace + key x write,     read for the next step with its query in the same pass
    backward    in segments from the last: the traces of a segment are computed again from a checkpoint, then the
                adjoint is taken back step by step, and summed for the step before in the same pass

Where the rule clips, traces are kept clipped, and what a step wrote before the clip is computed again where the
gradient needs it. `eligibility`, `limit` and `before` may be None, which is known when compiling: the code for them is
then left out.
"""

from numba import types
from numba.extending import overload

from plastic_rl.ops.cpu.compiled import called, inner, kernel
from plastic_rl.ops.cpu.layer import coefficients, coefficients_backward, through_tanh
from plastic_rl.ops.cpu.simd import (
    add_totals,
    broadcast,
    clip,
    copy,
    fill,
    fma,
    greatest,
    lanes_of,
    larger_magnitude,
    load,
    set_all,
    store,
    where_within,
)
from plastic_rl.ops.cpu.tiles import squash

VECTORS = 2  # of a block's columns: enough sums that do not wait for one another, and few enough for the registers
ROWS = 4  # done at a time in the backward, so that their sums over columns come out as one vector

# The rows of a block's vectors.
POST, KEEP, WRITE, GATE, READ, GRADIENT, KEEP_SUM, WRITE_SUM, GATE_SUM = range(9)


def part(arrays, i):
    """Return one of some arrays, or None of None."""
    return None if arrays is None else arrays[i]


# Compiled as it stands, it would return an optional array. Numba lets it return one only where references are counted.
@overload(part, jit_options={"_nrt": True})
def _part(arrays, i):
    if isinstance(arrays, types.NoneType):
        return lambda arrays, i: None
    return lambda arrays, i: arrays[i]


@called
def load_block(matrix, n_columns, first, block):
    """Copy columns from `first` on of a flat (K, n_columns) matrix or row into a block, its padding zero."""
    lanes = lanes_of(block)
    width = VECTORS * lanes
    rows = matrix.size // n_columns
    set_all(block[rows * width :], 0)
    if first + width <= n_columns:
        for i in range(rows):
            for j in range(0, width, lanes):
                store(block, i * width + j, load(matrix, i * n_columns + first + j))
        return
    for i in range(rows):
        for j in range(width):
            block[i * width + j] = matrix[i * n_columns + first + j] if first + j < n_columns else 0


@called
def store_block(block, n_columns, first, matrix):
    """Copy a block into columns from `first` on of a flat (K, n_columns) matrix or row, without its padding."""
    lanes = lanes_of(block)
    width = VECTORS * lanes
    if first + width <= n_columns:
        for i in range(matrix.size // n_columns):
            for j in range(0, width, lanes):
                store(matrix, i * n_columns + first + j, load(block, i * width + j))
        return
    for i in range(matrix.size // n_columns):
        for j in range(n_columns - first):
            matrix[i * n_columns + first + j] = block[i * width + j]


@inner
def write_vector(before, eligibility_before, after, eligibility_after, o, p, c, u, g, limit):
    """Write one vector of the traces after a step, at `o`, and return that of the trace."""
    h = load(before, o)
    if eligibility_before is None:
        h = fma(c, h, p * u) if limit is None else clip(fma(p, u, h), fill(before, limit))
    else:
        e = load(eligibility_before, o)
        h = clip(fma(g, e, h), fill(before, limit))
        store(eligibility_after, o, fma(c, e, p * u))
    store(after, o, h)
    return h


@called
def write_and_read(trace, eligibility, alpha, key, query, vectors, limit):
    """Write the traces with a step's key, and read the first with the next step's query: READ becomes the result."""
    lanes = lanes_of(trace)
    c0, c1 = load(vectors[KEEP], 0), load(vectors[KEEP], lanes)
    u0, u1 = load(vectors[WRITE], 0), load(vectors[WRITE], lanes)
    g0, g1 = load(vectors[GATE], 0), load(vectors[GATE], lanes)
    r0 = r1 = s0 = s1 = fill(trace, 0.0)
    o = 0
    for i in range(0, key.size, 2):
        p, q = broadcast(key, i), broadcast(query, i)
        h = write_vector(trace, eligibility, trace, eligibility, o, p, c0, u0, g0, limit)
        r0 = fma(q, load(alpha, o) * h, r0)
        h = write_vector(trace, eligibility, trace, eligibility, o + lanes, p, c1, u1, g1, limit)
        r1 = fma(q, load(alpha, o + lanes) * h, r1)
        o += VECTORS * lanes
        p, q = broadcast(key, i + 1), broadcast(query, i + 1)
        h = write_vector(trace, eligibility, trace, eligibility, o, p, c0, u0, g0, limit)
        s0 = fma(q, load(alpha, o) * h, s0)
        h = write_vector(trace, eligibility, trace, eligibility, o + lanes, p, c1, u1, g1, limit)
        s1 = fma(q, load(alpha, o + lanes) * h, s1)
        o += VECTORS * lanes
    store(vectors[READ], 0, r0 + s0)
    store(vectors[READ], lanes, r1 + s1)


@called
def write_only(before, eligibility_before, after, eligibility_after, key, keep, write, gate, limit):
    """Write the traces after a step with its key, and return whether the trace has reached its limit anywhere."""
    lanes = lanes_of(before)
    largest = fill(before, 0.0)
    o = 0
    for i in range(key.size):
        p = broadcast(key, i)
        for j in range(0, VECTORS * lanes, lanes):
            h = write_vector(
                before, eligibility_before, after, eligibility_after, o, p, load(keep, j), load(write, j),
                load(gate, j), limit,
            )  # fmt: skip
            if limit is not None:
                largest = larger_magnitude(largest, h)
            o += lanes
    if limit is None:
        return False
    return not greatest(largest) < limit


@called
def read_only(trace, alpha, query, read):
    """Read a trace with a query."""
    lanes = lanes_of(trace)
    set_all(read, 0)
    o = 0
    for i in range(query.size):
        for j in range(0, VECTORS * lanes, lanes):
            store(read, j, fma(broadcast(query, i), load(alpha, o) * load(trace, o), load(read, j)))
            o += lanes


@kernel
def forward(
    drive, query, key, signals, starts, initial, initial_eligibility, final, final_eligibility, alpha, eta, fan_out,
    rule, limit, activity, checkpoints, every, blocks, eligibility_blocks, vectors, job, n_jobs, thread,
):  # fmt: skip
    """Run the scan, with the traces saved before every `every`-th step if there are `checkpoints`.

    Args:
        drive: (T, B, N), what the fixed weights give included.
        query: (T, B, K), K a multiple of ROWS, as is `key`.
        key: (T, B, K).
        signals: (T, B) M(t), or zeros.
        starts: (T, B) bool.
        initial: (B, K' * N) the trace before; K' rows, without padding.
        initial_eligibility: the same of the eligibility, or None for a rule without.
        final: the trace after, written.
        final_eligibility: written, or None.
        alpha: (N / WIDTH, K * WIDTH), packed in blocks.
        eta: padded.
        fan_out: padded.
        rule: the rule's code.
        limit: where the trace is clipped, or None.
        activity: (T, B, N), written.
        checkpoints: (traces, T / every, B, N / WIDTH, K * WIDTH), written, or empty.
        every: steps of a segment.
        blocks: (n_threads, K * WIDTH) to work in.
        eligibility_blocks: the same, or None.
        vectors: (n_threads, 9, WIDTH) to work in.
        job: the first sample.
        n_jobs: the distance between samples.
        thread: whose space to work in.
    """
    n_steps, batch, n = drive.shape
    work, width = vectors[thread], vectors.shape[2]
    trace, eligibility = blocks[thread], part(eligibility_blocks, thread)
    for b in range(job, batch, n_jobs):
        for block in range(len(alpha)):
            first = block * width
            if not starts[0, b]:
                load_block(initial[b], n, first, trace)
                if final_eligibility is not None:
                    load_block(initial_eligibility[b], n, first, eligibility)
                read_only(trace, alpha[block], query[0, b], work[READ])
            for t in range(n_steps):
                if starts[t, b]:
                    set_all(trace, 0)
                    if final_eligibility is not None:
                        set_all(eligibility, 0)
                    set_all(work[READ], 0)
                if checkpoints.shape[1] and t % every == 0:
                    copy(trace, checkpoints[0, t // every, b, block])
                    if final_eligibility is not None:
                        copy(eligibility, checkpoints[1, t // every, b, block])
                load_block(drive[t, b], n, first, work[POST])
                for j in range(0, width, lanes_of(trace)):
                    store(work[POST], j, load(work[POST], j) + load(work[READ], j))
                squash(work[POST], work[POST])
                store_block(work[POST], n, first, activity[t, b])
                coefficients(
                    rule, eta[first : first + width], fan_out[first : first + width], signals[t, b], work[POST],
                    work[KEEP], work[WRITE], work[GATE],
                )  # fmt: skip
                following = min(t + 1, n_steps - 1)
                write_and_read(trace, eligibility, alpha[block], key[t, b], query[following, b], work, limit)
            store_block(trace, n, first, final[b])
            if final_eligibility is not None:
                store_block(eligibility, n, first, final_eligibility[b])


@inner
def gather_vector(before, eligibility_before, o, g, f, p, u, m, keep_sum, write_sum, gate_sum, limit):
    """Take the adjoints of one vector of the traces after a step through the clip, and add to the step's sums.

    Args:
        before: the trace before the step, or None where only `write_sum` is wanted and the clip cut nothing.
        eligibility_before: the eligibility before the step, or None.
        o: where the vector begins.
        g: adjoint of the trace after the step.
        f: adjoint of the eligibility after the step.
        p: the key.
        u: `write`.
        m: `gate`.
        keep_sum: sum over rows of the gradient of `keep`.
        write_sum: of `write`.
        gate_sum: of `gate`.
        limit: where the trace is clipped, or None.

    Returns:
        The adjoint of what the step wrote before the clip, and the three sums.
    """
    if before is None:
        return g, keep_sum, fma(p, g, write_sum), gate_sum
    h = load(before, o)
    if eligibility_before is None:
        if limit is None:
            keep_sum = fma(h, g, keep_sum)
        else:
            g = where_within(g, fma(p, u, h), fill(before, limit))
        return g, keep_sum, fma(p, g, write_sum), gate_sum
    e = load(eligibility_before, o)
    g = where_within(g, fma(m, e, h), fill(before, limit))
    return g, fma(e, f, keep_sum), fma(p, f, write_sum), fma(e, g, gate_sum)


@called
def gather(adjoint, eligibility_adjoint, before, eligibility_before, key, write, gate, vectors, limit):
    """Do `gather_vector` for a whole block."""
    lanes = lanes_of(adjoint)
    set_all(vectors[KEEP_SUM], 0)
    set_all(vectors[WRITE_SUM], 0)
    set_all(vectors[GATE_SUM], 0)
    o = 0
    for i in range(key.size):
        p = broadcast(key, i)
        for j in range(0, VECTORS * lanes, lanes):
            g = load(adjoint, o)
            f = g if eligibility_adjoint is None else load(eligibility_adjoint, o)
            g, c, u, m = gather_vector(
                before, eligibility_before, o, g, f, p, load(write, j), load(gate, j),
                load(vectors[KEEP_SUM], j), load(vectors[WRITE_SUM], j), load(vectors[GATE_SUM], j), limit,
            )  # fmt: skip
            store(adjoint, o, g)
            store(vectors[KEEP_SUM], j, c)
            store(vectors[WRITE_SUM], j, u)
            store(vectors[GATE_SUM], j, m)
            o += lanes


@inner
def retreat_vector(
    adjoint, eligibility_adjoint, before, eligibility_before, alpha, o, j, query, key_before, keep, write, gate,
    write_before, gate_before, delta, key_sum, sums, limit,
):  # fmt: skip
    """Take the adjoints of one vector back over a step, and gather them for the step before.

    Returns:
        The sums over columns for the key, and those of `gather_vector`.
    """
    g, u = load(adjoint, o), load(write, j)
    if eligibility_adjoint is None:
        f = g
        key_sum = fma(u, g, key_sum)
        if limit is None:
            g = load(keep, j) * g
    else:
        f = load(eligibility_adjoint, o)
        key_sum = fma(u, f, key_sum)
        f = fma(load(keep, j), f, load(gate, j) * g)
        store(eligibility_adjoint, o, f)
    g = fma(load(alpha, o), query * load(delta, j), g)
    g, x, y, z = gather_vector(
        before, eligibility_before, o, g, f, key_before, load(write_before, j), load(gate_before, j),
        sums[0], sums[1], sums[2], limit,
    )  # fmt: skip
    store(adjoint, o, g)
    return key_sum, (x, y, z)


@inner
def retreat_row(
    adjoint, eligibility_adjoint, before, eligibility_before, alpha, i, query, key_before, keep, write, gate,
    write_before, gate_before, delta, left, right, limit,
):  # fmt: skip
    """Do `retreat_vector` for the two vectors of row `i`; return the key's sums, and those of both vectors."""
    lanes = lanes_of(adjoint)
    o = i * VECTORS * lanes
    q, p = broadcast(query, i), broadcast(key_before, i)
    k, left = retreat_vector(
        adjoint, eligibility_adjoint, before, eligibility_before, alpha, o, 0, q, p, keep, write, gate, write_before,
        gate_before, delta, fill(adjoint, 0.0), left, limit,
    )  # fmt: skip
    k, right = retreat_vector(
        adjoint, eligibility_adjoint, before, eligibility_before, alpha, o + lanes, lanes, q, p, keep, write, gate,
        write_before, gate_before, delta, k, right, limit,
    )  # fmt: skip
    return k, left, right


@called
def retreat(
    adjoint, eligibility_adjoint, before, eligibility_before, alpha, query, key_before, keep, write, gate,
    write_before, gate_before, delta, vectors, key_gradient, limit,
):  # fmt: skip
    """Take the adjoints back over a step, and gather them for the step before in the same pass."""
    zero = fill(adjoint, 0.0)
    left = right = (zero, zero, zero)  # sums of the left and the right vector's rows, which stay in registers
    for i in range(0, query.size, ROWS):
        k0, left, right = retreat_row(
            adjoint, eligibility_adjoint, before, eligibility_before, alpha, i, query, key_before, keep, write, gate,
            write_before, gate_before, delta, left, right, limit,
        )  # fmt: skip
        k1, left, right = retreat_row(
            adjoint, eligibility_adjoint, before, eligibility_before, alpha, i + 1, query, key_before, keep, write,
            gate, write_before, gate_before, delta, left, right, limit,
        )  # fmt: skip
        k2, left, right = retreat_row(
            adjoint, eligibility_adjoint, before, eligibility_before, alpha, i + 2, query, key_before, keep, write,
            gate, write_before, gate_before, delta, left, right, limit,
        )  # fmt: skip
        k3, left, right = retreat_row(
            adjoint, eligibility_adjoint, before, eligibility_before, alpha, i + 3, query, key_before, keep, write,
            gate, write_before, gate_before, delta, left, right, limit,
        )  # fmt: skip
        add_totals(key_gradient, i, k0, k1, k2, k3)
    for k in range(3):
        store(vectors[KEEP_SUM + k], 0, left[k])
        store(vectors[KEEP_SUM + k], lanes_of(adjoint), right[k])


@called
def read_backward(traces, delta, alpha, alpha_gradient, query, query_gradient):
    """Add the gradients of what a segment has read: alpha's, and each step's query's.

    All steps at once, because alpha's gradient of a few rows then stays in registers.

    Args:
        traces: (steps, K * WIDTH) before each step.
        delta: (steps, WIDTH) gradient of what the neurons received.
        alpha: (K * WIDTH,).
        alpha_gradient: (K * WIDTH,), added to.
        query: (steps, K).
        query_gradient: (steps, K), added to.
    """
    lanes = lanes_of(alpha)
    width = VECTORS * lanes
    for i in range(0, query.shape[1], ROWS):
        o = i * width
        g0, g1, g2, g3 = (
            load(alpha_gradient, o), load(alpha_gradient, o + width), load(alpha_gradient, o + 2 * width),
            load(alpha_gradient, o + 3 * width),
        )  # fmt: skip
        o += lanes
        h0, h1, h2, h3 = (
            load(alpha_gradient, o), load(alpha_gradient, o + width), load(alpha_gradient, o + 2 * width),
            load(alpha_gradient, o + 3 * width),
        )  # fmt: skip
        o -= lanes
        for k in range(len(delta)):
            trace = traces[k]
            d, e = load(delta[k], 0), load(delta[k], lanes)
            q0, g0, h0 = read_row_backward(trace, alpha, o, d, e, broadcast(query[k], i), g0, h0)
            q1, g1, h1 = read_row_backward(trace, alpha, o + width, d, e, broadcast(query[k], i + 1), g1, h1)
            q2, g2, h2 = read_row_backward(trace, alpha, o + 2 * width, d, e, broadcast(query[k], i + 2), g2, h2)
            q3, g3, h3 = read_row_backward(trace, alpha, o + 3 * width, d, e, broadcast(query[k], i + 3), g3, h3)
            add_totals(query_gradient[k], i, q0, q1, q2, q3)
        store(alpha_gradient, o, g0)
        store(alpha_gradient, o + width, g1)
        store(alpha_gradient, o + 2 * width, g2)
        store(alpha_gradient, o + 3 * width, g3)
        o += lanes
        store(alpha_gradient, o, h0)
        store(alpha_gradient, o + width, h1)
        store(alpha_gradient, o + 2 * width, h2)
        store(alpha_gradient, o + 3 * width, h3)


@inner
def read_row_backward(trace, alpha, o, d, e, query, g, h):
    """Return a row's share of its query's gradient, one number for each lane, and alpha's gradient with its share."""
    lanes = lanes_of(trace)
    s, t = d * load(trace, o), e * load(trace, o + lanes)
    return fma(load(alpha, o + lanes), t, load(alpha, o) * s), fma(query, s, g), fma(query, t, h)


@kernel
def backward(
    activity, query, key, signals, starts, activity_gradient, checkpoints, every, alpha, eta, fan_out, rule, limit,
    final_gradient, final_eligibility_gradient, initial_gradient, initial_eligibility_gradient, drive_gradient,
    query_gradient, key_gradient, signal_gradient, alpha_gradients, eta_gradients, fan_out_gradients, segments,
    eligibility_segments, blocks, eligibility_blocks, rows, vectors, limited, job, n_jobs, thread,
):  # fmt: skip
    """Run the adjoint of the scan, segment by segment from the last.

    Beside what `forward` takes and has written:

    Parameters:
        activity_gradient: (T, B, N).
        final_gradient: (B, K' * N), or (0, 0) for zeros.
        final_eligibility_gradient: the same, or None for a rule without.
        initial_gradient: (B, K' * N), written, or (0, 0) where no one wants it.
        initial_eligibility_gradient: the same, or None for a rule without.
        drive_gradient: (T, B, N), written.
        query_gradient: (T, B, K), added to, as are the others.
        key_gradient: (T, B, K).
        signal_gradient: (T, B).
        alpha_gradients: (n_jobs, N / WIDTH, K * WIDTH), and the next two padded, with a row for each job.
        eta_gradients: (n_jobs, N).
        fan_out_gradients: (n_jobs, N).
        segments: (n_threads, every, K * WIDTH) for the traces of a segment.
        eligibility_segments: the same, or None.
        blocks: (n_threads, K * WIDTH) for the trace's adjoint.
        eligibility_blocks: the same for the eligibility's, or None.
        rows: (n_threads, 5, every, WIDTH) for a segment's activity, coefficients and delta.
        limited: (n_threads, every) bool, for the steps before which the trace had reached its limit.
    """
    n_steps, batch, n = activity.shape
    work, width = vectors[thread], vectors.shape[2]
    adjoint, eligibility_adjoint = blocks[thread], part(eligibility_blocks, thread)
    traces, eligibilities = segments[thread], part(eligibility_segments, thread)
    post, keep, write = rows[thread, 0], rows[thread, 1], rows[thread, 2]
    gate, delta = rows[thread, 3], rows[thread, 4]
    for b in range(job, batch, n_jobs):
        for block in range(len(alpha)):
            first = block * width
            own_eta, own_fan_out = eta[first : first + width], fan_out[first : first + width]
            set_all(adjoint, 0)
            if len(final_gradient):
                load_block(final_gradient[b], n, first, adjoint)
            if initial_eligibility_gradient is not None:
                set_all(eligibility_adjoint, 0)
                if len(final_eligibility_gradient):
                    load_block(final_eligibility_gradient[b], n, first, eligibility_adjoint)
            for segment in range(checkpoints.shape[1] - 1, -1, -1):
                begin = segment * every
                length = min(every, n_steps - begin)
                copy(checkpoints[0, segment, b, block], traces[0])
                if initial_eligibility_gradient is not None:
                    copy(checkpoints[1, segment, b, block], eligibilities[0])
                for k in range(length):
                    t = begin + k
                    if starts[t, b]:
                        set_all(traces[k], 0)
                        if initial_eligibility_gradient is not None:
                            set_all(eligibilities[k], 0)
                    load_block(activity[t, b], n, first, post[k])
                    coefficients(rule, own_eta, own_fan_out, signals[t, b], post[k], keep[k], write[k], gate[k])
                    if k + 1 < length:
                        limited[thread, k + 1] = write_only(
                            traces[k], part(eligibilities, k), traces[k + 1], part(eligibilities, k + 1), key[t, b],
                            keep[k], write[k], gate[k], limit,
                        )  # fmt: skip
                last = length - 1
                gather(
                    adjoint, eligibility_adjoint, traces[last], part(eligibilities, last), key[begin + last, b],
                    write[last], gate[last], work, limit,
                )  # fmt: skip
                for k in range(length - 1, -1, -1):
                    t = begin + k
                    load_block(activity_gradient[t, b], n, first, work[GRADIENT])
                    signal_gradient[t, b] += coefficients_backward(
                        rule, own_eta, own_fan_out, signals[t, b], post[k], work[KEEP_SUM], work[WRITE_SUM],
                        work[GATE_SUM], work[GRADIENT], eta_gradients[job, first : first + width],
                        fan_out_gradients[job, first : first + width],
                    )  # fmt: skip
                    through_tanh(work[GRADIENT], post[k], delta[k])
                    store_block(delta[k], n, first, drive_gradient[t, b])
                    # A rule with one trace that clips, but did not at the step before, needs nothing of that step.
                    free = limit is not None and eligibility_blocks is None and not limited[thread, k]
                    if k == 0 or starts[t, b] or free:
                        retreat(
                            adjoint, eligibility_adjoint, None, None, alpha[block], query[t, b], key[t - (k > 0), b],
                            keep[k], write[k], gate[k], write[k], gate[k], delta[k], work, key_gradient[t, b], limit,
                        )  # fmt: skip
                    else:
                        retreat(
                            adjoint, eligibility_adjoint, traces[k - 1], part(eligibilities, k - 1), alpha[block],
                            query[t, b], key[t - 1, b], keep[k], write[k], gate[k], write[k - 1], gate[k - 1],
                            delta[k], work, key_gradient[t, b], limit,
                        )  # fmt: skip
                    if starts[t, b]:
                        set_all(adjoint, 0)
                        if eligibility_blocks is not None:
                            set_all(eligibility_adjoint, 0)
                        set_all(work[KEEP_SUM], 0)
                        set_all(work[WRITE_SUM], 0)
                        set_all(work[GATE_SUM], 0)
                end = begin + length
                read_backward(
                    traces[:length], delta[:length], alpha[block], alpha_gradients[job, block], query[begin:end, b],
                    query_gradient[begin:end, b],
                )  # fmt: skip
            if len(initial_gradient):
                store_block(adjoint, n, first, initial_gradient[b])
            if initial_eligibility_gradient is not None and len(initial_eligibility_gradient):
                store_block(eligibility_adjoint, n, first, initial_eligibility_gradient[b])
