"""A step over buffers that stay in place is the plain step; what cannot be captured is left plain."""

from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces
from memory_envs import Asked, Echo
from small_cores import small
from stable_baselines3.common.distributions import MultiCategoricalDistribution
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.torch_layers import FlattenExtractor
from test_checkpoint import learn, same
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from plastic_rl.agents import PlasticA2C, PlasticBPTT, PlasticPPO, rollouts
from plastic_rl.agents.policy import MlpPolicy, MultiInputPolicy, _choose_each
from plastic_rl.agents.sequence_buffer import SequenceBuffer
from plastic_rl.agents.step_graph import StepGraph
from plastic_rl.cores import RecurrentCore, gated, loop, registered_cores
from plastic_rl.cores.base import reset_where
from plastic_rl.ops import scan

ACTION_SPACES = {
    "discrete": spaces.Discrete(3),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(4),
    "box": spaces.Box(-1, 1, (2,)),
}
OBSERVATION_KINDS = [
    ("dict", "MultiInputPolicy"),
    ("image", "CnnPolicy"),
    ("discrete", "MlpPolicy"),
    ("multi_discrete", "MlpPolicy"),
]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def graphs(monkeypatch):
    """Take graph-shaped steps on the CPU, too; nothing is captured there."""
    monkeypatch.setattr(rollouts, "DEVICES", ("cpu", "cuda"))


def make_envs(kind="vector", **kwargs):
    lengths = iter([3, 4, 5, 6] if kind == "vector" else [5] * 4)
    return make_sb3_vec_env(lambda: Echo(length=next(lengths), kind=kind, **kwargs), 4, seed=2)


def make_model(env, algorithm=PlasticPPO, policy="MlpPolicy", core="plastic", policy_kwargs=None, **kwargs):
    policy_kwargs = {"core": core, "core_kwargs": small(core, 8), **(policy_kwargs or {})}
    return algorithm(policy, env, n_steps=7, policy_kwargs=policy_kwargs, seed=1, **{"device": "cpu", **kwargs})


def collect(model, n_rollouts=2):
    _, callback = model._setup_learn(10**6)
    for _ in range(n_rollouts):
        model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    return model


def assert_same(model, plain):
    """Compare all that two rollouts kept, and the minibatches made of it."""
    assert model._step_graph is not None
    assert model._step_graph.obstacle is None
    assert plain._step_graph is None
    whole, expected = (m.rollout_buffer.sequences(np.arange(m.n_envs)) for m in (model, plain))
    torch.testing.assert_close(tuple(whole[1:]), tuple(expected[1:]))
    torch.testing.assert_close(tuple(whole.observations), tuple(expected.observations))
    assert whole.actions.dtype == expected.actions.dtype
    torch.testing.assert_close(model.last_states, plain.last_states)
    for name in ("values", "returns", "advantages", "rewards", "episode_starts"):
        np.testing.assert_allclose(getattr(model.rollout_buffer, name), getattr(plain.rollout_buffer, name), 1e-4, 1e-5)


def both(make):
    """Return two models that collected the same rollouts, the first with graph-shaped steps."""
    model, plain = collect(make()), make()
    plain.cuda_graphs = False
    return model, collect(plain)


