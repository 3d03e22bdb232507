"""The paper's claims, and the experiments that check them."""

from dataclasses import dataclass, field
from typing import Any, Literal

Measure = Literal["score", "wrong bits", "wrong answers", "error"]


@dataclass(frozen=True)
class Claim:
    """One claim: what the paper says, and runs of `train` that are compared at equal budgets.

    Attributes:
        title: of its section and figure.
        paper: what the paper says.
        measure: what is plotted: `"score"` (0 random, 1 oracle), `"wrong bits"` (part of the hidden bits), `"wrong
            answers"` (part of the queries) or `"error"` (squared, relative to that of answering zero).
        arms: what is compared: a name, and its flags of `train`.
        flags: flags of all arms.
        steps: environment steps of a run.
        quick: flags instead of `flags` for a small version that takes minutes.
        quick_steps: its environment steps.
        seeds: how many runs of each arm by default.
        test: arguments of the environment for the evaluation, on top of those of training.
        lives: how many the evaluation plays.
        curve: what the learning curve is of: the `"returns"` of lives, whose actions are sampled, or the `"accuracy"` of
            the most probable answers in each of PlasticBPTT's updates, for runs in which the oracle acts.
        thresholds: values of the measure: the report says after how many lives they are reached.
        note: what differs from the paper's experiment.
    """

    title: str
    paper: str
    measure: Measure
    arms: dict[str, list[str]]
    flags: list[str]
    steps: int
    quick: list[str]
    quick_steps: int
    seeds: int = 3
    test: dict[str, Any] = field(default_factory=dict)
    lives: int = 512
    curve: Literal["returns", "accuracy"] = "returns"
    thresholds: tuple[float, ...] = ()
    note: str = ""


def _core(name: str, *settings: str) -> list[str]:
    return ["--core", name, "--core-kwargs", *settings]


_RECALL = ["--algo", "plastic_bptt", "--env", "plastic_rl/PatternRecall1000-v0", "--env-kwargs", "settling_steps:5"]
_SHOWN = ["n_bits:50", "n_presentations:2", "presentation_steps:3", "blank_steps:4"]
_ASKED = ["query_steps:3", "settling_steps:2"]
_SMALL_RECALL = ["--algo", "plastic_bptt", "--env", "plastic_rl/PatternRecall-v0", "--env-kwargs", *_SHOWN, *_ASKED]
_FOUR = ["-params", "n_envs:4"]
_SMALL_NETWORK = "dict(core='associative', core_kwargs=dict(n_elements=50), readout=5.0)"
_MAZE = ["--algo", "plastic_ppo", "--env", "plastic_rl/Maze-v0"]
_MAZE_A2C = ["--algo", "plastic_a2c", "--env", "plastic_rl/Maze-v0"]
_BANDIT = ["--algo", "plastic_ppo", "--env", "plastic_rl/ColourBandit-v0"]
_TINY_MAZE = [*_MAZE, "--env-kwargs", "size:5", "episode_steps:30", "-params", "n_steps:30", "batch_size:480"]
_IMAGES = ["--algo", "plastic_bptt", "--env", "plastic_rl/ImageRecall-v0", "--env-kwargs", "settling_steps:2"]
_NORMALISED = (
    "dict(core='plastic_layer', core_kwargs=dict(n_classes=5), readout=1.0, "
    "features_extractor_class=agents.SmallImageExtractor, features_extractor_kwargs=dict(batch_norm=True))"
)
_OMNIGLOT = ["--algo", "plastic_bptt", "--env", "plastic_rl/OneShotOmniglot-v0"]

