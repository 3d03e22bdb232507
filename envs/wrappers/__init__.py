"""Wrappers, single and vector, that turn any Gymnasium environment into a learning-to-learn task.

Put `PreviousActionReward` outside `Trials`, so that the last reward of an episode is seen at the start of the next one:
`PreviousActionReward(Trials(env))`. Both give `Dict` observations; `gymnasium.wrappers.FlattenObservation` makes one
vector of them (its namesake in `gymnasium.wrappers.vector` does, too, but not in the autoreset mode SAME_STEP).
"""

from plastic_rl.envs.wrappers.previous_action_reward import PreviousActionReward, VectorPreviousActionReward
from plastic_rl.envs.wrappers.trials import Trials, VectorTrials

__all__ = ["PreviousActionReward", "Trials", "VectorPreviousActionReward", "VectorTrials"]
