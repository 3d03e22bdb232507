# ruff: noqa: N803 - B, K, N and T as in the shapes; capitals for what is constant when compiling
"""The scan of a layer with given queries and keys as Triton kernels: programs share nothing, time inside.

A column of a trace depends on no other column, since M(t) is given. So each program does all steps of one sample and
COLS columns, with its part of the trace in registers, and none waits for another. Rows are padded to a power of two.
A step has these phases:

    forward     reset where an episode starts; save a checkpoint; read with the query; tanh; write with the key
    backward    segment by segment from the last. The traces before each step of a segment are written again from its
                checkpoint into `traces`, which no other program touches. Then, from the last step back: through the
                clip, the write, tanh and the read

Gradients of what programs have in common (query, key and M(t) of a sample) are written for each program on its own,
and summed outside: atomic additions would come in another order each time.
"""

import triton
import triton.language as tl

from plastic_rl.ops.cuda.kernels import DECAY, MODULATED, OJA, RETROACTIVE, _like, _tanh


@triton.jit
def _clipped(x):
    return tl.where(x > 1, 1.0, tl.where(x < -1, -1.0, x)).to(x.dtype)


@triton.jit
def _write_decay(trace, key, post, eta):
    return (1 - eta) * trace + key * (eta * post)


@triton.jit
def _write_oja(trace, key, post, eta):
    return trace + eta * post * (key - post * trace)


@triton.jit
def _write(trace, eligibility, key, post, eta, gate, RULE: tl.constexpr):
    """Return both traces after a step; `key` is a column, the other vectors are rows."""
    if RULE == DECAY:
        trace = _write_decay(trace, key, post, eta)
    elif RULE == OJA:
        trace = _write_oja(trace, key, post, eta)
    elif RULE == MODULATED:
        trace = _clipped(trace + key * (gate * post))
    else:
        trace = _clipped(trace + gate * eligibility)
        eligibility = _write_decay(eligibility, key, post, eta)
    return trace, eligibility


