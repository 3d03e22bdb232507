# ruff: noqa: N803 - B, N and T as in the shapes; capitals for what is constant when compiling
"""The scan as Triton kernels: some programs for each sample, time inside.

The trace lies in tiles of all rows by COLS columns. Each of a sample's PROGRAMS works through TILES of them, and they
wait for one another at every step. Where each has one tile the trace, its adjoint and the layer's matrices stay in
registers through time; otherwise they go through the caches. What is as long as a row, every program works out for
itself.

A step has two phases, with a barrier after each where a sample has several programs. Forward: each program writes its
columns of the trace of the step before and reads them for this one; behind the barrier all see the whole activity.
Backward: each sums its columns for the write's gradient; behind the first barrier all work out the gradient of the
whole activity, and take their columns back over the step; behind the second they add up what reached the presynaptic
neurons.

Traces of the clipped rules are kept unclipped and clipped where they are read, as on the CPU. RULE is a rule's `code`;
the second trace is there for RETROACTIVE only. Numbers that say how much is to be done are not specialized, for Triton
would compile again where one is 1 or a multiple of 16.
"""

import triton
import triton.language as tl

from plastic_rl.ops.reference import EPSILON

DECAY = tl.constexpr(0)
OJA = tl.constexpr(1)
MODULATED = tl.constexpr(2)
RETROACTIVE = tl.constexpr(3)
SMALL = tl.constexpr(EPSILON)


@triton.jit
def _tanh(x):
    e = tl.exp(-2 * tl.abs(x))
    y = (1 - e) / (1 + e)
    return tl.where(x < 0, -y, y)


@triton.jit
def _together(counter, turn, PROGRAMS: tl.constexpr):
    """Wait until all programs of a sample are here for the `turn`-th time, from 1, and see what they wrote.

    All of a launch must run at once, or this never ends. `counter` is zero before.
    """
    tl.debug_barrier()
    if PROGRAMS > 1:
        tl.atomic_add(counter, 1)
        while tl.atomic_add(counter, 0) < turn * PROGRAMS:
            pass
        tl.debug_barrier()


@triton.jit
def _clip(x, first, RULE: tl.constexpr):
    """Clip what a rule clips; the very first trace of a sequence is taken as it is."""
    if RULE >= MODULATED:
        x = tl.where(first, x, tl.where(x > 1, 1.0, tl.where(x < -1, -1.0, x)).to(x.dtype))
    return x


@triton.jit
def _like(number, block):
    """Return a number in the shape of a block of indices: masks are made of blocks, as the interpreter wants it."""
    return block * 0 + number


@triton.jit
def _pre(activity, first, starts, t, b, B, N, i):
    """Return what step t reads: the activity before it, or zeros where an episode starts."""
    start = tl.load(starts + t * B + b, mask=t >= 0, other=1).to(tl.int32)
    there = (i < N) & (_like(start, i) == 0)
    turn = _like(t, i)
    x = tl.load(activity + ((t - 1) * B + b) * N + i, mask=there & (turn > 0), other=0.0)
    return x + tl.load(first + b * N + i, mask=there & (turn == 0), other=0.0), start


@triton.jit
def _write(trace, eligibility, pre, post, eta, gate, first, RULE: tl.constexpr):
    """Return both traces after a step; `pre` is a column, the other vectors are rows."""
    if RULE == DECAY:
        trace = (1 - eta) * trace + pre * (eta * post)
    elif RULE == OJA:
        trace = trace + eta * post * (pre - post * trace)
    elif RULE == MODULATED:
        trace = _clip(trace, first, RULE) + pre * (gate * post)
    else:
        trace = _clip(trace, first, RULE) + gate * eligibility
        eligibility = (1 - eta) * eligibility + pre * (eta * post)
    return trace, eligibility


@triton.jit
def _standardise(received, i, N):
    """Return what the neurons received with mean 0 and variance 1, zero beyond N, and what that divided by."""
    received = tl.where(i < N, received - tl.sum(received, 0) / N, 0.0).to(received.dtype)
    deviation = tl.sqrt(tl.sum(received * received, 0) / N + SMALL)
    return received / deviation, deviation


