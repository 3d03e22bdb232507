"""The table of registered environments."""

from typing import Any

from gymnasium.envs.registration import register, registry

PAPER_PATTERNS = {
    "n_patterns": 5,
    "n_bits": 1000,
    "n_presentations": 2,
    "presentation_steps": 6,
    "blank_steps": 4,
    "query_steps": 6,
}

# id (without "plastic_rl/"): module of this package, name of its classes (<name>Env, <name>VectorEnv), arguments.
ENVIRONMENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Maze-v0": ("maze", "Maze", {}),
    "MazeLarge-v0": ("maze", "Maze", {"size": 13}),
    "ColourBandit-v0": ("colour_bandit", "ColourBandit", {}),
    "CueReward-v0": ("cue_reward", "CueReward", {}),
    "PatternRecall-v0": ("pattern_recall", "PatternRecall", {}),
    "PatternRecall1000-v0": ("pattern_recall", "PatternRecall", PAPER_PATTERNS),
    "ImageRecall-v0": ("image_recall", "ImageRecall", {}),
    "OneShot-v0": ("one_shot", "OneShot", {}),
    "OneShotOmniglot-v0": ("one_shot", "OneShot", {"n_way": 5, "n_queries": 1, "source": "omniglot"}),
}


def register_envs() -> None:
    """Register every environment of this package with Gymnasium, under "plastic_rl/"; doing it twice does nothing.

    None has `max_episode_steps`: an episode ends with `terminated`.
    """
    for name, (module, task, arguments) in ENVIRONMENTS.items():
        if f"plastic_rl/{name}" not in registry:
            entry_point = f"plastic_rl.envs.{module}:{task}"
            register(
                id=f"plastic_rl/{name}",
                entry_point=f"{entry_point}Env",
                vector_entry_point=f"{entry_point}VectorEnv",
                kwargs=dict(arguments),
            )