@triton.jit(do_not_specialize=["T", "B", "every", "n_segments"])
def forward(
    drive, query, key, signals, starts, traces, alpha, eta, fan_out, activity, checkpoints, T, B, K, N, every,
    n_segments, RULE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Run the scan of sample `program_id(0)` and the columns of `program_id(1)`.

    `drive` and `activity` are (T, B, N), `query` and `key` (T, B, K), `signals` (T, B) M(t). `traces` (n_traces, B, K,
    N) is the state before and after; `checkpoints` (n_traces, n_segments, B, K, N) the trace before every `every`-th
    step.
    """
    b = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, ROWS)
    j = tl.program_id(1) * COLS + tl.arange(0, COLS)
    at = b * K * N + i[:, None] * N + j[None, :]
    inside = (i[:, None] < K) & (j[None, :] < N)
    size = (b * 0 + B) * K * N
    trace = tl.load(traces + at, mask=inside, other=0.0)
    eligibility = trace
    if RULE == RETROACTIVE:
        eligibility = tl.load(traces + size + at, mask=inside, other=0.0)
    a = tl.load(alpha + at - b * K * N, mask=inside, other=0.0)
    rate = tl.load(eta + j, mask=j < N, other=0.0)[None, :]
    fan = tl.load(fan_out + j, mask=j < N, other=0.0)[None, :]
    for index in range(0, T):
        t = b * 0 + index  # a tensor, also where the interpreter's index is a number
        start = tl.load(starts + t * B + b).to(tl.int32)
        trace = tl.where(start != 0, 0.0, trace).to(trace.dtype)
        eligibility = tl.where(start != 0, 0.0, eligibility).to(trace.dtype)
        save = inside & (_like(n_segments, at) > 0) & (_like(t, at) % every == 0)
        slot = checkpoints + t // every * size + at
        tl.store(slot, trace, mask=save)
        if RULE == RETROACTIVE:
            tl.store(slot + n_segments * size, eligibility, mask=save)
        q = tl.load(query + (t * B + b) * K + i, mask=i < K, other=0.0)[:, None]
        k = tl.load(key + (t * B + b) * K + i, mask=i < K, other=0.0)[:, None]
        total = tl.load(drive + (t * B + b) * N + j, mask=j < N, other=0.0) + tl.sum(q * a * trace, 0)
        post = _tanh(total)
        tl.store(activity + (t * B + b) * N + j, post, mask=j < N)
        gate = fan * tl.load(signals + t * B + b)
        trace, eligibility = _write(trace, eligibility, k, post[None, :], rate, gate, RULE)
    tl.store(traces + at, trace, mask=inside)
    if RULE == RETROACTIVE:
        tl.store(traces + size + at, eligibility, mask=inside)


@triton.jit(do_not_specialize=["T", "B", "every", "n_segments"])
def backward(
    activity, query, key, signals, starts, checkpoints, traces, adjoints, activity_gradient, alpha, eta, fan_out,
    drive_gradient, query_gradient, key_gradient, signal_gradient, alpha_gradient, eta_gradient, fan_out_gradient,
    T, B, K, N, every, n_segments, RULE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Run the adjoint of the scan for one sample and COLS columns.

    `traces` (n_traces, every, B, K, N) is to work in. `adjoints` (n_traces, B, K, N), those of the traces after the
    last step, become those of the traces before the first. `query_gradient` and `key_gradient` are (programs of a
    sample, T, B, K), `signal_gradient` (programs of a sample, T, B); `alpha_gradient` (B, K, N) and the others (B, N)
    are for each sample. All are written.
    """
    b = tl.program_id(0).to(tl.int64)
    program = tl.program_id(1).to(tl.int64)
    i = tl.arange(0, ROWS)
    j = program * COLS + tl.arange(0, COLS)
    at = b * K * N + i[:, None] * N + j[None, :]
    inside = (i[:, None] < K) & (j[None, :] < N)
    size = (b * 0 + B) * K * N
    a = tl.load(alpha + at - b * K * N, mask=inside, other=0.0)
    rate = tl.load(eta + j, mask=j < N, other=0.0)
    fan = tl.load(fan_out + j, mask=j < N, other=0.0)
    g = tl.load(adjoints + at, mask=inside, other=0.0)
    f = g
    if RULE == RETROACTIVE:
        f = tl.load(adjoints + size + at, mask=inside, other=0.0)
    of_alpha = a * 0
    of_eta = rate * 0
    of_fan_out = rate * 0
    for part in range(0, n_segments):
        segment = b * 0 + n_segments - 1 - part
        begin = segment * every
        length = tl.minimum(every, T - begin)
        trace = tl.load(checkpoints + segment * size + at, mask=inside, other=0.0)
        eligibility = trace
        if RULE == RETROACTIVE:
            eligibility = tl.load(checkpoints + (n_segments + segment) * size + at, mask=inside, other=0.0)
        for index in range(0, every):
            t = tl.minimum(begin + index, T - 1)
            start = tl.load(starts + t * B + b).to(tl.int32)
            trace = tl.where(start != 0, 0.0, trace).to(a.dtype)
            eligibility = tl.where(start != 0, 0.0, eligibility).to(a.dtype)
            tl.store(traces + index * size + at, trace, mask=inside)
            if RULE == RETROACTIVE:
                tl.store(traces + (every + index) * size + at, eligibility, mask=inside)
            k = tl.load(key + (t * B + b) * K + i, mask=i < K, other=0.0)[:, None]
            post = tl.load(activity + (t * B + b) * N + j, mask=j < N, other=0.0)[None, :]
            gate = fan[None, :] * tl.load(signals + t * B + b)
            trace, eligibility = _write(trace, eligibility, k, post, rate[None, :], gate, RULE)
        tl.debug_barrier()  # another thread of this program may have stored what this one loads now
        for back in range(0, every):
            step = length - 1 - back  # below 0 for what the last segment lacks
            there = _like(step, j) >= 0
            t = begin + tl.maximum(step, 0)
            start = tl.load(starts + t * B + b).to(tl.int32)
            signal = tl.load(signals + t * B + b)
            q = tl.load(query + (t * B + b) * K + i, mask=i < K, other=0.0)[:, None]
            k = tl.load(key + (t * B + b) * K + i, mask=i < K, other=0.0)[:, None]
            post = tl.load(activity + (t * B + b) * N + j, mask=(j < N) & there, other=0.0)
            h = tl.load(traces + tl.maximum(step, 0) * size + at, mask=inside, other=0.0)
            gate = signal * fan
            gradient = tl.load(activity_gradient + (t * B + b) * N + j, mask=(j < N) & there, other=0.0)
            of_signal = gradient * 0
            # Through the write: first the clip, then what each rule makes of key, post and the trace before.
            if RULE == RETROACTIVE:
                e = tl.load(traces + (every + tl.maximum(step, 0)) * size + at, mask=inside, other=0.0)
                cut = tl.where(tl.abs(h + gate[None, :] * e) <= 1, g, 0.0).to(g.dtype)
                write_sum = tl.sum(k * f, 0)
                gate_sum = tl.sum(e * cut, 0)
                gradient += rate * write_sum
                to_eta = post * write_sum - tl.sum(e * f, 0)
                to_fan_out = gate_sum * signal
                of_signal += gate_sum * fan
                of_key = tl.sum(f * (rate * post)[None, :], 1)
                before = cut
                f_before = (1 - rate)[None, :] * f + gate[None, :] * cut
            elif RULE == MODULATED:
                cut = tl.where(tl.abs(h + k * (gate * post)[None, :]) <= 1, g, 0.0).to(g.dtype)
                write_sum = tl.sum(k * cut, 0)
                gradient += gate * write_sum
                to_eta = rate * 0
                to_fan_out = write_sum * signal * post
                of_signal += write_sum * fan * post
                of_key = tl.sum(cut * (gate * post)[None, :], 1)
                before = cut
                f_before = f
            else:
                write_sum = tl.sum(k * g, 0)
                keep_sum = tl.sum(h * g, 0)
                to_fan_out = rate * 0
                of_key = tl.sum(g * (rate * post)[None, :], 1)
                f_before = f
                if RULE == OJA:
                    gradient += rate * (write_sum - 2 * post * keep_sum)
                    to_eta = post * (write_sum - post * keep_sum)
                    before = (1 - rate * post * post)[None, :] * g
                else:
                    gradient += rate * write_sum
                    to_eta = post * write_sum - keep_sum
                    before = (1 - rate)[None, :] * g
            # Through tanh and the read.
            delta = gradient * (1 - post * post)
            before += a * (q * delta[None, :])
            before = tl.where(start != 0, 0.0, before).to(g.dtype)
            f_before = tl.where(start != 0, 0.0, f_before).to(g.dtype)
            row = (i < K) & (_like(step, i) >= 0)
            own = program * T * B + t * B + b
            tl.store(drive_gradient + (t * B + b) * N + j, delta, mask=(j < N) & there)
            tl.store(query_gradient + own * K + i, tl.sum(a * h * delta[None, :], 1), mask=row)
            tl.store(key_gradient + own * K + i, of_key, mask=row)
            tl.store(signal_gradient + own, tl.sum(of_signal, 0), mask=step >= 0)
            happens = _like(step, at) >= 0
            of_alpha += tl.where(happens, q * delta[None, :] * h, 0.0).to(a.dtype)
            of_eta += tl.where(there, to_eta, 0.0).to(a.dtype)
            of_fan_out += tl.where(there, to_fan_out, 0.0).to(a.dtype)
            g = tl.where(happens, before, g).to(a.dtype)
            f = tl.where(happens, f_before, f).to(a.dtype)
        tl.debug_barrier()  # the next segment writes over the traces that are read here
    tl.store(adjoints + at, g, mask=inside)
    if RULE == RETROACTIVE:
        tl.store(adjoints + size + at, f, mask=inside)
    tl.store(alpha_gradient + at, of_alpha, mask=inside)
    tl.store(eta_gradient + b * N + j, of_eta, mask=j < N)
    tl.store(fan_out_gradient + b * N + j, of_fan_out, mask=j < N)
