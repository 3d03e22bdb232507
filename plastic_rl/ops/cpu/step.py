"""One step of a rollout: the traces are updated where they lie.

A step reads each trace once and writes it once, in the user's own layout: packing it would cost as much as the step.
The loops are plain, since with so few arrays LLVM makes vectors of them by itself.
"""

import math
from typing import Any

import torch
from torch import Tensor

from plastic_rl.ops.arguments import ScanArguments, State
from plastic_rl.ops.cpu.compiled import inner, kernel, run
from plastic_rl.ops.cpu.normalization import normalize
from plastic_rl.ops.cpu.simd import set_all
from plastic_rl.ops.cpu.tiles import squash
from plastic_rl.ops.reference import activate
from plastic_rl.ops.rules import DECAY, NEUROMODULATED, OJA

# Below this many trace elements for each, a second thread costs more than it saves.
_ELEMENTS_OF_A_THREAD = 1_000_000


def step(arguments: ScanArguments) -> tuple[Tensor, State]:
    """Advance by one step, with drive (1, B, N), writing into the traces of the state where they are contiguous.

    Returns:
        Activity (1, B, N), and the state after the step.
    """
    a, p, recurrent = arguments, arguments.parameters, arguments.query is None
    if a.query is None or a.key is None:
        query = key = a.state[0].masked_fill(a.episode_starts[0].unsqueeze(1), 0)
    else:
        query, key = a.query[0], a.key[0]
    received = torch.addmm(a.drive[0], query, a.weight)
    if a.alpha is None:
        activity = activate(a, received)
        return activity.unsqueeze(0), (activity,) if recurrent else ()
    traces = [trace.contiguous() for trace in (a.state[1:] if recurrent else a.state)]
    n, nothing = a.drive.shape[2], a.drive.new_empty(0)
    activity = torch.empty_like(received)
    n_threads = max(1, min(torch.get_num_threads(), len(query), traces[0].numel() // _ELEMENTS_OF_A_THREAD))
    tensors = (
        a.episode_starts[0], query, key, received, activity, nothing if a.modulation is None else a.modulation[0],
        traces[0], traces[-1], a.alpha if a.alpha.dim() else a.alpha.expand(a.weight.shape),
        a.drive.new_zeros(n) if a.eta is None else a.eta.expand(n), p.get("modulation_weight", nothing),
        p["fan_out"] if "fan_out" in p else a.drive.new_ones(n),
        p["modulation_bias"].reshape(1) if "modulation_bias" in p else nothing,
        nothing if a.gain is None else a.gain, nothing if a.bias is None else a.bias,
    )  # fmt: skip
    arrays: tuple[Any, ...] = tuple(x.contiguous().numpy() for x in tensors)
    run(_step, n_threads, n_threads, lambda job, _: (a.rule.code, *arrays, job, n_threads))
    for trace in traces:
        if not trace.is_inference():
            torch.autograd.graph.increment_version(trace)
    return activity.unsqueeze(0), (activity.clone(), *traces) if recurrent else tuple(traces)


@kernel
def _step(
    rule, starts, query, key, received, activity, signals, traces, eligibilities, alpha, eta, modulation_weight,
    fan_out, modulation_bias, gain, bias, job, n_jobs,
):  # fmt: skip
    for b in range(job, len(query), n_jobs):
        trace, eligibility, post, total = traces[b], eligibilities[b], activity[b], received[b]
        if starts[b]:
            for i in range(len(trace)):
                set_all(trace[i], 0)
                set_all(eligibility[i], 0)
        else:
            _read(trace, alpha, query[b], total)
        if len(gain):
            normalize(total, gain, bias)
        squash(total, post)
        if rule == DECAY:
            for i in range(key.shape[1]):
                _decay(trace[i], key[b, i], post, eta)
        elif rule == OJA:
            for i in range(key.shape[1]):
                _oja(trace[i], key[b, i], post, eta)
        else:
            signal = _signal(signals, b, modulation_weight, modulation_bias, post)
            for i in range(key.shape[1]):
                if rule == NEUROMODULATED:
                    _modulated(trace[i], key[b, i], post, signal, fan_out)
                else:
                    _retroactive(trace[i], eligibility[i], signal, fan_out)
                    _decay(eligibility[i], key[b, i], post, eta)


@inner
def _signal(signals, b, modulation_weight, modulation_bias, post):
    if len(signals):
        return signals[b]
    signal = modulation_bias[0]
    for j in range(post.size):
        signal += post[j] * modulation_weight[j]
    return post.dtype.type(math.tanh(signal))


@inner
def _read(trace, alpha, pre, received):
    k = pre.size
    for i in range(0, k // 4 * 4, 4):
        for j in range(received.size):
            r = pre[i] * alpha[i, j] * trace[i, j] + pre[i + 1] * alpha[i + 1, j] * trace[i + 1, j]
            r += pre[i + 2] * alpha[i + 2, j] * trace[i + 2, j] + pre[i + 3] * alpha[i + 3, j] * trace[i + 3, j]
            received[j] += r
    for i in range(k // 4 * 4, k):
        for j in range(received.size):
            received[j] += pre[i] * alpha[i, j] * trace[i, j]


@inner
def _decay(row, pre, post, eta):
    one = row.dtype.type(1)
    for j in range(row.size):
        row[j] = (one - eta[j]) * row[j] + pre * (eta[j] * post[j])


@inner
def _oja(row, pre, post, eta):
    for j in range(row.size):
        row[j] += eta[j] * post[j] * (pre - post[j] * row[j])


@inner
def _modulated(row, pre, post, signal, fan_out):
    for j in range(row.size):
        row[j] = _clip(row[j] + pre * (signal * fan_out[j] * post[j]))


@inner
def _retroactive(row, eligibility, signal, fan_out):
    for j in range(row.size):
        row[j] = _clip(row[j] + signal * fan_out[j] * eligibility[j])


@inner
def _clip(x):
    return type(x)(1) if x > 1 else (type(x)(-1) if x < -1 else x)
