# ruff: noqa: N803 - B, K, N and T as in the shapes; capitals for what is constant when compiling
"""The scan of a layer whose queries and keys are given, as Triton kernels.

Columns of a trace need nothing of one another here, so no program waits for another: program (g, k) takes SAMPLES
samples from g * SAMPLES on, and of each COLS columns from k * COLS on, through all steps. Its blocks have the shape
(SAMPLES, ROWS, COLS), and traces, adjoints and alpha stay in registers through time.

A step has three phases. Reset: traces become zero where an episode starts. Read: the query meets alpha * trace, and the
neurons' activity is known. Write: the rule writes the traces with the key. The backward takes them in reverse order.
It runs in segments from the last: first the traces before each step of a segment are computed again from a checkpoint,
then, behind a barrier since another thread may have stored what one loads, the adjoint goes back through them.

Traces are kept clipped. What was written before the clip is computed again where the gradient needs it.
"""

import triton
import triton.language as tl

from plastic_rl.ops.cuda.kernels import DECAY, MODULATED, OJA, RETROACTIVE, _tanh


@triton.jit
def _limited(x):
    return tl.where(x > 1, 1.0, tl.where(x < -1, -1.0, x)).to(x.dtype)


@triton.jit
def _within(gradient, written):
    """Return the gradient where the clip did not cut what was written."""
    return tl.where(tl.abs(written) <= 1, gradient, 0.0).to(gradient.dtype)


@triton.jit
def _write_decay(trace, key, post, eta):
    return (1 - eta) * trace + key * (eta * post)


@triton.jit
def _write_oja(trace, key, post, eta):
    return trace + eta * post * (key - post * trace)


@triton.jit
def _write_modulated(trace, key, post, gate):
    return trace + key * (gate * post)


@triton.jit
def _write_retroactive(trace, eligibility, gate):
    return trace + gate * eligibility


@triton.jit
def _write(trace, eligibility, key, post, eta, gate, RULE: tl.constexpr):
    """Return both traces after a step; `key` is (S, ROWS, 1), the vectors are (S, 1, COLS) or (1, 1, COLS)."""
    if RULE == DECAY:
        trace = _write_decay(trace, key, post, eta)
    elif RULE == OJA:
        trace = _write_oja(trace, key, post, eta)
    elif RULE == MODULATED:
        trace = _limited(_write_modulated(trace, key, post, gate))
    else:
        trace = _limited(_write_retroactive(trace, eligibility, gate))
        eligibility = _write_decay(eligibility, key, post, eta)
    return trace, eligibility


@triton.jit
def _write_decay_backward(g, trace, key, post, eta):
    """Return the adjoint before the step, and the gradients of post and eta (S, COLS), and of key (S, ROWS)."""
    written, kept = tl.sum(key * g, 1)[:, None, :], tl.sum(trace * g, 1)[:, None, :]
    return (1 - eta) * g, eta * written, post * written - kept, tl.sum(eta * post * g, 2)


@triton.jit
def _write_oja_backward(g, trace, key, post, eta):
    """Do for Oja's rule what `_write_decay_backward` does."""
    written, kept = tl.sum(key * g, 1)[:, None, :], tl.sum(trace * g, 1)[:, None, :]
    of_post, of_eta = eta * (written - 2 * post * kept), post * (written - post * kept)
    return (1 - eta * post * post) * g, of_post, of_eta, tl.sum(eta * post * g, 2)


@triton.jit
def _write_modulated_backward(g, trace, key, post, gate):
    """Return the adjoint before the step, and the gradients of post and gate, and of key."""
    g = _within(g, _write_modulated(trace, key, post, gate))
    written = tl.sum(key * g, 1)[:, None, :]
    return g, gate * written, post * written, tl.sum(gate * post * g, 2)


@triton.jit
def _write_retroactive_backward(g, trace, eligibility, gate):
    """Return the adjoints of the trace and, from it, of the eligibility before the step, and the gradient of gate."""
    g = _within(g, _write_retroactive(trace, eligibility, gate))
    return g, gate * g, tl.sum(eligibility * g, 1)[:, None, :]


@triton.jit
def _places(B, K, N, SAMPLES: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr):
    """Return 0; a program's samples, rows and columns; where its traces lie, in a sample and in all; what exists."""
    zero = tl.program_id(0).to(tl.int64) * 0  # a number plus this is a tensor, also in the interpreter
    b = tl.program_id(0).to(tl.int64) * SAMPLES + tl.arange(0, SAMPLES)
    i = tl.arange(0, ROWS)
    j = tl.program_id(1) * COLS + tl.arange(0, COLS)
    own = i[None, :, None] * N + j[None, None, :]
    within = (i[None, :, None] < K) & (j[None, None, :] < N)
    inside = (b[:, None, None] < B) & within
    row, column = (b[:, None] < B) & (i[None, :] < K), (b[:, None] < B) & (j[None, :] < N)
    return zero, b, i, j, own, b[:, None, None] * K * N + own, within, inside, row, column


