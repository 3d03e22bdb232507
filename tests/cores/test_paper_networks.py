"""The paper's four networks, each beside its equations written out as loops over neurons, in float64."""

import math

import numpy as np
import pytest
import torch

from plastic_rl.cores import make_core

T, B = 9, 2


def randomise(core):
    """Give every parameter a value that matters."""
    core.double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in core.parameters():
            if parameter.dim():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            else:
                parameter.fill_(0.07)
    return core


def recurrent_by_hand(drive, w, alpha, eta, rule):
    """Equations 1 to 3 of the paper, neuron by neuron: x_j(t) = tanh(drive_j + sum_i (w + alpha Hebb)_ij x_i(t-1))."""
    n = w.shape[0]
    hebb, before, outputs = np.zeros((n, n)), np.zeros(n), []
    for t in range(len(drive)):
        now = np.zeros(n)
        for j in range(n):
            total = drive[t, j]
            for i in range(n):
                total += (w[i, j] + alpha[i, j] * hebb[i, j]) * before[i]
            now[j] = math.tanh(total)
        for i in range(n):
            for j in range(n):
                if rule == "decay":
                    hebb[i, j] = (1 - eta) * hebb[i, j] + eta * before[i] * now[j]
                else:
                    hebb[i, j] += eta * now[j] * (before[i] - now[j] * hebb[i, j])
        before = now
        outputs.append(now)
    return np.array(outputs), hebb


def numbers(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


def run(core, inputs):
    outputs, state = core(inputs, core.initial_state(B), torch.zeros(T, B, dtype=torch.bool))
    return outputs.detach().numpy(), [s.detach().numpy() for s in state]


@pytest.mark.parametrize("rule", ["decay", "oja"])
@pytest.mark.parametrize(("gain", "values"), [(20.0, [-1.0, 0.0, 1.0]), (1.0, None)], ids=["bits", "images"])
def test_associative_network(rule, gain, values):
    n = 6
    core = randomise(make_core("associative", n + 2, n_elements=n, gain=gain, rule=rule))
    rng = np.random.default_rng(0)
    pattern = rng.choice(values, (T, B, n)) if values else rng.uniform(-1, 1, (T, B, n))
    inputs = np.concatenate([pattern, rng.random((T, B, 2))], axis=2)  # query flag and time are not for its neurons
    outputs, (activity, trace) = run(core, torch.as_tensor(inputs))
    w, alpha, eta = numbers(core.weight, core.alpha, core.eta)
    for b in range(B):
        drive = gain * np.concatenate([pattern[:, b], np.ones((T, 1))], axis=1)  # the last neuron is always driven
        expected, hebb = recurrent_by_hand(drive, w, alpha, eta, rule)
        np.testing.assert_allclose(outputs[:, b], expected[:, :n], rtol=0, atol=1e-12)
        np.testing.assert_allclose(activity[b], expected[-1], rtol=0, atol=1e-12)
        np.testing.assert_allclose(trace[b], hebb, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rule", ["decay", "oja"])
def test_network_of_the_maze(rule):
    core = randomise(make_core("plastic", 5, hidden_size=4, rule=rule))
    inputs = torch.as_tensor(np.random.default_rng(1).normal(size=(T, B, 5)))
    outputs, (_, trace) = run(core, inputs)
    w, alpha, eta, u, c = numbers(core.weight, core.alpha, core.eta, core.input_map.weight, core.input_map.bias)
    for b in range(B):
        expected, hebb = recurrent_by_hand(inputs[:, b].numpy() @ u.T + c, w, alpha, eta, rule)
        np.testing.assert_allclose(outputs[:, b], expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(trace[b], hebb, rtol=0, atol=1e-12)


@pytest.mark.parametrize("writes", ["labelled", "always"])
def test_one_shot_network(writes):
    n_features, n_classes = 5, 3
    core = randomise(make_core("plastic_layer", n_features + n_classes + 1, n_classes=n_classes, writes=writes))
    rng = np.random.default_rng(2)
    features = rng.normal(size=(T, B, n_features))
    labels = np.eye(n_classes)[rng.integers(n_classes, size=(T, B))]
    labels[5:] = 0  # queries
    outputs, (trace,) = run(core, torch.as_tensor(np.concatenate([features, labels, np.ones((T, B, 1))], axis=2)))
    alpha, eta = numbers(core.alpha, core.eta)
    for b in range(B):
        hebb = np.zeros((n_features, n_classes))
        for t in range(T):
            activity = np.zeros(n_classes)
            for j in range(n_classes):
                for i in range(n_features):
                    activity[j] += alpha[i, j] * hebb[i, j] * features[t, b, i]
                activity[j] += 1000 * labels[t, b, j]
            np.testing.assert_allclose(outputs[t, b], activity, rtol=0, atol=1e-12)
            shifted = np.exp(activity - activity.max())
            y = shifted / shifted.sum()
            for i in range(n_features if writes == "always" or labels[t, b].any() else 0):
                for j in range(n_classes):
                    hebb[i, j] += eta * y[j] * (features[t, b, i] - y[j] * hebb[i, j])
        np.testing.assert_allclose(trace[b], hebb, rtol=0, atol=1e-12)