@triton.jit(do_not_specialize=["T", "B", "every", "n_segments"])
def forward(
    drive, starts, first, traces, weight, alpha, eta, modulation_weight, modulation_bias, fan_out, gain, bias, activity,
    received, signals, checkpoints, counters, T, B, N, every, n_segments,
    RULE: tl.constexpr, NORM: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, TILES: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """Run the scan; turn t of the loop writes the trace of step t - 1 and reads it for step t in one go.

    `received` (T, B, N) is written only if the layer normalizes what its neurons receive (NORM).
    `traces` (n_traces, B, N, N) is the state before and, unclipped, after; `signals` (T, B) is M(t) of the modulated
    rules; `checkpoints` (n_traces, n_segments, B, N, N) the trace before every `every`-th step; `counters` (B,) zeros.
    """
    b = tl.program_id(0).to(tl.int64)
    own_columns = tl.program_id(1) * TILES * COLS + tl.arange(0, COLS)
    i = tl.arange(0, ROWS)
    size = (b * 0 + B) * N * N
    j = own_columns
    at = i[:, None] * N + j[None, :]
    inside = (i[:, None] < N) & (j[None, :] < N)
    trace = tl.load(traces + b * N * N + at, mask=inside, other=0.0)
    eligibility = trace
    if RULE == RETROACTIVE:
        eligibility = tl.load(traces + size + b * N * N + at, mask=inside, other=0.0)
    if TILES == 1:
        w = tl.load(weight + at, mask=inside, other=0.0)
        a = tl.load(alpha + at, mask=inside, other=0.0)
    for index in range(0, T + 1):
        t = b * 0 + index  # a tensor, also where the interpreter's index is a number
        before, _ = _pre(activity, first, starts, t - 1, b, B, N, i)
        pre, start = _pre(activity, first, starts, tl.minimum(t, T - 1), b, B, N, i)
        start = tl.where(t < T, start, 0)
        signal = tl.sum(before, 0) * 0
        if RULE >= MODULATED:
            last = tl.load(activity + ((t - 1) * B + b) * N + i, mask=(i < N) & (_like(t, i) > 0), other=0.0)
            product = tl.sum(last * tl.load(modulation_weight + i, mask=i < N, other=0.0), 0)
            signal = _tanh(product + tl.load(modulation_bias))
            tl.store(signals + (t - 1) * B + b, signal, mask=t > 0)
        for k in range(0, TILES):
            j = k * COLS + own_columns
            at = i[:, None] * N + j[None, :]
            inside = (i[:, None] < N) & (j[None, :] < N)
            if TILES > 1:
                trace = tl.load(traces + b * N * N + at, mask=inside, other=0.0)
                w = tl.load(weight + at, mask=inside, other=0.0)
                a = tl.load(alpha + at, mask=inside, other=0.0)
                if RULE == RETROACTIVE:
                    eligibility = tl.load(traces + size + b * N * N + at, mask=inside, other=0.0)
            post = tl.load(activity + ((t - 1) * B + b) * N + j, mask=(j < N) & (_like(t, j) > 0), other=0.0)[None, :]
            rate = tl.load(eta + j, mask=j < N, other=0.0)[None, :]
            gate = signal * tl.load(fan_out + j, mask=j < N, other=0.0)[None, :]
            h, e = _write(trace, eligibility, before[:, None], post, rate, gate, t == 1, RULE)
            trace = tl.where(start != 0, 0.0, tl.where(t > 0, h, trace)).to(trace.dtype)
            eligibility = tl.where(start != 0, 0.0, tl.where(t > 0, e, eligibility)).to(trace.dtype)
            store = inside
            if TILES == 1:
                store = inside & (_like(t, at) == T)
            tl.store(traces + b * N * N + at, trace, mask=store)
            turn = _like(t, at)
            save = inside & (_like(n_segments, at) > 0) & (turn < T) & (turn % every == 0)
            slot = checkpoints + (t // every * B + b) * N * N + at
            tl.store(slot, trace, mask=save)
            if RULE == RETROACTIVE:
                tl.store(traces + size + b * N * N + at, eligibility, mask=store)
                tl.store(slot + n_segments * size, eligibility, mask=save)
            read = tl.sum(pre[:, None] * (w + a * _clip(trace, t == 0, RULE)), 0)
            here = (j < N) & (_like(t, j) < T)
            total = read + tl.load(drive + (t * B + b) * N + j, mask=here, other=0.0)
            if NORM:
                tl.store(received + (t * B + b) * N + j, total, mask=here)
            else:
                tl.store(activity + (t * B + b) * N + j, _tanh(total), mask=here)
        _together(counters + b, index + 1, PROGRAMS)
        if NORM:
            row = (i < N) & (_like(t, i) < T)
            standard, _ = _standardise(tl.load(received + (t * B + b) * N + i, mask=row, other=0.0), i, N)
            normalized = tl.load(gain + i, mask=row, other=0.0) * standard + tl.load(bias + i, mask=row, other=0.0)
            tl.store(activity + (t * B + b) * N + i, _tanh(normalized), mask=row)
            tl.debug_barrier()


@triton.jit(do_not_specialize=["begin", "length", "every", "B"])
def rebuild(
    checkpoint, second_checkpoint, traces, activity, first, starts, eta, fan_out, signals, begin, length, every, B, N,
    RULE: tl.constexpr, ROWS: tl.constexpr, COLS: tl.constexpr,
):  # fmt: skip
    """Write the traces before each step of a segment into `traces` (n_traces, every, B, N, N).

    The activity is known, so the tiles are independent: program (b, k) does columns k * COLS on of sample b.
    """
    b = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, ROWS)
    j = tl.program_id(1) * COLS + tl.arange(0, COLS)
    at = i[:, None] * N + j[None, :]
    inside = (i[:, None] < N) & (j[None, :] < N)
    size = (b * 0 + B) * N * N
    trace = tl.load(checkpoint + b * N * N + at, mask=inside, other=0.0)
    eligibility = trace
    if RULE == RETROACTIVE:
        eligibility = tl.load(second_checkpoint + b * N * N + at, mask=inside, other=0.0)
    rate = tl.load(eta + j, mask=j < N, other=0.0)[None, :]
    for index in range(0, length):
        k = b * 0 + index
        t = begin + k
        pre, start = _pre(activity, first, starts, t, b, B, N, i)
        trace = tl.where(start != 0, 0.0, trace).to(trace.dtype)
        eligibility = tl.where(start != 0, 0.0, eligibility).to(trace.dtype)
        slot = traces + (k * B + b) * N * N + at
        tl.store(slot, trace, mask=inside)
        if RULE == RETROACTIVE:
            tl.store(slot + every * size, eligibility, mask=inside)
        post = tl.load(activity + (t * B + b) * N + j, mask=j < N, other=0.0)[None, :]
        gate = tl.load(fan_out + j, mask=j < N, other=0.0)[None, :]
        if RULE >= MODULATED:
            gate = gate * tl.load(signals + t * B + b)
        trace, eligibility = _write(trace, eligibility, pre[:, None], post, rate, gate, t == 0, RULE)


@triton.jit(do_not_specialize=["begin", "length", "every", "B"])
def backward(
    activity, received, starts, first, signals, traces, adjoints, activity_gradient, drive_gradient, carried, sums,
    weight, alpha, eta, modulation_weight, fan_out, gain,
    alpha_gradient, eta_gradient, modulation_weight_gradient, modulation_bias_gradient, fan_out_gradient,
    gain_gradient, bias_gradient, parts, counters, begin, length, every, B, N,
    RULE: tl.constexpr, NORM: tl.constexpr,
    ROWS: tl.constexpr, COLS: tl.constexpr, TILES: tl.constexpr, PROGRAMS: tl.constexpr,
):  # fmt: skip
    """Run the adjoint of one segment, whose traces `rebuild` has written.

    `adjoints` (n_traces, B, N, N), cut by the clip, and `carried` (B, N), the gradient of the activity, are those after
    the segment and become those before it. The layer's gradients are added to, one for each sample. `sums` (B, 3, N)
    and `parts` (B, PROGRAMS, N) are to work in; `counters` (B,) are zeros.
    """
    b = tl.program_id(0).to(tl.int64)
    program = tl.program_id(1)
    own_columns = program * TILES * COLS + tl.arange(0, COLS)
    i = tl.arange(0, ROWS)
    row = i < N
    size = (b * 0 + B) * N * N
    own = b * N + i
    j = own_columns
    at = i[:, None] * N + j[None, :]
    inside = (i[:, None] < N) & (j[None, :] < N)
    gradient = tl.load(carried + own, mask=row, other=0.0)
    of_eta = tl.load(eta_gradient + own, mask=row, other=0.0)
    of_modulation = tl.load(modulation_weight_gradient + own, mask=row, other=0.0)
    of_fan_out = tl.load(fan_out_gradient + own, mask=row, other=0.0)
    of_modulation_bias = tl.load(modulation_bias_gradient + b)
    if NORM:
        gains = tl.load(gain + i, mask=row, other=0.0)
        of_gain = tl.load(gain_gradient + own, mask=row, other=0.0)
        of_bias = tl.load(bias_gradient + own, mask=row, other=0.0)
    rates = tl.load(eta + i, mask=row, other=0.0)
    fans = tl.load(fan_out + i, mask=row, other=0.0)
    weights_of_signal = tl.load(modulation_weight + i, mask=row, other=0.0)
    g = tl.load(adjoints + b * N * N + at, mask=inside, other=0.0)
    f = g
    if RULE == RETROACTIVE:
        f = tl.load(adjoints + size + b * N * N + at, mask=inside, other=0.0)
    if TILES == 1:
        w = tl.load(weight + at, mask=inside, other=0.0)
        a = tl.load(alpha + at, mask=inside, other=0.0)
        of_alpha = tl.load(alpha_gradient + b * N * N + at, mask=inside, other=0.0)
    for back in range(0, length):
        k = b * 0 + length - 1 - back
        t = begin + k
        pre, start = _pre(activity, first, starts, t, b, B, N, i)
        slot = traces + (k * B + b) * N * N
        signal = of_modulation_bias * 0
        if RULE >= MODULATED:
            signal = tl.load(signals + t * B + b)
        for n in range(0, TILES):
            j = n * COLS + own_columns
            at = i[:, None] * N + j[None, :]
            inside = (i[:, None] < N) & (j[None, :] < N)
            if TILES > 1:
                g = tl.load(adjoints + b * N * N + at, mask=inside, other=0.0)
                if RULE == RETROACTIVE:
                    f = tl.load(adjoints + size + b * N * N + at, mask=inside, other=0.0)
            vector = sums + b * 3 * N + j
            if RULE == RETROACTIVE:
                e = tl.load(slot + every * size + at, mask=inside, other=0.0)
                tl.store(vector, tl.sum(pre[:, None] * f, 0), mask=j < N)
                tl.store(vector + N, tl.sum(f * e, 0), mask=j < N)
                tl.store(vector + 2 * N, tl.sum(g * e, 0), mask=j < N)
            else:
                tl.store(vector, tl.sum(pre[:, None] * g, 0), mask=j < N)
                if RULE != MODULATED:
                    v = tl.load(slot + at, mask=inside, other=0.0)
                    tl.store(vector + N, tl.sum(g * v, 0), mask=j < N)
        _together(counters + b, 2 * back + 1, PROGRAMS)
        posts = tl.load(activity + (t * B + b) * N + i, mask=row, other=0.0)
        gradient += tl.load(activity_gradient + (t * B + b) * N + i, mask=row, other=0.0)
        write_sum = tl.load(sums + b * 3 * N + i, mask=row, other=0.0)
        if RULE == OJA:
            keep_sum = tl.load(sums + b * 3 * N + N + i, mask=row, other=0.0)
            gradient += rates * (write_sum - 2 * posts * keep_sum)
            of_eta += posts * (write_sum - posts * keep_sum)
        elif RULE == MODULATED:
            gradient += write_sum * signal * fans
            of_fan_out += write_sum * signal * posts
            of_received = tl.sum(write_sum * fans * posts, 0) * (1 - signal * signal)
        else:
            keep_sum = tl.load(sums + b * 3 * N + N + i, mask=row, other=0.0)
            gradient += rates * write_sum
            of_eta += posts * write_sum - keep_sum
            if RULE == RETROACTIVE:
                gate_sum = tl.load(sums + b * 3 * N + 2 * N + i, mask=row, other=0.0)
                of_fan_out += gate_sum * signal
                of_received = tl.sum(gate_sum * fans, 0) * (1 - signal * signal)
        if RULE >= MODULATED:
            of_modulation_bias += of_received
            of_modulation += of_received * posts
            gradient += of_received * weights_of_signal
        gradient = gradient * (1 - posts * posts)
        if NORM:
            standard, deviation = _standardise(tl.load(received + (t * B + b) * N + i, mask=row, other=0.0), i, N)
            of_gain += gradient * standard
            of_bias += gradient
            gradient = gradient * gains
            slope = tl.sum(gradient * standard, 0) / N
            gradient = (gradient - tl.sum(gradient, 0) / N - standard * slope) / deviation
        tl.store(drive_gradient + (t * B + b) * N + i, gradient, mask=row)
        tl.debug_barrier()
        gradient = gradient * 0
        for n in range(0, TILES):
            j = n * COLS + own_columns
            at = i[:, None] * N + j[None, :]
            inside = (i[:, None] < N) & (j[None, :] < N)
            if TILES > 1:
                w = tl.load(weight + at, mask=inside, other=0.0)
                a = tl.load(alpha + at, mask=inside, other=0.0)
                of_alpha = tl.load(alpha_gradient + b * N * N + at, mask=inside, other=0.0)
                g = tl.load(adjoints + b * N * N + at, mask=inside, other=0.0)
                if RULE == RETROACTIVE:
                    f = tl.load(adjoints + size + b * N * N + at, mask=inside, other=0.0)
            v = tl.load(slot + at, mask=inside, other=0.0)
            h = _clip(v, t == 0, RULE)
            delta = tl.load(drive_gradient + (t * B + b) * N + j, mask=j < N, other=0.0)[None, :]
            post = tl.load(activity + (t * B + b) * N + j, mask=j < N, other=0.0)[None, :]
            rate = tl.load(eta + j, mask=j < N, other=0.0)[None, :]
            gate = signal * tl.load(fan_out + j, mask=j < N, other=0.0)[None, :]
            of_alpha += pre[:, None] * delta * h
            row_sum = delta * (w + a * h)
            received_by = a * (pre[:, None] * delta)
            if RULE == DECAY:
                row_sum += rate * post * g
                g = (1 - rate) * g + received_by
            elif RULE == OJA:
                row_sum += rate * post * g
                g = (1 - rate * post * post) * g + received_by
            elif RULE == MODULATED:
                row_sum += gate * post * g
                g = g + received_by
            else:
                row_sum += rate * post * f
                f = (1 - rate) * f + gate * g
                g = g + received_by
            if RULE >= MODULATED:
                g = tl.where((_like(t, at) == 0) | (tl.abs(v) <= 1), g, 0.0).to(g.dtype)
            g = tl.where(start != 0, 0.0, g).to(g.dtype)
            f = tl.where(start != 0, 0.0, f).to(g.dtype)
            gradient += tl.sum(row_sum, 1)
            write_back = inside
            if TILES == 1:
                write_back = inside & (_like(k, at) == 0)
            tl.store(alpha_gradient + b * N * N + at, of_alpha, mask=write_back)
            tl.store(adjoints + b * N * N + at, g, mask=write_back)
            if RULE == RETROACTIVE:
                tl.store(adjoints + size + b * N * N + at, f, mask=write_back)
        if PROGRAMS > 1:
            tl.store(parts + (b * PROGRAMS + program) * N + i, gradient, mask=row)
            _together(counters + b, 2 * back + 2, PROGRAMS)
            gradient = gradient * 0
            for some in range(0, PROGRAMS, 8):
                p = some + tl.arange(0, 8)[:, None]
                there = (p < PROGRAMS) & row[None, :]
                part = tl.load(parts + (b * PROGRAMS + p) * N + i[None, :], mask=there, other=0.0)
                gradient += tl.sum(part, 0)
        gradient = tl.where(start != 0, 0.0, gradient).to(gradient.dtype)
        tl.debug_barrier()
    tl.store(carried + own, gradient, mask=row)
    tl.store(eta_gradient + own, of_eta, mask=row)
    tl.store(modulation_weight_gradient + own, of_modulation, mask=row)
    tl.store(fan_out_gradient + own, of_fan_out, mask=row)
    tl.store(modulation_bias_gradient + b, of_modulation_bias)
    if NORM:
        tl.store(gain_gradient + own, of_gain, mask=row)
        tl.store(bias_gradient + own, of_bias, mask=row)
