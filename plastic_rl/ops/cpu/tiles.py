"""The inner loops of the fused scan: one sweep over a sample's trace for each step, in either direction of time.

Every rule with one trace has the same form, `trace <- keep[j] * clip(trace) + pre[i] * write[j]`, and differs only in
the vectors `keep` and `write` (`layer.coefficients`). A matrix is *packed*: tiles of ROWS rows by one vector of
columns, tile after tile, so that a sweep reads each of its matrices from front to back. Traces are kept unclipped, and
clipped where they are read: the gradient has to know what the clip cut off.

`limit` is None for a rule that does not clip, and the code for it is then left out; one that clips keeps all of its
trace, and what `keep` would need is left out.
"""

import math

from plastic_rl.ops.cpu.compiled import inner
from plastic_rl.ops.cpu.simd import broadcast, clip, fill, fma, lanes_of, load, set_all, store, total, where_within

ROWS = 4

# Minimax fit of tanh(x) = x P(x^2) / Q(x^2) on [-9, 9], beyond which float32 rounds to 1. Relative error 2e-8.
_P = (1.3354742771149269e-08, 2.0609147828459172e-05, 3.4955923713989754e-03, 0.13381029290449625, 0.9999999794675614)
_Q = (7.776593649821852e-07, 3.2856415809611369e-04, 2.587699859006884e-02, 0.4671434488713895, 1.0)


@inner
def squash(received, post):
    """Write tanh(received) into post: vectors for float32, the C library for float64 and for what is left over."""
    whole = 0 if received.itemsize == 8 else received.size // lanes_of(received) * lanes_of(received)
    for j in range(0, whole, lanes_of(received)):
        x = clip(load(received, j), fill(received, 9.0))
        s = x * x
        p, q = fill(received, _P[0]), fill(received, _Q[0])
        for k in range(1, 5):
            p, q = fma(p, s, fill(received, _P[k])), fma(q, s, fill(received, _Q[k]))
        store(post, j, clip(x * p / q, fill(received, 1.0)))
    for j in range(whole, received.size):
        post[j] = math.tanh(received[j])


# The rows of a sample's vectors in the forward sweep.
PRE, POST, KEEP, WRITE, READ, GATE = range(6)


