"""The constructors' arguments: SB3's in SB3's order, and what is refused says what it may be."""

import inspect
import warnings

import numpy as np
import pytest
from gymnasium import spaces
from memory_envs import Echo
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env as make_sb3_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy

from plastic_rl.agents import MlpPolicy, PlasticA2C, PlasticBPTT, PlasticPPO
from plastic_rl.agents.policy import CoreName
from plastic_rl.cores import registered_cores

SMALL = {"core_kwargs": {"hidden_size": 4}}


@pytest.mark.parametrize(("ours", "theirs"), [(PlasticPPO, PPO), (PlasticA2C, A2C)])
def test_sb3s_arguments_stand_in_sb3s_order_and_ours_are_keywords(ours, theirs):
    parameters = inspect.signature(ours).parameters
    positional = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(inspect.signature(theirs).parameters)
    own = [p for name, p in parameters.items() if name not in positional]
    assert all(p.kind is p.KEYWORD_ONLY for p in own)
    assert all(p.annotation is not p.empty for p in parameters.values())


def test_bptt_has_sb3s_order_too():
    names = list(inspect.signature(PlasticBPTT).parameters)
    known = [name for name in inspect.signature(PPO).parameters if name in names]
    assert [name for name in names if name in known] == known


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C, PlasticBPTT])
def test_every_argument_is_documented(algorithm):
    documented = algorithm.__doc__
    for name in inspect.signature(algorithm).parameters:
        assert name.startswith("_") or f"\n        {name}: " in documented, name


def test_a_positional_learning_rate():
    assert PlasticPPO("MlpPolicy", Echo(), 0.02, 8, policy_kwargs=SMALL).lr_schedule(1.0) == 0.02


def test_the_literal_names_all_cores():
    assert set(CoreName.__args__) == set(registered_cores())


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C, PlasticBPTT])
def test_policies_that_cannot_be(algorithm):
    with pytest.raises(ValueError, match=r"not 'MlpLstmPolicy'; for an LSTM.*core='lstm'"):
        algorithm("MlpLstmPolicy", Echo(), n_steps=5)
    with pytest.raises(TypeError, match="a subclass of PlasticActorCriticPolicy, not ActorCriticPolicy"):
        algorithm(ActorCriticPolicy, Echo(), n_steps=5)


def test_a_batch_of_one_step_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PlasticPPO("MlpPolicy", make_sb3_vec_env(Echo, 3), n_steps=1, batch_size=1, policy_kwargs=SMALL)
    assert model.batch_size == 1
    model.learn(6)


@pytest.mark.parametrize("algorithm", [PlasticPPO, PlasticA2C])
def test_a_model_is_loaded_with_the_policy_kwargs_that_it_was_made_with(algorithm, tmp_path):
    kwargs = {"use_rms_prop": True} if algorithm is PlasticA2C else {}
    algorithm("MlpPolicy", Echo(), n_steps=5, policy_kwargs=SMALL, **kwargs).save(tmp_path / "model")
    loaded = algorithm.load(tmp_path / "model", env=Echo(), policy_kwargs=SMALL)
    assert type(loaded.policy.optimizer).__name__ == ("RMSprop" if algorithm is PlasticA2C else "Adam")
    loaded.learn(10)


def test_layers_in_the_old_form_of_sb3():
    net_arch = [{"pi": [7], "vf": [6]}]
    with pytest.warns(UserWarning, match="shared layers"):
        model = PlasticPPO("MlpPolicy", Echo(), n_steps=5, policy_kwargs={**SMALL, "net_arch": net_arch})
    assert model.policy.action_net.in_features == 7


@pytest.mark.parametrize("core", registered_cores())
def test_every_core_reads_multidiscrete_observations(core):
    from small_cores import small

    space, actions = spaces.MultiDiscrete([2, 6]), spaces.Discrete(2)
    policy = MlpPolicy(space, actions, lambda left: 0.1, core=core, core_kwargs=small(core, 4))
    assert policy.predict(np.array([1, 3]))[0] in (0, 1)


def test_tuple_observations_name_the_wrapper():
    class Pair(Echo):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3)))

    with pytest.raises(ValueError, match=r"gymnasium\.wrappers\.FlattenObservation makes one vector of it"):
        PlasticPPO("MlpPolicy", Pair())
