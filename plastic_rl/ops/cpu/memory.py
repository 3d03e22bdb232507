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

from plastic_rl.ops.cpu.compiled import inner, kernel
from plastic_rl.ops.cpu.layer import coefficients, coefficients_backward, through_tanh
from plastic_rl.ops.cpu.simd import add_totals, clip, fill, fma, lanes_of, load, store, where_within
from plastic_rl.ops.cpu.tiles import squash

VECTORS = 2  # of a block's columns: enough sums that do not wait for one another, and few enough for the registers
ROWS = 4  # done at a time in the backward, so that their sums over columns come out as one vector

# The rows of a block's vectors.
POST, KEEP, WRITE, GATE, READ, GRADIENT, DELTA, KEEP_SUM, WRITE_SUM, GATE_SUM = range(10)


def part(arrays, i):
    """Return one of some arrays, or None of None."""
    return None if arrays is None else arrays[i]


@overload(part)  # compiled as it stands, it would return an optional array
def _part(arrays, i):
    if isinstance(arrays, types.NoneType):
        return lambda arrays, i: None
    return lambda arrays, i: arrays[i]


@inner
def load_block(matrix, n_columns, first, block):
    """Copy columns from `first` on of a flat (K, n_columns) matrix into a block, whose padding becomes zero."""
    width = VECTORS * lanes_of(block)
    block[:] = 0
    for i in range(matrix.size // n_columns):
        for j in range(min(width, n_columns - first)):
            block[i * width + j] = matrix[i * n_columns + first + j]


@inner
def store_block(block, n_columns, first, matrix):
    """Copy a block into columns from `first` on of a flat (K, n_columns) matrix."""
    width = VECTORS * lanes_of(block)
    for i in range(matrix.size // n_columns):
        for j in range(min(width, n_columns - first)):
            matrix[i * n_columns + first + j] = block[i * width + j]


@inner
def load_row(row, first, vector):
    """Copy a row's numbers from `first` on into a vector, padded with zeros."""
    for j in range(vector.size):
        vector[j] = row[first + j] if first + j < row.size else 0


@inner
def store_row(vector, first, row):
    """Copy a vector into a row from `first` on, without its padding."""
    for j in range(min(vector.size, row.size - first)):
        row[first + j] = vector[j]


@inner
def write_vector(trace, eligibility, o, p, c, u, g, limit):
    """Write one vector of the traces, at `o`, and return what the trace has become."""
    h = load(trace, o)
    if eligibility is None:
        if limit is None:
            h = fma(c, h, p * u)
        else:
            h = clip(fma(p, u, h), fill(trace, limit))
    else:
        e = load(eligibility, o)
        h = clip(fma(g, e, h), fill(trace, limit))
        store(eligibility, o, fma(c, e, p * u))
    store(trace, o, h)
    return h


@inner
def write_and_read(trace, eligibility, alpha, key, query, vectors, limit):
    """Write the traces with a step's key, and read the first with the next step's query: READ becomes the result."""
    lanes = lanes_of(trace)
    c0, c1 = load(vectors[KEEP], 0), load(vectors[KEEP], lanes)
    u0, u1 = load(vectors[WRITE], 0), load(vectors[WRITE], lanes)
    g0, g1 = load(vectors[GATE], 0), load(vectors[GATE], lanes)
    r0 = r1 = s0 = s1 = fill(trace, 0.0)
    o = 0
    for i in range(0, key.size, 2):
        p, q = fill(trace, key[i]), fill(trace, query[i])
        h = write_vector(trace, eligibility, o, p, c0, u0, g0, limit)
        r0 = fma(q, load(alpha, o) * h, r0)
        h = write_vector(trace, eligibility, o + lanes, p, c1, u1, g1, limit)
        r1 = fma(q, load(alpha, o + lanes) * h, r1)
        o += VECTORS * lanes
        p, q = fill(trace, key[i + 1]), fill(trace, query[i + 1])
        h = write_vector(trace, eligibility, o, p, c0, u0, g0, limit)
        s0 = fma(q, load(alpha, o) * h, s0)
        h = write_vector(trace, eligibility, o + lanes, p, c1, u1, g1, limit)
        s1 = fma(q, load(alpha, o + lanes) * h, s1)
        o += VECTORS * lanes
    store(vectors[READ], 0, r0 + s0)
    store(vectors[READ], lanes, r1 + s1)


@inner
def write_only(trace, eligibility, key, keep, write, gate, limit):
    """Write the traces with a step's key."""
    lanes = lanes_of(trace)
    o = 0
    for i in range(key.size):
        p = fill(trace, key[i])
        for j in range(0, VECTORS * lanes, lanes):
            write_vector(trace, eligibility, o, p, load(keep, j), load(write, j), load(gate, j), limit)
            o += lanes


@inner
def read_only(trace, alpha, query, read):
    """Read a trace with a query."""
    lanes = lanes_of(trace)
    read[:] = 0
    o = 0
    for i in range(query.size):
        for j in range(0, VECTORS * lanes, lanes):
            store(read, j, fma(fill(trace, query[i]), load(alpha, o) * load(trace, o), load(read, j)))
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
        vectors: (n_threads, 10, WIDTH) to work in.
        job: the first sample.
        n_jobs: the distance between samples.
        thread: whose space to work in.
    """
    n_steps, batch, n = drive.shape
    work, width = vectors[thread], vectors.shape[2]
    trace, eligibility = blocks[thread], part(eligibility_blocks, thread)
    work[GATE] = 0
    for b in range(job, batch, n_jobs):
        for block in range(len(alpha)):
            first = block * width
            load_block(initial[b], n, first, trace)
            if final_eligibility is not None:
                load_block(initial_eligibility[b], n, first, eligibility)
            read_only(trace, alpha[block], query[0, b], work[READ])
            for t in range(n_steps):
                if starts[t, b]:
                    trace[:] = 0
                    if final_eligibility is not None:
                        eligibility[:] = 0
                    work[READ] = 0
                if checkpoints.shape[1] and t % every == 0:
                    checkpoints[0, t // every, b, block] = trace
                    if final_eligibility is not None:
                        checkpoints[1, t // every, b, block] = eligibility
                load_row(drive[t, b], first, work[POST])
                for j in range(0, width, lanes_of(trace)):
                    store(work[POST], j, load(work[POST], j) + load(work[READ], j))
                squash(work[POST], work[POST])
                store_row(work[POST], first, activity[t, b])
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
def gather_vector(trace, eligibility, o, g, f, p, u, m, keep_sum, write_sum, gate_sum, limit):
    """Take the adjoints of one vector of the traces after a step through the clip, and add to the step's sums.

    Args:
        trace: before the step, as is `eligibility`.
        eligibility: or None.
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
    h = load(trace, o)
    if eligibility is None:
        if limit is None:
            keep_sum = fma(h, g, keep_sum)
        else:
            g = where_within(g, fma(p, u, h), fill(trace, limit))
        write_sum = fma(p, g, write_sum)
    else:
        e = load(eligibility, o)
        g = where_within(g, fma(m, e, h), fill(trace, limit))
        gate_sum = fma(e, g, gate_sum)
        keep_sum = fma(e, f, keep_sum)
        write_sum = fma(p, f, write_sum)
    return g, keep_sum, write_sum, gate_sum


@inner
def gather(adjoint, eligibility_adjoint, trace, eligibility, key, write, gate, vectors, limit):
    """Do `gather_vector` for a whole block."""
    lanes = lanes_of(trace)
    vectors[KEEP_SUM] = 0
    vectors[WRITE_SUM] = 0
    vectors[GATE_SUM] = 0
    o = 0
    for i in range(key.size):
        p = fill(trace, key[i])
        for j in range(0, VECTORS * lanes, lanes):
            g = load(adjoint, o)
            f = g if eligibility is None else load(eligibility_adjoint, o)
            g, c, u, m = gather_vector(
                trace, eligibility, o, g, f, p, load(write, j), load(gate, j),
                load(vectors[KEEP_SUM], j), load(vectors[WRITE_SUM], j), load(vectors[GATE_SUM], j), limit,
            )  # fmt: skip
            store(adjoint, o, g)
            store(vectors[KEEP_SUM], j, c)
            store(vectors[WRITE_SUM], j, u)
            store(vectors[GATE_SUM], j, m)
            o += lanes


@inner
def retreat_vector(
    adjoint, eligibility_adjoint, trace, eligibility, alpha, alpha_gradient, o, q, d, c, u, m, query_sum, key_sum, limit
):
    """Take the adjoints of one vector back over a step.

    Returns:
        The adjoints of trace and eligibility before the step, and the sums over columns for query and key.
    """
    h, a, g = load(trace, o), load(alpha, o), load(adjoint, o)
    query_sum = fma(d, a * h, query_sum)
    s = q * d
    store(alpha_gradient, o, fma(s, h, load(alpha_gradient, o)))
    if eligibility is None:
        key_sum = fma(u, g, key_sum)
        if limit is None:
            g = fma(a, s, c * g)
        else:
            g = fma(a, s, g)
        return g, g, query_sum, key_sum
    f = load(eligibility_adjoint, o)
    key_sum = fma(u, f, key_sum)
    return fma(a, s, g), fma(c, f, m * g), query_sum, key_sum


@inner
def retreat(
    adjoint, eligibility_adjoint, trace, eligibility, before, eligibility_before, alpha, alpha_gradient, query, key,
    key_before, keep, write, gate, write_before, gate_before, vectors, query_gradient, key_gradient, limit,
):  # fmt: skip
    """Take the adjoints back over a step, and gather them for the step before, unless `before` is None."""
    lanes = lanes_of(trace)
    vectors[KEEP_SUM] = 0
    vectors[WRITE_SUM] = 0
    vectors[GATE_SUM] = 0
    zero = fill(trace, 0.0)
    for i in range(0, key.size, ROWS):
        q0 = q1 = q2 = q3 = k0 = k1 = k2 = k3 = zero
        for j in range(0, VECTORS * lanes, lanes):
            o = i * VECTORS * lanes + j
            d, c, u, m = load(vectors[DELTA], j), load(keep, j), load(write, j), load(gate, j)
            sums = load(vectors[KEEP_SUM], j), load(vectors[WRITE_SUM], j), load(vectors[GATE_SUM], j)
            q0, k0, sums = retreat_row(
                adjoint, eligibility_adjoint, trace, eligibility, before, eligibility_before, alpha, alpha_gradient,
                o, j, query[i], key_before[i], d, c, u, m, write_before, gate_before, q0, k0, sums, limit,
            )  # fmt: skip
            q1, k1, sums = retreat_row(
                adjoint, eligibility_adjoint, trace, eligibility, before, eligibility_before, alpha, alpha_gradient,
                o + VECTORS * lanes, j, query[i + 1], key_before[i + 1], d, c, u, m, write_before, gate_before,
                q1, k1, sums, limit,
            )  # fmt: skip
            q2, k2, sums = retreat_row(
                adjoint, eligibility_adjoint, trace, eligibility, before, eligibility_before, alpha, alpha_gradient,
                o + 2 * VECTORS * lanes, j, query[i + 2], key_before[i + 2], d, c, u, m, write_before, gate_before,
                q2, k2, sums, limit,
            )  # fmt: skip
            q3, k3, sums = retreat_row(
                adjoint, eligibility_adjoint, trace, eligibility, before, eligibility_before, alpha, alpha_gradient,
                o + 3 * VECTORS * lanes, j, query[i + 3], key_before[i + 3], d, c, u, m, write_before, gate_before,
                q3, k3, sums, limit,
            )  # fmt: skip
            store(vectors[KEEP_SUM], j, sums[0])
            store(vectors[WRITE_SUM], j, sums[1])
            store(vectors[GATE_SUM], j, sums[2])
        add_totals(query_gradient, i, q0, q1, q2, q3)
        add_totals(key_gradient, i, k0, k1, k2, k3)


@inner
def retreat_row(
    adjoint, eligibility_adjoint, trace, eligibility, before, eligibility_before, alpha, alpha_gradient, o, j, query,
    key_before, d, c, u, m, write_before, gate_before, query_sum, key_sum, sums, limit,
):  # fmt: skip
    """Do one vector's share of `retreat`, before the next is read, as in `tiles.retreat_row`."""
    g, f, query_sum, key_sum = retreat_vector(
        adjoint, eligibility_adjoint, trace, eligibility, alpha, alpha_gradient, o, fill(trace, query), d, c, u, m,
        query_sum, key_sum, limit,
    )  # fmt: skip
    if before is not None:
        g, x, y, z = gather_vector(
            before, eligibility_before, o, g, f, fill(trace, key_before), load(write_before, j), load(gate_before, j),
            sums[0], sums[1], sums[2], limit,
        )  # fmt: skip
        sums = x, y, z
    store(adjoint, o, g)
    if eligibility is not None:
        store(eligibility_adjoint, o, f)
    return query_sum, key_sum, sums


@kernel
def backward(
    activity, query, key, signals, starts, activity_gradient, checkpoints, every, alpha, eta, fan_out, rule, limit,
    final_gradient, final_eligibility_gradient, initial_gradient, initial_eligibility_gradient, drive_gradient,
    query_gradient, key_gradient, signal_gradient, alpha_gradients, eta_gradients, fan_out_gradients, segments,
    eligibility_segments, blocks, rows, vectors, job, n_jobs, thread,
):  # fmt: skip
    """Run the adjoint of the scan, segment by segment from the last; see `forward` for what is not named here.

    Args:
        activity_gradient: (T, B, N).
        final_gradient: (B, K' * N), as are the next three; None stands for an eligibility that is not there.
        final_eligibility_gradient: or None.
        initial_gradient: written.
        initial_eligibility_gradient: written, or None.
        drive_gradient: (T, B, N), written.
        query_gradient: (T, B, K), added to, as are the others.
        key_gradient: (T, B, K).
        signal_gradient: (T, B).
        alpha_gradients: (n_jobs, N / WIDTH, K * WIDTH), and the next two padded, with a row for each job.
        eta_gradients: (n_jobs, N).
        fan_out_gradients: (n_jobs, N).
        segments: (n_threads, every, K * WIDTH) for the traces of a segment.
        eligibility_segments: the same, or None.
        blocks: (n_threads, 2, K * WIDTH) for the adjoints.
        rows: (n_threads, 4, every, WIDTH) for its activity and coefficients.
    """
    n_steps, batch, n = activity.shape
    work, width = vectors[thread], vectors.shape[2]
    adjoint, eligibility_adjoint = blocks[thread, 0], blocks[thread, 1]
    traces, eligibilities = segments[thread], part(eligibility_segments, thread)
    post, keep, write, gate = rows[thread, 0], rows[thread, 1], rows[thread, 2], rows[thread, 3]
    gate[:] = 0
    for b in range(job, batch, n_jobs):
        for block in range(len(alpha)):
            first = block * width
            own_eta, own_fan_out = eta[first : first + width], fan_out[first : first + width]
            load_block(final_gradient[b], n, first, adjoint)
            if initial_eligibility_gradient is not None:
                load_block(final_eligibility_gradient[b], n, first, eligibility_adjoint)
            for segment in range(checkpoints.shape[1] - 1, -1, -1):
                begin = segment * every
                length = min(every, n_steps - begin)
                traces[0] = checkpoints[0, segment, b, block]
                if initial_eligibility_gradient is not None:
                    eligibilities[0] = checkpoints[1, segment, b, block]
                for k in range(length):
                    t = begin + k
                    if starts[t, b]:
                        traces[k] = 0
                        if initial_eligibility_gradient is not None:
                            eligibilities[k] = 0
                    load_row(activity[t, b], first, post[k])
                    coefficients(rule, own_eta, own_fan_out, signals[t, b], post[k], keep[k], write[k], gate[k])
                    if k + 1 < length:
                        traces[k + 1] = traces[k]
                        if initial_eligibility_gradient is not None:
                            eligibilities[k + 1] = eligibilities[k]
                        write_only(
                            traces[k + 1], part(eligibilities, k + 1), key[t, b], keep[k], write[k], gate[k], limit
                        )
                last = length - 1
                gather(
                    adjoint, eligibility_adjoint, traces[last], part(eligibilities, last), key[begin + last, b],
                    write[last], gate[last], work, limit,
                )  # fmt: skip
                for k in range(length - 1, -1, -1):
                    t = begin + k
                    load_row(activity_gradient[t, b], first, work[GRADIENT])
                    signal_gradient[t, b] += coefficients_backward(
                        rule, own_eta, own_fan_out, signals[t, b], post[k], work[KEEP_SUM], work[WRITE_SUM],
                        work[GATE_SUM], work[GRADIENT], eta_gradients[job, first : first + width],
                        fan_out_gradients[job, first : first + width],
                    )  # fmt: skip
                    through_tanh(work[GRADIENT], post[k], work[DELTA])
                    store_row(work[DELTA], first, drive_gradient[t, b])
                    if k > 0 and not starts[t, b]:
                        retreat(
                            adjoint, eligibility_adjoint, traces[k], part(eligibilities, k), traces[k - 1],
                            part(eligibilities, k - 1), alpha[block], alpha_gradients[job, block], query[t, b], key[t, b],
                            key[t - 1, b], keep[k], write[k], gate[k], write[k - 1], gate[k - 1], work,
                            query_gradient[t, b], key_gradient[t, b], limit,
                        )  # fmt: skip
                        continue
                    retreat(
                        adjoint, eligibility_adjoint, traces[k], part(eligibilities, k), None, None, alpha[block],
                        alpha_gradients[job, block], query[t, b], key[t, b], key[t, b], keep[k], write[k], gate[k],
                        write[k], gate[k], work, query_gradient[t, b], key_gradient[t, b], limit,
                    )  # fmt: skip
                    if starts[t, b]:
                        adjoint[:] = 0
                        eligibility_adjoint[:] = 0
            store_block(adjoint, n, first, initial_gradient[b])
            if initial_eligibility_gradient is not None:
                store_block(eligibility_adjoint, n, first, initial_eligibility_gradient[b])
