"""The sweeps over trace and eligibility of the retroactive rule: what `tiles` has for rules with one trace.

    trace <- clip(trace) + gate[j] * eligibility        eligibility <- keep[j] * eligibility + pre[i] * write[j]

with gate[j] = M(t) * fan_out[j]. The adjoint takes two sweeps for a step, since the gate's gradient needs the
eligibility of before the step.
"""

from plastic_rl.ops.cpu.compiled import inner
from plastic_rl.ops.cpu.simd import broadcast, clip, fill, fma, lanes_of, load, set_all, store, total, where_within
from plastic_rl.ops.cpu.tiles import GATE, KEEP, POST, PRE, READ, ROWS, WRITE, store_tile, tile


@inner
def advance(trace, eligibility, vectors, weight, alpha, old, new):
    """Write both traces of a step, and read the first for the next step in the same sweep; see `tiles.advance`."""
    lanes, columns = lanes_of(trace), vectors.shape[1]
    pre, post, keep, write, gate = vectors[PRE], vectors[POST], vectors[KEEP], vectors[WRITE], vectors[GATE]
    read = vectors[READ]
    set_all(read, 0)
    o = 0
    for i in range(0, trace.size // columns, ROWS):
        for j in range(0, columns, lanes):
            c, u, m, r = load(keep, j), load(write, j), load(gate, j), load(read, j)
            for k in range(ROWS):
                e = load(eligibility, o)
                h = fma(m, e, clip(load(trace, o), fill(trace, old)))
                store(trace, o, h)
                store(eligibility, o, fma(c, e, broadcast(pre, i + k) * u))
                h = fma(load(alpha, o), clip(h, fill(trace, new)), load(weight, o))
                r = fma(broadcast(post, i + k), h, r)
                o += lanes
            store(read, j, r)


@inner
def rebuild(checkpoint, eligibility_checkpoint, segments, slots, n_steps, pre, keep, write, gate, starts, limit, old):
    """Compute both traces of a segment's first steps again from its first; see `tiles.rebuild`."""
    lanes, columns = lanes_of(checkpoint), keep.shape[1]
    for i in range(0, checkpoint.size // columns, ROWS):
        for j in range(0, columns, lanes):
            o = i * columns + j * ROWS
            h0, h1, h2, h3 = tile(checkpoint, o)
            e0, e1, e2, e3 = tile(eligibility_checkpoint, o)
            for k in range(n_steps):
                if slots[k] >= 0:
                    store_tile(segments[0, slots[k]], o, h0, h1, h2, h3)
                    store_tile(segments[1, slots[k]], o, e0, e1, e2, e3)
                c, u, m = load(keep[k], j), load(write[k], j), load(gate[k], j)
                if starts[k]:
                    h0 = h1 = h2 = h3 = e0 = e1 = e2 = e3 = fill(keep, 0.0)
                bound = fill(keep, old if k == 0 else limit)
                h0, h1 = fma(m, e0, clip(h0, bound)), fma(m, e1, clip(h1, bound))
                h2, h3 = fma(m, e2, clip(h2, bound)), fma(m, e3, clip(h3, bound))
                e0, e1 = fma(c, e0, broadcast(pre[k], i) * u), fma(c, e1, broadcast(pre[k], i + 1) * u)
                e2, e3 = fma(c, e2, broadcast(pre[k], i + 2) * u), fma(c, e3, broadcast(pre[k], i + 3) * u)


@inner
def gather(adjoints, eligibility, pre, gate_sum, write_sum, keep_sum):
    """Sum the gradients of a step's gate, write and keep over the presynaptic neurons."""
    adjoint, eligibility_adjoint, lanes = adjoints[0], adjoints[1], lanes_of(adjoints)
    set_all(gate_sum, 0)
    set_all(write_sum, 0)
    set_all(keep_sum, 0)
    o = 0
    for i in range(0, adjoint.size // gate_sum.size, ROWS):
        for j in range(0, gate_sum.size, lanes):
            s, w, c = load(gate_sum, j), load(write_sum, j), load(keep_sum, j)
            for k in range(ROWS):
                e, g = load(eligibility, o), load(eligibility_adjoint, o)
                s = fma(load(adjoint, o), e, s)
                w = fma(broadcast(pre, i + k), g, w)
                c = fma(e, g, c)
                o += lanes
            store(gate_sum, j, s)
            store(write_sum, j, w)
            store(keep_sum, j, c)


@inner
def retreat(adjoints, trace, weight, alpha, alpha_gradient, pre, keep, write, gate, delta, pre_gradient, limit):
    """Take both adjoints back over one step; see `tiles.retreat`."""
    adjoint, eligibility_adjoint = adjoints[0], adjoints[1]
    lanes, bound = lanes_of(trace), fill(trace, limit)
    for i in range(trace.size // keep.size):
        p, r = broadcast(pre, i), fill(trace, 0.0)
        for j in range(0, keep.size, lanes):
            o = (i // ROWS * keep.size + j) * ROWS + i % ROWS * lanes
            v, a, d = load(trace, o), load(alpha, o), load(delta, j)
            g, f = load(adjoint, o), load(eligibility_adjoint, o)
            h = clip(v, bound)
            r = fma(load(write, j), f, fma(d, fma(a, h, load(weight, o)), r))
            s = p * d
            store(alpha_gradient, o, fma(s, h, load(alpha_gradient, o)))
            store(eligibility_adjoint, o, fma(load(keep, j), f, load(gate, j) * g))
            store(adjoint, o, where_within(fma(a, s, g), v, bound))
        pre_gradient[i] = total(r)