class Tape(TorchDispatchMode):
    """Captures operations as a CUDA graph does, with the tensors they read and write; a replay runs nothing else."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        value = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, value))
        return value

    @torch.no_grad()
    def replay(self):
        for function, args, kwargs, value in self.operations:
            for place, new in zip(tree_leaves(value), tree_leaves(function(*args, **kwargs)), strict=True):
                if isinstance(place, torch.Tensor) and place.numel():
                    place.copy_(new)


@pytest.fixture
def taped(graphs, monkeypatch):
    """Replay steps from a tape on the CPU, in operations that depend on no number, as on a GPU."""

    def captured(graph):
        with torch.random.fork_rng([]), Tape() as tape:
            graph._run()
        return tape.replay

    monkeypatch.setattr(StepGraph, "_captured", captured)
    monkeypatch.setenv("PLASTIC_RL_BACKEND", "reference")
    for module in (gated, loop):
        monkeypatch.setattr(module, "reset_for_step", reset_where)


@pytest.mark.parametrize("core", registered_cores())
def test_every_core_replayed_without_python(taped, core):
    assert_same(*both(lambda: make_model(make_envs(truncates=True), core=core)))


@pytest.mark.parametrize("space", ACTION_SPACES)
def test_every_action_space_replayed_without_python(taped, space):
    envs = partial(make_envs, kind="dict", action_space=ACTION_SPACES[space])
    assert_same(*both(lambda: make_model(envs(), policy="MultiInputPolicy")))


def test_training_replayed_without_python(taped):
    model = make_model(make_envs()).learn(3 * 28)
    plain = make_model(make_envs())
    plain.cuda_graphs = False
    same(model, plain.learn(3 * 28))


@pytest.mark.parametrize("core", registered_cores())
def test_every_core(graphs, core):
    assert_same(*both(lambda: make_model(make_envs(truncates=True), core=core)))


@pytest.mark.parametrize("space", ACTION_SPACES)
@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C])
def test_every_action_space(graphs, space, algorithm):
    assert_same(*both(lambda: make_model(make_envs(action_space=ACTION_SPACES[space]), algorithm)))


@pytest.mark.parametrize(("kind", "policy"), OBSERVATION_KINDS)
def test_every_observation_kind(graphs, kind, policy):
    assert_same(*both(lambda: make_model(make_envs(kind=kind, truncates=True), policy=policy)))


def test_two_cores(graphs):
    assert_same(*both(lambda: make_model(make_envs(), policy_kwargs={"share_features_extractor": False})))


class Shifts(RecurrentCore):
    """Hands its state on from one tensor to the next, in their own storage."""

    def __init__(self, input_size):
        super().__init__(input_size, input_size)
        self.gain = torch.nn.Parameter(torch.ones(()))
        self.state_shapes = ((input_size,),) * 3

    def forward(self, inputs, state, episode_starts):
        return inputs * self.gain + state[2], (inputs[0], *state[:2])


def test_a_core_whose_new_state_lies_where_the_old_one_did(graphs):
    assert_same(*both(lambda: make_model(make_envs(), policy_kwargs={"core": Shifts, "core_kwargs": {}})))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_a_training_is_the_plain_one_and_goes_on_where_it_was_stopped(graphs, device, tmp_path, monkeypatch):
    whole = learn(PlasticPPO, tmp_path / "whole", device=device)
    learn(PlasticPPO, tmp_path / "stopped", stop=True, device=device)
    torch.manual_seed(99)
    resumed = learn(PlasticPPO, tmp_path / "stopped", resume=True, device=device)
    assert resumed._step_graph.obstacle is None
    same(whole, resumed)
    if device == "cpu":
        monkeypatch.setattr(rollouts, "DEVICES", ())
        same(whole, learn(PlasticPPO, tmp_path / "plain"))


def test_a_graph_is_made_anew_where_its_tensors_have_moved(graphs):
    model = collect(make_model(make_envs()), 1)
    first, drawn = model._step_graph, torch.get_rng_state()
    assert first.fits(model.policy, model.rollout_buffer)
    model.rollout_buffer.reset()
    StepGraph(model.policy, model.rollout_buffer)
    assert torch.equal(torch.get_rng_state(), drawn)
    model.policy.value_net.weight.data = model.policy.value_net.weight.data.clone()
    assert not first.fits(model.policy, model.rollout_buffer)
    assert collect(model, 1)._step_graph is not first


def test_several_choices_are_those_of_the_distribution():
    logits, sizes = torch.randn(500, 5, generator=torch.Generator().manual_seed(0)), [2, 3]
    expected = MultiCategoricalDistribution(sizes).proba_distribution(logits)
    for deterministic in (True, False):
        actions, log_probs = _choose_each(logits, sizes, deterministic)
        torch.testing.assert_close(log_probs, expected.log_prob(actions))
        if deterministic:
            assert torch.equal(actions, expected.mode())


class Looks(FlattenExtractor):
    """Decides by a number, which on a GPU must be waited for."""

    def forward(self, observations):
        return super().forward(observations) * (2.0 if observations.sum() > 0 else 1.0)


class RefusesOnce(FlattenExtractor):
    """Cannot be run the first time, as a library that is not ready."""

    refused = False

    def forward(self, observations):
        if not self.refused:
            self.refused = True
            raise RuntimeError("not yet")
        return super().forward(observations)


class OwnBuffer(SequenceBuffer):
    def add(self, *args, **kwargs):
        super().add(*args, **kwargs)


class OwnActing(PlasticPPO):
    def _act(self, obs_tensor, state):
        return super()._act(obs_tensor, state)


PLAIN = {
    "an algorithm of one's own": lambda: make_model(make_envs(), OwnActing),
    "a buffer of one's own": lambda: make_model(make_envs(), rollout_buffer_class=OwnBuffer),
    "gSDE": lambda: make_model(make_envs(action_space=ACTION_SPACES["box"]), use_sde=True),
    "BPTT": lambda: make_model(make_sb3_vec_env(lambda: Asked(4), 4, seed=0), PlasticBPTT),
}


@pytest.mark.parametrize("why", PLAIN)
def test_steps_stay_plain(graphs, why):
    model = PLAIN[why]()
    model.learn(28)
    assert model._step_graph is None


def test_steps_stay_plain_where_the_policy_cannot_be_captured(graphs):
    model = make_model(make_envs(), policy_kwargs={"features_extractor_class": RefusesOnce})
    model.learn(2 * 28)
    assert model._step_graph.obstacle == "not yet"
    assert isinstance(model.rollout_buffer.actions, np.ndarray)


VECTOR = spaces.Box(-1, 1, (3,))


@pytest.fixture
def obstacle(monkeypatch):
    """What a step does that a graph cannot: on a device that holds no numbers there is nothing to wait for."""
    monkeypatch.setattr(scan, "_own_precision", lambda _: nullcontext())  # that device knows no autocast

    def of(policy_class=MlpPolicy, observation_space=VECTOR, action_space=ACTION_SPACES["discrete"], **kwargs):
        policy = policy_class(observation_space, action_space, lambda _: 1e-3, **kwargs).to("meta")
        policy.set_training_mode(False)
        buffer = SequenceBuffer(3, observation_space, action_space, device="meta", n_envs=2)
        buffer.reset()
        return StepGraph(policy, buffer).obstacle

    return of


@pytest.mark.parametrize("core", registered_cores())
def test_no_core_waits_for_a_number(obstacle, core):
    assert obstacle(core=core, core_kwargs=small(core, 4)) is None


@pytest.mark.parametrize("space", ACTION_SPACES)
def test_no_action_waits_for_a_number(obstacle, space):
    assert obstacle(action_space=ACTION_SPACES[space]) is None
    observations = spaces.Dict({"vector": VECTOR, "bit": spaces.Discrete(2), "bits": spaces.MultiBinary(3)})
    assert obstacle(MultiInputPolicy, observations, ACTION_SPACES[space]) is None


def test_what_waits_for_a_number_is_found(obstacle):
    assert obstacle(features_extractor_class=FlattenExtractor) is None
    assert "meta" in obstacle(features_extractor_class=Looks)


@needs_cuda
@pytest.mark.parametrize("core", registered_cores())
def test_on_cuda_a_replayed_step_is_the_plain_one(core):
    model, plain = both(lambda: make_model(make_envs(truncates=True), core=core, device="cuda"))
    assert_same(model, plain)
    assert model.rollout_buffer.observations.is_cuda


@needs_cuda
@pytest.mark.parametrize("space", ACTION_SPACES)
def test_on_cuda_every_action_space(space):
    envs = partial(make_envs, kind="dict", action_space=ACTION_SPACES[space])
    assert_same(*both(lambda: make_model(envs(), policy="MultiInputPolicy", device="cuda")))


@needs_cuda
def test_on_cuda_what_waits_stays_plain():
    model = make_model(make_envs(), device="cuda", policy_kwargs={"features_extractor_class": Looks})
    model.learn(2 * 28)
    assert model._step_graph.obstacle is not None