@inner
def advance(traces, vectors, samples, weight, alpha, limit, old, new):
    """Write the trace of a step, and read it for the next one in the same sweep, for one or two `samples`.

    A trace (packed) takes the step from PRE to POST; READ becomes sum_i post[i] * (weight + alpha * trace)[i, j], what
    the next step receives. For two samples weight and alpha are read once. `vectors` is (2, 6 or more, columns). Where
    the rule clips, the trace is clipped to `old` before the step, and to `new` where it is read.
    """
    lanes, columns = lanes_of(weight), vectors.shape[2]
    first, second = vectors[0], vectors[1]
    set_all(first[READ], 0)
    set_all(second[READ], 0)
    o = 0
    for i in range(0, weight.size // columns, ROWS):
        p, x = spread(first[PRE], i), spread(first[POST], i)
        q, y = spread(second[PRE], i), spread(second[POST], i)
        for j in range(0, columns, lanes):
            a, w = tile(alpha, o), tile(weight, o)
            advance_tile(traces[0], first, p, x, a, w, o, j, limit, old, new)
            if samples == 2:
                advance_tile(traces[1], second, q, y, a, w, o, j, limit, old, new)
            o += ROWS * lanes


@inner
def advance_tile(trace, vectors, p, x, a, w, o, j, limit, old, new):
    """Do a tile's share of `advance`: the tile at `o`, whose columns begin at `j`."""
    c, u = load(vectors[KEEP], j), load(vectors[WRITE], j)
    h0, h1, h2, h3 = tile(trace, o)
    if limit is not None:
        bound = fill(trace, old)
        h0, h1, h2, h3 = clip(h0, bound), clip(h1, bound), clip(h2, bound), clip(h3, bound)
        h0, h1, h2, h3 = fma(p[0], u, h0), fma(p[1], u, h1), fma(p[2], u, h2), fma(p[3], u, h3)
    else:
        h0, h1, h2, h3 = fma(c, h0, p[0] * u), fma(c, h1, p[1] * u), fma(c, h2, p[2] * u), fma(c, h3, p[3] * u)
    store_tile(trace, o, h0, h1, h2, h3)
    if limit is not None:
        bound = fill(trace, new)
        h0, h1, h2, h3 = clip(h0, bound), clip(h1, bound), clip(h2, bound), clip(h3, bound)
    r = fma(x[0], fma(a[0], h0, w[0]), load(vectors[READ], j)) + x[1] * fma(a[1], h1, w[1])
    store(vectors[READ], j, r + fma(x[2], fma(a[2], h2, w[2]), x[3] * fma(a[3], h3, w[3])))


@inner
def spread(vector, i):
    """Return ROWS vectors, each with one of a vector's numbers from `i` on in every place."""
    return broadcast(vector, i), broadcast(vector, i + 1), broadcast(vector, i + 2), broadcast(vector, i + 3)


@inner
def pack(flat, n, packed, columns):
    """Copy an N x N matrix, flat, into a packed one, whose padding becomes zero."""
    lanes = lanes_of(flat)
    set_all(packed, 0)
    for i in range(n):
        o = i // ROWS * ROWS * columns + i % ROWS * lanes
        whole = n // lanes * lanes
        for j in range(0, whole, lanes):
            store(packed, o + j * ROWS, load(flat, i * n + j))
        for j in range(whole, n):
            packed[o + whole * ROWS + j - whole] = flat[i * n + j]


@inner
def unpack(packed, n, flat, columns):
    """Copy a packed matrix into an N x N one, flat."""
    lanes = lanes_of(flat)
    for i in range(n):
        o = i // ROWS * ROWS * columns + i % ROWS * lanes
        whole = n // lanes * lanes
        for j in range(0, whole, lanes):
            store(flat, i * n + j, load(packed, o + j * ROWS))
        for j in range(whole, n):
            flat[i * n + j] = packed[o + whole * ROWS + j - whole]


@inner
def clip_all(flat, limit):
    """Clip every number of an array."""
    for i in range(flat.size):
        flat[i] = limit if flat[i] > limit else (-limit if flat[i] < -limit else flat[i])


@inner
def tile(matrix, o):
    """Return the ROWS vectors of a packed matrix's tile."""
    lanes = lanes_of(matrix)
    return load(matrix, o), load(matrix, o + lanes), load(matrix, o + 2 * lanes), load(matrix, o + 3 * lanes)


@inner
def store_tile(matrix, o, v0, v1, v2, v3):
    """Write the ROWS vectors of a packed matrix's tile."""
    lanes = lanes_of(matrix)
    store(matrix, o, v0)
    store(matrix, o + lanes, v1)
    store(matrix, o + 2 * lanes, v2)
    store(matrix, o + 3 * lanes, v3)


@inner
def rebuild(checkpoint, traces, slots, n_steps, pre, keep, write, starts, limit, old):
    """Compute the traces of a segment's first steps again from its first, each packed and as it is before its step.

    The activity is known, so a tile takes all its steps in registers. The trace before step k is written to
    `traces[slots[k]]` unless `slots[k]` is negative. `pre`, `keep` and `write` have a row for a step. `old` is where
    the trace before the first is clipped.
    """
    columns = keep.shape[1]
    lanes = lanes_of(traces)
    for j in range(0, columns, lanes):  # outside, so that the steps' coefficients of these columns stay at hand
        for i in range(0, checkpoint.size // columns, ROWS):
            o = i * columns + j * ROWS
            h0, h1, h2, h3 = tile(checkpoint, o)
            for k in range(n_steps):
                if slots[k] >= 0:
                    store_tile(traces[slots[k]], o, h0, h1, h2, h3)
                c, u = load(keep[k], j), load(write[k], j)
                if starts[k]:
                    h0 = h1 = h2 = h3 = fill(keep, 0.0)
                elif limit is not None:
                    bound = fill(keep, old if k == 0 else limit)
                    h0, h1, h2, h3 = clip(h0, bound), clip(h1, bound), clip(h2, bound), clip(h3, bound)
                h0, h1 = fma(c, h0, broadcast(pre[k], i) * u), fma(c, h1, broadcast(pre[k], i + 1) * u)
                h2, h3 = fma(c, h2, broadcast(pre[k], i + 2) * u), fma(c, h3, broadcast(pre[k], i + 3) * u)


@inner
def undo_step(after, pre, grow, shift, trace):
    """Write the trace before a step from that after it: trace[i, j] = grow[j] * after[i, j] - pre[i] * shift[j]."""
    lanes = lanes_of(trace)
    o = 0
    for i in range(0, trace.size // grow.size, ROWS):
        p0, p1, p2, p3 = spread(pre, i)
        for j in range(0, grow.size, lanes):
            f, m = load(grow, j), load(shift, j)
            h0, h1, h2, h3 = tile(after, o)
            store_tile(trace, o, f * h0 - p0 * m, f * h1 - p1 * m, f * h2 - p2 * m, f * h3 - p3 * m)
            o += ROWS * lanes


@inner
def retreat(
    adjoint, trace, weight, alpha, alpha_gradient, pre, before, keep, write, delta, write_sum, trace_sum, pre_gradient,
    limit, bound, grow, shift,
):  # fmt: skip
    """Take the trace's adjoint back over one step, and sum it for the step before in the same sweep.

    On entry `adjoint` is that of the trace after the step, zero where the clip cut; `delta` is the gradient of what the
    neurons received. On return `adjoint` is that of the trace before the step, cut by *its* clip, and

        pre_gradient[i] = sum_j delta[j] * (weight + alpha * trace)[i, j] + write[j] * adjoint_after[i, j]
        write_sum[j] = sum_i before[i] * adjoint[i, j]       trace_sum[j] = sum_i trace[i, j] * adjoint[i, j]

    are what the step before needs before it knows its own delta (`before` is its `pre`). A rule that does not clip has
    that step undone in `trace`, too: trace <- grow[j] * trace - before[i] * shift[j]. For one that clips, to `bound`
    here, `keep` is 1, and `trace_sum` is left out.
    """
    lanes = lanes_of(trace)
    set_all(write_sum, 0)
    set_all(trace_sum, 0)
    o = 0
    for i in range(0, trace.size // keep.size, ROWS):
        p0, p1, p2, p3 = spread(pre, i)
        b0, b1, b2, b3 = spread(before, i)
        r0 = r1 = r2 = r3 = fill(trace, 0.0)
        for j in range(0, keep.size, lanes):
            c, u, d = load(keep, j), load(write, j), load(delta, j)
            f, m = load(grow, j), load(shift, j)
            s, t = load(write_sum, j), load(trace_sum, j)
            r0, s, t = retreat_row(
                adjoint, trace, weight, alpha, alpha_gradient, o,
                p0, b0, c, u, d, f, m, r0, s, t, limit, bound,
            )  # fmt: skip
            r1, s, t = retreat_row(
                adjoint, trace, weight, alpha, alpha_gradient, o + lanes,
                p1, b1, c, u, d, f, m, r1, s, t, limit, bound,
            )  # fmt: skip
            r2, s, t = retreat_row(
                adjoint, trace, weight, alpha, alpha_gradient, o + 2 * lanes,
                p2, b2, c, u, d, f, m, r2, s, t, limit, bound,
            )  # fmt: skip
            r3, s, t = retreat_row(
                adjoint, trace, weight, alpha, alpha_gradient, o + 3 * lanes,
                p3, b3, c, u, d, f, m, r3, s, t, limit, bound,
            )  # fmt: skip
            store(write_sum, j, s)
            if limit is None:
                store(trace_sum, j, t)
            o += ROWS * lanes
        pre_gradient[i], pre_gradient[i + 1] = total(r0), total(r1)
        pre_gradient[i + 2], pre_gradient[i + 3] = total(r2), total(r3)


@inner
def retreat_row(
    adjoint, trace, weight, alpha, alpha_gradient, o, p, b, c, u, d, f, m, r, write_sum, trace_sum, limit, bound
):  # fmt: skip
    """Do the share of `retreat` of one vector of each matrix, at `o`, and return the three sums with it.

    It is done before the next one is read. The compiler may not move a read over a write, and when several came first
    there would not be registers enough.
    """
    v, a, g = load(trace, o), load(alpha, o), load(adjoint, o)
    h = v if limit is None else clip(v, fill(trace, bound))
    r = fma(u, g, fma(d, fma(a, h, load(weight, o)), r))
    s = p * d
    store(alpha_gradient, o, fma(s, h, load(alpha_gradient, o)))
    if limit is None:
        g = fma(a, s, c * g)
        trace_sum = fma(h, g, trace_sum)
        store(trace, o, f * h - b * m)
    else:
        g = where_within(fma(a, s, g), v, fill(trace, bound))
    store(adjoint, o, g)
    return r, fma(b, g, write_sum), trace_sum


@inner
def add_products(matrix, pre, delta):
    """Add to a packed matrix sum_k pre[k, i] * delta[k, j]: the weight's gradient over the steps of a segment."""
    n_steps, columns = delta.shape
    lanes = lanes_of(matrix)
    whole = columns // (2 * lanes) * 2 * lanes
    for i in range(0, matrix.size // columns, ROWS):
        for j in range(0, whole, 2 * lanes):  # two tiles at a time: eight sums that do not wait for one another
            o = i * columns + j * ROWS
            s0, s1, s2, s3 = tile(matrix, o)
            t0, t1, t2, t3 = tile(matrix, o + ROWS * lanes)
            for k in range(n_steps):
                d, e = load(delta[k], j), load(delta[k], j + lanes)
                p0, p1, p2, p3 = spread(pre[k], i)
                s0, s1, s2, s3 = fma(p0, d, s0), fma(p1, d, s1), fma(p2, d, s2), fma(p3, d, s3)
                t0, t1, t2, t3 = fma(p0, e, t0), fma(p1, e, t1), fma(p2, e, t2), fma(p3, e, t3)
            store_tile(matrix, o, s0, s1, s2, s3)
            store_tile(matrix, o + ROWS * lanes, t0, t1, t2, t3)
        for j in range(whole, columns, lanes):
            o = i * columns + j * ROWS
            s0, s1, s2, s3 = tile(matrix, o)
            for k in range(n_steps):
                d = load(delta[k], j)
                p0, p1, p2, p3 = spread(pre[k], i)
                s0, s1, s2, s3 = fma(p0, d, s0), fma(p1, d, s1), fma(p2, d, s2), fma(p3, d, s3)
            store_tile(matrix, o, s0, s1, s2, s3)


@inner
def begin_retreat(adjoint, trace, before, write_sum, trace_sum, limit):
    """Prepare the adjoint of the final trace for the last step: what `retreat` leaves for the step before."""
    lanes = lanes_of(trace)
    set_all(write_sum, 0)
    set_all(trace_sum, 0)
    o = 0
    for i in range(0, trace.size // write_sum.size, ROWS):
        for j in range(0, write_sum.size, lanes):
            for k in range(ROWS):
                g, h = load(adjoint, o), load(trace, o)
                if limit is not None:
                    bound = fill(trace, limit)
                    g, h = where_within(g, h, bound), clip(h, bound)
                    store(adjoint, o, g)
                store(write_sum, j, fma(broadcast(before, i + k), g, load(write_sum, j)))
                store(trace_sum, j, fma(h, g, load(trace_sum, j)))
                o += lanes
