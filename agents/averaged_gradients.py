"""Makes many processes learn as one."""

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.running_mean_std import RunningMeanStd
from torch import Tensor
from torch.autograd import Variable
from torch.nn.utils import parameters_to_vector
from torch.utils.hooks import RemovableHandle

from plastic_rl.agents import distributed
from plastic_rl.agents.checkpoint.environments import observation_statistics


class AveragedGradients(BaseCallback):
    """Makes the processes of one `torchrun` learn together, whatever the algorithm's `train()` does.

    Each steps its own environments. After every backward pass, before SB3 clips anything, each gradient becomes the
    mean over the processes, so all optimizers take the same step. Parameters are those of process 0 from the start,
    and before every rollout it is checked that they are the same everywhere, bit for bit. `num_timesteps` counts the
    steps of all processes.

    With `PlasticBPTT`, n processes of B/n environments learn as one of B does. With A2C and PPO each process normalizes
    advantages over its own minibatch. The statistics of rewards and of `VecNormalize` are put together before every
    rollout; those of batch normalization become process 0's.

    Put it first among the callbacks; other callbacks must not end the training of one process alone.

    Raises:
        ValueError: PPO's `target_kl` is set, which would end the epochs of some processes before those of others.
        RuntimeError: parameters became different.
        LostProcessError: another process is gone.

    Example:
        >>> from plastic_rl import AveragedGradients, PlasticPPO
        >>> model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0")
        >>> # Without torchrun it changes nothing.
        >>> model.learn(1_500, callback=AveragedGradients()).num_timesteps
        1536
    """

    model: OnPolicyAlgorithm

    def __init__(self) -> None:
        super().__init__()
        self._hooks: list[RemovableHandle] = []
        self._waits = False
        self._moments_before: list[np.ndarray] | None = None

    def _on_training_start(self) -> None:
        if (target := getattr(self.model, "target_kl", None)) is not None:
            raise ValueError(f"target_kl must be None in a training over many processes, not {target}")
        for value in self.model.policy.state_dict().values():
            distributed.broadcast(value)
        self._parameters = [p for p in self.model.policy.parameters() if p.requires_grad]
        self._hooks = [p.register_post_accumulate_grad_hook(self._on_gradient) for p in self._parameters]

    def _on_training_end(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _on_gradient(self, _: Tensor) -> None:
        # Which gradient comes when, and whether one comes at all, may depend on the episodes that a process has seen:
        # a gated core cuts sequences where an episode begins. So all of them wait for the end of the backward pass, as
        # PyTorch's own DistributedDataParallel does.
        if not self._waits:
            self._waits = True
            Variable._execution_engine.queue_callback(self._average)

    def _average(self) -> None:
        self._waits = False
        there = torch.tensor([float(p.grad is not None) for p in self._parameters], device=self.model.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        averages = distributed.all_reduce_mean(torch.cat([there, *[gradient.flatten() for gradient in gradients]]))
        there, *parts = averages.split([len(there), *[p.numel() for p in self._parameters]])
        for parameter, part, anywhere in zip(self._parameters, parts, there.tolist(), strict=True):
            if anywhere:  # else it has no part in the loss, and the optimizer passes it by
                parameter.grad = part.view_as(parameter).to(parameter.dtype)

    def _on_rollout_start(self) -> None:
        self._waits = False  # a backward pass that raised an error has not averaged
        mine = parameters_to_vector(self.model.policy.parameters()).detach()
        first = mine.clone()
        distributed.broadcast(first)
        if not torch.equal(mine, first):
            raise RuntimeError(
                f"the parameters of process {distributed.rank()} are no longer those of process 0 after "
                f"{self.num_timesteps:,} steps"
            )
        for buffer in self.model.policy.buffers():
            distributed.broadcast(buffer)
        statistics = []
        if (normalization := self.model.get_vec_normalize_env()) is not None:
            statistics += [*observation_statistics(normalization), normalization.ret_rms]
        if (scale := getattr(self.model, "return_scale", None)) is not None:
            statistics.append(scale.statistics)
        self._merge(statistics)

    def _merge(self, statistics: list[RunningMeanStd]) -> None:
        """Give all processes the statistics of what all of them have seen."""
        for i, each in enumerate(statistics):
            if self._moments_before is None:
                each.mean, each.var, each.count = distributed.broadcast_object((each.mean, each.var, each.count))
            else:  # what they had in common before counts once
                before = self._moments_before[i]
                now = distributed.all_reduce_mean(torch.from_numpy(_moments(each))).numpy()
                _set_moments(each, before + distributed.world_size() * (now - before))
        self._moments_before = [_moments(each) for each in statistics]

    def _on_step(self) -> bool:
        self.model.num_timesteps += (distributed.world_size() - 1) * self.training_env.num_envs
        return True


def _moments(statistics: RunningMeanStd) -> np.ndarray:
    """Return count, sum and sum of squares, (3, ...)."""
    mean = np.asarray(statistics.mean)
    return statistics.count * np.stack([np.ones_like(mean), mean, statistics.var + mean**2])


def _set_moments(statistics: RunningMeanStd, moments: np.ndarray) -> None:
    count, total, squares = moments
    statistics.count = float(count.flat[0])
    statistics.mean = total / count
    statistics.var = np.maximum(squares / count - statistics.mean**2, 0.0)
