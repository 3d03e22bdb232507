"""The tasks: Gymnasium environments over numpy arrays. Never imports torch."""

from plastic_rl.envs.scores import reference_returns, score
from plastic_rl.envs.task import ReferenceReturns, Task
from plastic_rl.envs.views import TaskEnv, TaskVectorEnv

__all__ = ["ReferenceReturns", "Task", "TaskEnv", "TaskVectorEnv", "reference_returns", "score"]
