"""Cue-reward association: trials, answers, and that elimination from what was seen is enough."""

import numpy as np
import pytest

from plastic_rl.envs import score
from plastic_rl.envs.cue_reward import LEFT, RIGHT, WAIT, CueRewardEnv, CueRewardVectorEnv


class Eliminator:
    """Keeps the cues that can still be the target, from observations alone; answers what most of them say."""

    def __init__(self):
        self.candidates = None  # None: any cue
        self.excluded = set()
        self.pair = None
        self.answered = None

    def __call__(self, observation: np.ndarray, bits: int) -> int:
        left, right = (tuple(part) for part in (observation[:bits], observation[bits : 2 * bits]))
        if self.answered is not None:
            self.learn(self.answered, observation[2 * bits + 4] > 0)
            self.answered = None
        if any(left):
            self.pair = (left, right)
        if observation[2 * bits] == 0:
            return WAIT
        self.answered = self.answer()
        return self.answered

    def answer(self) -> int:
        here = [self.possible(cue) for cue in self.pair]
        return here.index(True) if any(here) else WAIT

    def possible(self, cue: tuple) -> bool:
        return cue not in self.excluded and (self.candidates is None or cue in self.candidates)

    def learn(self, answer: int, right: bool) -> None:
        if answer == WAIT and right:
            self.excluded |= set(self.pair)
        elif answer == WAIT:
            self.keep(set(self.pair))
        elif right:
            self.keep({self.pair[answer]})
        else:
            self.excluded.add(self.pair[answer])

    def keep(self, cues: set) -> None:
        self.candidates = cues if self.candidates is None else self.candidates & cues


def test_elimination_from_observations_alone_is_far_above_chance():
    env = CueRewardEnv()
    returns = []
    for seed in range(100):
        solver, over, total = Eliminator(), False, 0.0
        observation, _ = env.reset(seed=seed)
        while not over:
            observation, reward, over, _, _ = env.step(solver(observation, 10))
            total += reward
        returns.append(total)
    assert score(env, np.mean(returns)) > 0.8


def test_a_trial_shows_a_pair_then_nothing_then_asks():
    env = CueRewardEnv(cue_bits=4, n_trials=2, cue_steps=2, blank_steps=1)
    observation, info = env.reset(seed=0)
    seen, asked = [], []
    for _ in range(8):
        seen.append(bool(observation[:8].any()))
        asked.append(bool(observation[8]))
        assert info["query"] == asked[-1]
        observation, _, over, _, info = env.step(WAIT)
    assert seen == [True, True, False, False] * 2
    assert asked == [False, False, False, True] * 2
    assert over
    assert not observation[:9].any()
    assert not info["query"]


@pytest.mark.parametrize("n_cues", [3, 4, 7])
def test_each_answer_is_right_in_a_third_of_the_trials(n_cues):
    env = CueRewardVectorEnv(300, n_cues=n_cues, n_trials=20)
    env.reset(seed=0)
    task = env.task
    counts = np.bincount(task.answers[:, :-1].ravel(), minlength=3) / (300 * 20)
    assert counts == pytest.approx([1 / 3] * 3, abs=0.03)
    pairs = task.pairs[:, :-1]
    there = pairs == task.hidden_target[:, None, None]
    assert (pairs[..., 0] != pairs[..., 1]).all()
    assert ((pairs >= 0) & (pairs < n_cues)).all()
    assert (there[..., LEFT] == (task.answers[:, :-1] == LEFT)).all()
    assert (there[..., RIGHT] == (task.answers[:, :-1] == RIGHT)).all()


def test_answers_pay_only_when_asked():
    env = CueRewardEnv(n_trials=3)
    env.reset(seed=1)
    rewards = [[env.step(action)[1] for action in (LEFT, RIGHT, env.task.answers[0, trial])] for trial in range(3)]
    assert rewards == [[0, 0, 1]] * 3
    env.reset(seed=1)
    wrong = [(answer + 1) % 3 for answer in env.task.answers[0, :3]]
    assert [[env.step(action)[1] for action in (LEFT, RIGHT, answer)] for answer in wrong] == [[0, 0, -1]] * 3


def test_as_many_cues_as_there_are_patterns_of_bits():
    env = CueRewardEnv(n_cues=16, cue_bits=4)
    env.reset(seed=0)
    assert len(set(map(tuple, env.task.cues[0, :-1]))) == 16


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"n_cues": 2}, ValueError, "n_cues"),
        ({"n_cues": 9, "cue_bits": 3}, ValueError, "cue_bits"),
        ({"cue_bits": 0}, ValueError, "cue_bits"),
        ({"cue_bits": 63}, ValueError, "cue_bits"),
        ({"n_trials": 0}, ValueError, "n_trials"),
        ({"cue_steps": 0}, ValueError, "cue_steps"),
        ({"blank_steps": -1}, ValueError, "blank_steps"),
        ({"n_trials": 2.0}, TypeError, "n_trials"),
    ],
)
def test_bad_arguments(arguments, error, name):
    with pytest.raises(error, match=name):
        CueRewardEnv(**arguments)
