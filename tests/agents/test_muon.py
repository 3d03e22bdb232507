"""The optimizer for convolutions."""

from copy import deepcopy

import pytest
import torch

from plastic_rl.agents import Muon, PlasticBPTT, SmallImageExtractor, make_vec_env
from plastic_rl.agents.muon import orthogonal_factor


def _descend(parameters, optimizer, n_steps=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_steps):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_the_orthogonal_factor_keeps_the_directions_and_evens_out_their_sizes(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    sizes = u.T @ orthogonal_factor(matrix) @ v.T
    assert sizes.diagonal().min() > 0.6
    assert sizes.diagonal().max() < 1.3
    torch.testing.assert_close(sizes, sizes.diagonal().diag())


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has its own from 2.9 on")
def test_kernels_move_as_with_torch_and_all_else_as_with_adam():
    kernel, bias = torch.nn.Parameter(torch.randn(6, 4, 3, 3)), torch.nn.Parameter(torch.randn(6))
    matrix, twin = torch.nn.Parameter(kernel.detach().flatten(1)), torch.nn.Parameter(bias.detach().clone())
    begin = matrix.detach().clone()
    _descend([kernel, bias], Muon([kernel, bias], lr=0.01))
    theirs = torch.optim.Muon([matrix], lr=0.01, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.Adam([twin], lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        matrix.grad = torch.randn(kernel.shape, generator=generator).flatten(1)
        twin.grad = torch.randn(twin.shape, generator=generator)
        theirs.step()
        adam.step()
    moved = matrix.detach() - begin
    assert (kernel.flatten(1) - matrix).norm() < 0.03 * moved.norm()  # theirs computes in bfloat16
    torch.testing.assert_close(bias, twin)


def test_it_goes_on_from_its_state():
    parameters = [torch.nn.Parameter(torch.randn(2, 3, 3, 3)), torch.nn.Parameter(torch.randn(3))]
    optimizer = Muon(parameters, lr=0.1)
    _descend(parameters, optimizer)
    others = [torch.nn.Parameter(p.detach().clone()) for p in parameters]
    other = Muon(others)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    _descend(parameters, optimizer, seed=1)
    _descend(others, other, seed=1)
    for one, two in zip(parameters, others, strict=True):
        assert torch.equal(one, two)


def test_a_copy_keeps_its_momentum():
    optimizer = Muon([torch.nn.Parameter(torch.ones(2, 3, 3, 3))], momentum=0.5)
    copied = deepcopy(optimizer)
    assert copied.param_groups[0]["momentum"] == 0.5
    _descend(copied.param_groups[0]["params"], copied)


def test_a_kernel_without_a_gradient_and_one_of_zeros_stay():
    parameters = [torch.nn.Parameter(torch.ones(2, 3, 3, 3)) for _ in range(2)]
    parameters[0].grad = torch.zeros_like(parameters[0])
    optimizer = Muon(parameters)
    assert optimizer.step(lambda: 0.5) == 0.5
    for p in parameters:
        assert torch.equal(p, torch.ones_like(p))


def test_a_wrong_momentum_is_refused():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\), not 1"):
        Muon([torch.nn.Parameter(torch.zeros(1))], momentum=1)


def test_a_policy_trains_with_it_and_is_saved_and_loaded(tmp_path):
    env = make_vec_env("plastic_rl/OneShot-v0", n_envs=2, seed=0)
    policy = {
        "core": "plastic_layer",
        "core_kwargs": {"n_classes": 3},
        "readout": 1.0,
        "features_extractor_class": SmallImageExtractor,
        "features_extractor_kwargs": {"filters": 4},
        "optimizer_class": Muon,
    }
    model = PlasticBPTT("MultiInputPolicy", env, acting="oracle", policy_kwargs=policy, seed=0)
    model.learn(2 * model.n_steps * 2)
    model.save(tmp_path / "model")
    loaded = PlasticBPTT.load(tmp_path / "model", env=env)
    kernel = loaded.policy.features_extractor.convolutions[0].weight
    assert loaded.policy.optimizer.state[kernel]["momentum"].abs().sum() > 0
    loaded.learn(loaded.n_steps * 2)
