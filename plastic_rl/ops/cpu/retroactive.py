"""The fused scan of the retroactive rule, which keeps two traces: what `kernels` and `tiles` are to the others.

    trace <- clip(trace) + gate[j] * eligibility        eligibility <- keep[j] * eligibility + pre[i] * write[j]

with gate[j] = M(t) * fan_out[j]. The adjoint takes two sweeps for a step, since the gate's gradient needs the
eligibility of before the step.
"""

import numpy as np

from plastic_rl.ops.cpu.compiled import inner, kernel
from plastic_rl.ops.cpu.kernels import load_adjoint, load_segment
from plastic_rl.ops.cpu.layer import gradients_of, layer_coefficients, layer_coefficients_backward, through_tanh
from plastic_rl.ops.cpu.normalization import normalize, normalize_backward
from plastic_rl.ops.cpu.simd import clip, fill, fma, lanes_of, load, store, total, where_within
from plastic_rl.ops.cpu.tiles import ROWS, add_products, clip_all, pack, squash, store_tile, tile, unpack


@inner
def advance(trace, eligibility, layer, pre, post, keep, write, gate, read, old_limit, limit):
    """Write both traces of a step, and read the first for the next step in the same sweep; see `tiles.advance`."""
    lanes = lanes_of(trace)
    read[:] = 0
    old, new = fill(trace, old_limit), fill(trace, limit)
    o = 0
    for i in range(0, trace.size // keep.size, ROWS):
        for j in range(0, keep.size, lanes):
            c, u, m, r = load(keep, j), load(write, j), load(gate, j), load(read, j)
            for k in range(ROWS):
                e = load(eligibility, o)
                h = fma(m, e, clip(load(trace, o), old))
                store(trace, o, h)
                store(eligibility, o, fma(c, e, fill(trace, pre[i + k]) * u))
                h = fma(load(layer.alpha, o), clip(h, new), load(layer.weight, o))
                r = fma(fill(trace, post[i + k]), h, r)
                o += lanes
            store(read, j, r)


@inner
def rebuild(traces, eligibilities, pre, keep, write, gate, starts, old_limit, limit):
    """Compute both traces of a segment again from the first of each; see `tiles.rebuild`."""
    lanes = lanes_of(traces)
    o = 0
    for i in range(0, traces.shape[1] // keep.shape[1], ROWS):
        for j in range(0, keep.shape[1], lanes):
            h0, h1, h2, h3 = tile(traces[0], o)
            e0, e1, e2, e3 = tile(eligibilities[0], o)
            for k in range(len(traces) - 1):
                c, u, m = load(keep[k], j), load(write[k], j), load(gate[k], j)
                if starts[k]:
                    h0 = h1 = h2 = h3 = e0 = e1 = e2 = e3 = fill(keep, 0.0)
                bound = fill(keep, old_limit if k == 0 else limit)
                h0, h1 = fma(m, e0, clip(h0, bound)), fma(m, e1, clip(h1, bound))
                h2, h3 = fma(m, e2, clip(h2, bound)), fma(m, e3, clip(h3, bound))
                e0, e1 = fma(c, e0, fill(keep, pre[k, i]) * u), fma(c, e1, fill(keep, pre[k, i + 1]) * u)
                e2, e3 = fma(c, e2, fill(keep, pre[k, i + 2]) * u), fma(c, e3, fill(keep, pre[k, i + 3]) * u)
                store_tile(traces[k + 1], o, h0, h1, h2, h3)
                store_tile(eligibilities[k + 1], o, e0, e1, e2, e3)
            o += ROWS * lanes


@inner
def gather(adjoint, eligibility_adjoint, eligibility, pre, gate_sum, write_sum, keep_sum):
    """Sum the gradients of a step's gate, write and keep over the presynaptic neurons."""
    lanes = lanes_of(adjoint)
    gate_sum[:] = 0
    write_sum[:] = 0
    keep_sum[:] = 0
    o = 0
    for i in range(0, adjoint.size // gate_sum.size, ROWS):
        for j in range(0, gate_sum.size, lanes):
            s, w, c = load(gate_sum, j), load(write_sum, j), load(keep_sum, j)
            for k in range(ROWS):
                e, g = load(eligibility, o), load(eligibility_adjoint, o)
                s = fma(load(adjoint, o), e, s)
                w = fma(fill(adjoint, pre[i + k]), g, w)
                c = fma(e, g, c)
                o += lanes
            store(gate_sum, j, s)
            store(write_sum, j, w)
            store(keep_sum, j, c)


@inner
def retreat(
    adjoint, eligibility_adjoint, trace, layer, alpha_gradient, pre, keep, write, gate, delta, pre_gradient, limit
):  # fmt: skip
    """Take both adjoints back over one step; see `tiles.retreat`."""
    lanes = lanes_of(trace)
    bound = fill(trace, limit)
    for i in range(trace.size // keep.size):
        p, r = fill(trace, pre[i]), fill(trace, 0.0)
        for j in range(0, keep.size, lanes):
            o = (i // ROWS * keep.size + j) * ROWS + i % ROWS * lanes
            v, a, d = load(trace, o), load(layer.alpha, o), load(delta, j)
            g, f = load(adjoint, o), load(eligibility_adjoint, o)
            h = clip(v, bound)
            r = fma(load(write, j), f, fma(d, fma(a, h, load(layer.weight, o)), r))
            s = p * d
            store(alpha_gradient, o, fma(s, h, load(alpha_gradient, o)))
            store(eligibility_adjoint, o, fma(load(keep, j), f, load(gate, j) * g))
            store(adjoint, o, where_within(fma(a, s, g), v, bound))
        pre_gradient[i] = total(r)


@inner
def cut(adjoint, trace, limit):
    """Zero the adjoint of the final trace where the clip has cut."""
    bound = fill(trace, limit)
    for o in range(0, trace.size, lanes_of(trace)):
        store(adjoint, o, where_within(load(adjoint, o), load(trace, o), bound))


@kernel
def forward(
    drive, starts, first, initial, final, layer, rule, limit, activity, received, checkpoints, every, packed, vectors,
    job, n_jobs, thread,
):  # fmt: skip
    """Run the scan; see `kernels.forward`. Tuples and leading dimensions of two are trace and eligibility."""
    n_steps, batch, n = drive.shape
    work = vectors[thread, 0]
    pre, post, keep, write, read, gate = work[0], work[1], work[2], work[3], work[4], work[5]
    trace, eligibility = packed[thread, 0], packed[thread, 1]
    for b in range(job, batch, n_jobs):
        pack(initial[0][b], n, trace, keep.size)
        pack(initial[1][b], n, eligibility, keep.size)
        pre[:] = 0
        pre[:n] = first[b]
        keep[:] = 1
        write[:] = 0
        gate[:] = 0
        advance(trace, eligibility, layer, pre, pre, keep, write, gate, read, np.inf, np.inf)
        for t in range(n_steps):
            if starts[t, b]:
                trace[:] = 0
                eligibility[:] = 0
                read[:] = 0
                pre[:] = 0
            if checkpoints.shape[1] and t % every == 0:
                checkpoints[0, t // every, b] = trace
                checkpoints[1, t // every, b] = eligibility
            for j in range(n):
                read[j] += drive[t, b, j]
            if len(received):
                received[t, b] = read[:n]
                normalize(read[:n], layer.gain, layer.bias)
            squash(read, post)
            activity[t, b] = post[:n]
            layer_coefficients(rule, layer, post, keep, write, gate)
            old_limit = np.inf if t == 0 else limit
            advance(trace, eligibility, layer, pre, post, keep, write, gate, read, old_limit, limit)
            pre, post = post, pre
        unpack(trace, n, final[0][b], keep.size)
        clip_all(final[0][b], limit)
        unpack(eligibility, n, final[1][b], keep.size)


@kernel
def backward(
    activity, received, starts, first, activity_gradient, checkpoints, every, layer, rule, limit, final_gradients,
    initial_gradients, drive_gradient, first_gradient, gradients, segments, packed, rows, vectors, job, n_jobs, thread,
):  # fmt: skip
    """Run the adjoint of the scan; see `kernels.backward`."""
    n_steps, batch, n = activity.shape
    work, own = vectors[thread], gradients_of(gradients, job)
    traces, eligibilities = segments[thread, 0], segments[thread, 1]
    adjoint, eligibility_adjoint = packed[thread, 0], packed[thread, 1]
    gradient, write_sum, keep_sum, gate_sum, standard = work[0], work[1], work[2], work[3], work[4, :n]
    for b in range(job, batch, n_jobs):
        load_adjoint(final_gradients[0], b, n, adjoint, gradient.size)
        load_adjoint(final_gradients[1], b, n, eligibility_adjoint, gradient.size)
        gradient[:] = 0
        for segment in range(checkpoints.shape[1] - 2, -1, -1):
            begin = segment * every
            length = min(every, n_steps - begin)
            pre, post = rows[thread, 0, : length + 1], rows[thread, 1, :length]
            keep, write, delta = rows[thread, 2, :length], rows[thread, 3, :length], rows[thread, 4, :length]
            gate = rows[thread, 5, :length]
            load_segment(rule, layer, activity, first, starts, b, begin, pre, post, keep, write, gate)
            traces[0], eligibilities[0] = checkpoints[0, segment, b], checkpoints[1, segment, b]
            rebuild(
                traces[: length + 1], eligibilities[: length + 1], pre[1:], keep, write, gate,
                starts[begin : begin + length, b], np.inf if begin == 0 else limit, limit,
            )  # fmt: skip
            if begin + length == n_steps:
                cut(adjoint, traces[length], limit)
            for k in range(length - 1, -1, -1):
                t = begin + k
                for j in range(n):
                    gradient[j] += activity_gradient[t, b, j]
                if starts[t, b]:
                    eligibilities[k] = 0
                gather(adjoint, eligibility_adjoint, eligibilities[k], pre[k + 1], gate_sum, write_sum, keep_sum)
                layer_coefficients_backward(rule, layer, post[k], keep_sum, write_sum, gate_sum, gradient, own)
                through_tanh(gradient, post[k], delta[k])
                if len(received):
                    normalize_backward(received[t, b], layer.gain, delta[k, :n], standard, own.gain, own.bias)
                drive_gradient[t, b] = delta[k, :n]
                if starts[t, b]:
                    adjoint[:] = 0
                    eligibility_adjoint[:] = 0
                    gradient[:] = 0
                    continue
                retreat(
                    adjoint, eligibility_adjoint, traces[k], layer, own.alpha, pre[k + 1], keep[k], write[k], gate[k],
                    delta[k], gradient, np.inf if t == 0 else limit,
                )  # fmt: skip
            add_products(own.weight, pre[1:], delta)
        first_gradient[b] = gradient[:n]
        if len(initial_gradients[0]):
            unpack(adjoint, n, initial_gradients[0][b], gradient.size)
        if len(initial_gradients[1]):
            unpack(eligibility_adjoint, n, initial_gradients[1][b], gradient.size)
