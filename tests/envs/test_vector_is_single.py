"""For any arguments, a vector env is `SyncVectorEnv` of the single one, and all it says is in its spaces."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from plastic_rl.envs.colour_bandit import ColourBanditEnv, ColourBanditVectorEnv
from plastic_rl.envs.cue_reward import CueRewardEnv, CueRewardVectorEnv
from plastic_rl.envs.image_recall import ImageRecallEnv, ImageRecallVectorEnv
from plastic_rl.envs.one_shot import OneShotEnv, OneShotVectorEnv
from plastic_rl.envs.pattern_recall import PatternRecallEnv, PatternRecallVectorEnv

few = st.integers(1, 3)
ARGUMENTS = {
    (ColourBanditEnv, ColourBanditVectorEnv): {"episode_steps": st.integers(1, 9)},
    (CueRewardEnv, CueRewardVectorEnv): {
        "n_cues": st.integers(3, 8),
        "cue_bits": st.integers(3, 6),
        "n_trials": few,
        "cue_steps": few,
        "blank_steps": st.integers(0, 2),
    },
    (PatternRecallEnv, PatternRecallVectorEnv): {
        "n_patterns": few,
        "n_bits": st.integers(4, 9),
        "n_presentations": few,
        "presentation_steps": few,
        "blank_steps": st.integers(0, 2),
        "degraded": st.floats(0.13, 0.5),
        "query_steps": st.integers(2, 3),
        "settling_steps": st.integers(0, 1),
    },
    (ImageRecallEnv, ImageRecallVectorEnv): {
        "n_images": few,
        "n_presentations": few,
        "presentation_steps": few,
        "blank_steps": st.integers(0, 2),
        "query_steps": st.integers(2, 3),
        "settling_steps": st.integers(0, 1),
        "size": st.sampled_from([4, 6]),
        "split": st.sampled_from(["train", "test"]),
    },
    (OneShotEnv, OneShotVectorEnv): {
        "n_way": st.integers(2, 4),
        "n_labels": st.sampled_from([None, 6]),
        "k_shot": few,
        "n_queries": few,
        "n_classes": st.sampled_from([4, 9]),
        "split": st.sampled_from(["train", "test"]),
    },
}


@pytest.mark.parametrize(("single", "vector"), ARGUMENTS, ids=lambda view: view.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), num_envs=st.integers(1, 4), seed=st.integers(0, 2**32), mode=st.sampled_from(AutoresetMode))
def test_trajectories_are_equal(single, vector, data, num_envs, seed, mode):
    arguments = data.draw(st.fixed_dictionaries(ARGUMENTS[single, vector]))
    many = vector(num_envs, mode, **arguments)
    sync = SyncVectorEnv([lambda: single(**arguments)] * num_envs, autoreset_mode=mode)
    assert data_equivalence(many.reset(seed=seed), sync.reset(seed=seed), exact=True)
    many.action_space.seed(seed % 1000)
    for _ in range(2 * many.task.episode_steps + 2):
        actions = many.action_space.sample()
        result = many.step(actions)
        assert data_equivalence(result, sync.step(actions), exact=True)
        assert result[0] in many.observation_space
        if mode is AutoresetMode.DISABLED and result[2].any():
            again = [env.reset(options={"reset_mask": np.copy(result[2])}) for env in (many, sync)]
            assert data_equivalence(*again, exact=True)
