"""Wrappers, single and vector, that turn any Gymnasium environment into a learning-to-learn task.

Put `PreviousActionReward` outside `Lives`, so that the last reward of an episode is seen at the start of the next one:
`PreviousActionReward(Lives(env))`. Both give `Dict` observations; `gymnasium.wrappers.FlattenObservation` (and its
namesake in `gymnasium.wrappers.vector`) makes one vector of them.
"""

from plastic_rl.envs.lives import Lives, VectorLives
from plastic_rl.envs.previous_action_reward import PreviousActionReward, VectorPreviousActionReward

__all__ = ["Lives", "PreviousActionReward", "VectorLives", "VectorPreviousActionReward"]