@triton.jit
def _layer(alpha, eta, fan_out, own, j, within, N):
    """Return a program's part of alpha (1, ROWS, COLS), and of eta and fan_out (1, 1, COLS)."""
    a = tl.load(alpha + own, mask=within, other=0.0)
    rate = tl.load(eta + j, mask=j < N, other=0.0)[None, None, :]
    return a, rate, tl.load(fan_out + j, mask=j < N, other=0.0)[None, None, :]


@triton.jit(do_not_specialize=["T", "B", "every", "n_segments"])
def forward(
    drive, query, key, signals, starts, initial, final, alpha, eta, fan_out, activity, checkpoints,
    T, B, K, N, every, n_segments,
    RULE: tl.constexpr, SAMPLES: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Run the scan, and save the traces before every `every`-th step into `checkpoints` (traces, n_segments, B, K, N).

    `initial` and `final` are (traces, B, K, N), `signals` (T, B).
    """
    zero, b, i, j, own, at, within, inside, row, column = _places(B, K, N, SAMPLES, ROWS, COLS)
    a, rate, fans = _layer(alpha, eta, fan_out, own, j, within, N)
    size = (zero + B) * K * N
    trace = tl.load(initial + at, mask=inside, other=0.0)
    eligibility = trace
    if RULE == RETROACTIVE:
        eligibility = tl.load(initial + size + at, mask=inside, other=0.0)
    for index in range(0, T):
        t = zero + index
        sample = t * B + b
        # Reset
        start = tl.load(starts + sample, mask=b < B, other=0)[:, None, None]
        trace = tl.where(start != 0, 0.0, trace).to(trace.dtype)
        eligibility = tl.where(start != 0, 0.0, eligibility).to(trace.dtype)
        save = inside & (at * 0 + n_segments > 0) & (at * 0 + t % every == 0)
        slot = checkpoints + t // every * size + at
        tl.store(slot, trace, mask=save)
        if RULE == RETROACTIVE:
            tl.store(slot + n_segments * size, eligibility, mask=save)
        # Read
        q = tl.load(query + sample[:, None] * K + i[None, :], mask=row, other=0.0)[:, :, None]
        here = sample[:, None] * N + j[None, :]
        post = _tanh(tl.load(drive + here, mask=column, other=0.0) + tl.sum(q * (a * trace), 1))
        tl.store(activity + here, post, mask=column)
        # Write
        p = tl.load(key + sample[:, None] * K + i[None, :], mask=row, other=0.0)[:, :, None]
        gate = tl.load(signals + sample, mask=b < B, other=0.0)[:, None, None] * fans
        trace, eligibility = _write(trace, eligibility, p, post[:, None, :], rate, gate, RULE)
    tl.store(final + at, trace, mask=inside)
    if RULE == RETROACTIVE:
        tl.store(final + size + at, eligibility, mask=inside)


@triton.jit(do_not_specialize=["begin", "length", "every", "T", "B"])
def backward(
    activity, query, key, signals, starts, activity_gradient, checkpoint, second_checkpoint, alpha, eta, fan_out,
    traces, adjoints, drive_gradient, query_gradient, key_gradient, signal_gradient, alpha_gradient, eta_gradient,
    fan_out_gradient, begin, length, every, T, B, K, N,
    RULE: tl.constexpr, SAMPLES: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Run the adjoint of one segment, from `begin` on.

    `adjoints` (traces, B, K, N) are those after the segment and become those before it. `traces` (traces, every, B, K,
    N) is to work in. What all columns add to has a part for each program along the columns: the gradients of query and
    key (parts, T, B, K) and of the signal (parts, T, B). Those of alpha (groups, K, N), eta and fan_out (groups, N) are
    added to, one for each group of samples.
    """
    group, part = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    zero, b, i, j, own, at, within, inside, row, column = _places(B, K, N, SAMPLES, ROWS, COLS)
    a, rate, fans = _layer(alpha, eta, fan_out, own, j, within, N)
    size = (zero + B) * K * N
    # The traces before each step, computed again.
    trace = tl.load(checkpoint + at, mask=inside, other=0.0)
    eligibility = trace
    if RULE == RETROACTIVE:
        eligibility = tl.load(second_checkpoint + at, mask=inside, other=0.0)
    for index in range(0, length):
        k = zero + index
        sample = (begin + k) * B + b
        start = tl.load(starts + sample, mask=b < B, other=0)[:, None, None]
        trace = tl.where(start != 0, 0.0, trace).to(trace.dtype)
        eligibility = tl.where(start != 0, 0.0, eligibility).to(trace.dtype)
        tl.store(traces + k * size + at, trace, mask=inside)
        if RULE == RETROACTIVE:
            tl.store(traces + (k + every) * size + at, eligibility, mask=inside)
        post = tl.load(activity + sample[:, None] * N + j[None, :], mask=column, other=0.0)[:, None, :]
        p = tl.load(key + sample[:, None] * K + i[None, :], mask=row, other=0.0)[:, :, None]
        gate = tl.load(signals + sample, mask=b < B, other=0.0)[:, None, None] * fans
        trace, eligibility = _write(trace, eligibility, p, post, rate, gate, RULE)
    tl.debug_barrier()
    g = tl.load(adjoints + at, mask=inside, other=0.0)
    f = g
    if RULE == RETROACTIVE:
        f = tl.load(adjoints + size + at, mask=inside, other=0.0)
    of_alpha = tl.sum(g * 0, 0)
    of_eta = tl.sum(of_alpha, 0)
    of_fan_out = of_eta
    for back in range(0, length):
        k = zero + length - 1 - back
        sample = (begin + k) * B + b
        presynaptic = sample[:, None] * K + i[None, :]
        here = sample[:, None] * N + j[None, :]
        v = tl.load(traces + k * size + at, mask=inside, other=0.0)
        p = tl.load(key + presynaptic, mask=row, other=0.0)[:, :, None]
        q = tl.load(query + presynaptic, mask=row, other=0.0)[:, :, None]
        post = tl.load(activity + here, mask=column, other=0.0)[:, None, :]
        signal = tl.load(signals + sample, mask=b < B, other=0.0)[:, None, None]
        gate = signal * fans
        # Write
        if RULE == DECAY:
            g, of_post, rates, of_key = _write_decay_backward(g, v, p, post, rate)
            of_eta += tl.sum(tl.sum(rates, 1), 0)
        elif RULE == OJA:
            g, of_post, rates, of_key = _write_oja_backward(g, v, p, post, rate)
            of_eta += tl.sum(tl.sum(rates, 1), 0)
        elif RULE == MODULATED:
            g, of_post, gates, of_key = _write_modulated_backward(g, v, p, post, gate)
        else:
            e = tl.load(traces + (k + every) * size + at, mask=inside, other=0.0)
            g, of_eligibility, gates = _write_retroactive_backward(g, v, e, gate)
            f, of_post, rates, of_key = _write_decay_backward(f, e, p, post, rate)
            f += of_eligibility
            of_eta += tl.sum(tl.sum(rates, 1), 0)
        if RULE >= MODULATED:
            of_fan_out += tl.sum(tl.sum(gates * signal, 1), 0)
            of_signal = tl.sum(tl.sum(gates * fans, 2), 1)
            tl.store(signal_gradient + part * T * B + sample, of_signal, mask=b < B)
        tl.store(key_gradient + part * T * B * K + presynaptic, of_key, mask=row)
        # Read
        gradient = tl.load(activity_gradient + here, mask=column, other=0.0)[:, None, :] + of_post
        delta = gradient * (1 - post * post)
        tl.store(drive_gradient + here, tl.sum(delta, 1), mask=column)
        tl.store(query_gradient + part * T * B * K + presynaptic, tl.sum(a * v * delta, 2), mask=row)
        of_alpha += tl.sum(q * delta * v, 0)
        g += a * (q * delta)
        # Reset
        start = tl.load(starts + sample, mask=b < B, other=0)[:, None, None]
        g = tl.where(start != 0, 0.0, g).to(g.dtype)
        f = tl.where(start != 0, 0.0, f).to(g.dtype)
    tl.store(adjoints + at, g, mask=inside)
    if RULE == RETROACTIVE:
        tl.store(adjoints + size + at, f, mask=inside)
    flat = i[:, None] * N + j[None, :]
    there = (i[:, None] < K) & (j[None, :] < N)
    slot = alpha_gradient + group * K * N + flat
    tl.store(slot, of_alpha + tl.load(slot, mask=there, other=0.0), mask=there)
    slot = eta_gradient + group * N + j
    tl.store(slot, of_eta + tl.load(slot, mask=j < N, other=0.0), mask=j < N)
    slot = fan_out_gradient + group * N + j
    tl.store(slot, of_fan_out + tl.load(slot, mask=j < N, other=0.0), mask=j < N)