CLAIMS: dict[str, Claim] = {
    "recall": Claim(
        "1,000-bit patterns",
        "A plastic network learns to recall 5 patterns of 1,000 bits within hundreds to 2,000 lives; a network without "
        "plasticity does not.",
        "wrong bits",
        {
            "plastic": _core("associative", "n_elements:1000"),
            "without plasticity": _core("associative", "n_elements:1000", "alpha:none"),
        },
        _RECALL,
        212_000,
        [*_RECALL, "n_patterns:2", "presentation_steps:2"],
        2_000,
    ),
    "lstm": Claim(
        "Plasticity and an LSTM on 50-bit patterns",
        "On 2 patterns of 50 bits a plastic network needs 2,000 lives, an LSTM 500,000.",
        "wrong bits",
        {
            "plastic": ["-params", "learning_rate:3e-3", f'policy_kwargs:"{_SMALL_NETWORK}"'],
            "LSTM, 100 units, 1e-3": [*_core("lstm", "hidden_size:100"), "-params", "learning_rate:1e-3"],
            "LSTM, 100 units, 3e-3": [*_core("lstm", "hidden_size:100"), "-params", "learning_rate:3e-3"],
            "LSTM, 100 units, 1e-2": [*_core("lstm", "hidden_size:100"), "-params", "learning_rate:1e-2"],
        },
        [*_SMALL_RECALL, *_FOUR],
        930_000,
        [*_SMALL_RECALL, *_FOUR],
        12_000,
        seeds=2,
        note="An LSTM has a trained linear read-out; the plastic network's own neurons are its answer.",
    ),
    "images": Claim(
        "Natural images",
        "A plastic network of more than 2 million parameters completes images it has seen in this life; one without "
        "plasticity fails, and one alpha for each connection is better than one for all.",
        "error",
        {
            "plastic": _core("associative", "n_elements:1024", "gain:1.0"),
            "one alpha for all": _core("associative", "n_elements:1024", "gain:1.0", "alpha:shared"),
            "without plasticity": _core("associative", "n_elements:1024", "gain:1.0", "alpha:none"),
        },
        _IMAGES,
        400_000,
        [*_IMAGES, "presentation_steps:2", "n_presentations:1"],
        1_000,
        seeds=1,
        test={"split": "test"},
        lives=128,
        note="Trained and tested on dead leaves, generated images; the tested ones are new.",
    ),
    "omniglot": Claim(
        "One-shot classification of Omniglot",
        "5-way, 1-shot: 98.3% (95% interval 0.80) on 100 unseen characters, after 5 million lives.",
        "wrong answers",
        {
            "the paper's network": [],
            "with batch normalisation": ["-params", "learning_rate:'lin_2e-3'", f'policy_kwargs:"{_NORMALISED}"'],
        },
        [*_OMNIGLOT, "--env-kwargs", "n_queries:5"],
        1_500_000,
        [*_OMNIGLOT, "--env-kwargs", "n_queries:5", "source:'glyphs'"],
        20_000,
        seeds=1,
        test={"split": "test"},
        note="150,000 lives instead of 5 million, in 64s and with 5 queries each; a learning rate that decays.",
    ),
    "maze": Claim(
        "Maze",
        "One alpha for each connection is better than one for all, which is better than none.",
        "score",
        {
            "plastic": _core("plastic", "rule:oja"),
            "one alpha for all": _core("homogeneous", "rule:oja"),
            "RNN": _core("rnn", "hidden_size:64"),
            "LSTM": _core("lstm", "hidden_size:64"),
            "GRU": _core("gru", "hidden_size:64"),
        },
        _MAZE,
        5_000_000,
        _TINY_MAZE,
        40_000,
        note="PPO, 9 x 9, 250 steps, 64 units; the same hyperparameters for all.",
    ),
    "maze-a2c": Claim(
        "Maze, with A2C",
        "The same, with the algorithm that the paper used.",
        "score",
        {
            "plastic": _core("plastic", "rule:oja"),
            "one alpha for all": _core("homogeneous", "rule:oja"),
            "RNN": _core("rnn", "hidden_size:64"),
        },
        _MAZE_A2C,
        5_000_000,
        [*_MAZE_A2C, "--env-kwargs", "size:5", "episode_steps:30", "-params", "n_steps:30"],
        40_000,
        note="A2C, 9 x 9, 250 steps, 64 units; the same hyperparameters for all.",
    ),
    "bandit": Claim(
        "Control over one's own plasticity: the colour bandit",
        "Not in this paper; Backpropamine (Miconi et al., 2019) has networks that write their own traces.",
        "score",
        {
            "neuromodulated": [*_core("neuromodulated", "hidden_size:48"), "-params", "learning_rate:'lin_1e-3'"],
            "plastic": [*_core("plastic", "rule:oja"), "-params", "learning_rate:'lin_5e-3'"],
            "LSTM": [*_core("lstm", "hidden_size:48"), "-params", "learning_rate:'lin_5e-3'"],
            "GRU": [*_core("gru", "hidden_size:48"), "-params", "learning_rate:'lin_2e-3'"],
        },
        _BANDIT,
        12_000_000,
        _BANDIT,
        40_000,
        note="PPO, 48 units; for each core the best learning rate of 1e-3, 2e-3 and 5e-3 in one seed of 60,000 lives.",
    ),
    "rule": Claim(
        "Decay or Oja",
        "Both rules work; Oja's keeps a memory for as long as nothing is written over it.",
        "score",
        {"Oja": _core("plastic", "rule:oja"), "decay": _core("plastic", "rule:decay")},
        _MAZE,
        5_000_000,
        _TINY_MAZE,
        40_000,
        note="In the maze, as above.",
    ),
}
