"""What TensorBoard shows of a plastic policy beside what Stable-Baselines3 writes."""

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Figure, HParam, Image, TensorBoardOutputFormat

from plastic_rl.agents.gradients import GradientNorms
from plastic_rl.agents.matrix_image import matrix_image
from plastic_rl.agents.run_facts import describe_run, hyperparameters
from plastic_rl.envs import score

if TYPE_CHECKING:
    from plastic_rl.agents.rollouts import RecurrentRollouts

NOT_TEXT = ("stdout", "log", "json", "csv")
BINS = 50  # of the within-episode curve
EARLIER = 8  # curves in gray

# TensorBoard's CUSTOM SCALARS: what each chart shows, as patterns of tags.
LAYOUT = {
    "Learning": {
        "return of an episode, mean over the last 100": ["Multiline", ["rollout/ep_rew_mean"]],
        "score: 0 a random policy, 1 the oracle; accuracy of PlasticBPTT": [
            "Multiline",
            ["episode/score", "train/accuracy"],
        ],
        "length of an episode, steps": ["Multiline", ["rollout/ep_len_mean"]],
    },
    "Plasticity": {
        "eta, how fast traces change": ["Multiline", ["plasticity/.*eta"]],
        "alpha, mean size of the plasticity coefficients": ["Multiline", ["plasticity/.*alpha_abs_mean"]],
        "norm of the traces": ["Multiline", ["plasticity/.*_norm"]],
    },
    "Optimizer": {
        "loss": ["Multiline", ["train/(policy_gradient_|policy_|value_|)loss"]],
        "entropy loss": ["Multiline", ["train/entropy_loss"]],
        "norm of the gradients before clipping": ["Multiline", ["gradients/.*", "train/grad_norm"]],
        "learning rate": ["Multiline", ["train/learning_rate"]],
        "change of the policy in an update": ["Multiline", ["train/approx_kl", "train/clip_fraction"]],
    },
}


class PlasticityCallback(BaseCallback):
    """Logs plasticity and what an episode looks like; for any of our algorithms, with or without the commands.

    At the end of every rollout:

    - `plasticity/eta`, `plasticity/alpha_abs_mean`, `plasticity/trace_norm` (Frobenius norm of the traces at that
      moment, mean over environments);
    - `gradients/...`: norms of the gradients of each group of parameters before clipping, root mean square over the
      minibatches of the training step before;
    - `episode/score` (0 random, 1 oracle; for this package's tasks).

    Every `every` rollouts, but at most every `seconds` seconds, and at the end, for TensorBoard alone:

    - histograms of alpha and of the weights;
    - `matrices/...`: pictures of the weights, of alpha, and of the traces of one environment at the end of an episode;
    - `episode/reward_by_time`, the within-episode learning curve: mean reward by time since the start of the episode,
      over the episodes since the last one, in at most 50 bins, with earlier curves in gray;
    - `episode/modulation`, for neuromodulated cores: M(t) in the course of the first environment's last episode.

    Once: the pages "Learning", "Plasticity" and "Optimizer" of TensorBoard's CUSTOM SCALARS; `run/about`, a text with
    the command, the versions and the git commit; and what the HPARAMS page compares, with `final/return` and
    `final/score`, the means over the last 100 episodes of the training.

    Where `PlasticBPTT` lets the oracle act, the returns are not the policy's: no `final/...` and no score are logged,
    and what is compared is `train/accuracy`.

    The cost is about 2% of the time of a training with the default hyperparameters.

    Args:
        every: rollouts between two sets of histograms and pictures,
        seconds: but no more often than that, because a set takes about a tenth of a second.
        verbose: as in SB3.

    Attributes:
        n_episodes: episodes that have ended so far.

    Raises:
        ValueError: `every` is less than 1, or `seconds` less than 0.

    Example:
        >>> from plastic_rl import PlasticityCallback, PlasticPPO
        >>> model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0")
        >>> callback = PlasticityCallback()
        >>> model.learn(1_500, callback=callback).num_timesteps
        1536
        >>> callback.n_episodes
        256
    """

    model: "RecurrentRollouts"

    def __init__(self, every: int = 20, seconds: float = 30.0, verbose: int = 0) -> None:
        super().__init__(verbose)
        if every < 1:
            raise ValueError(f"every must be a number of rollouts of at least 1, not {every}")
        if seconds < 0:
            raise ValueError(f"seconds must be a time of at least 0, not {seconds}")
        self.every = every
        self.seconds = seconds
        self.n_episodes = 0
        self._n_rollouts = 0
        self._draws = False
        self._score_range: tuple[float, float] | None = None
        self._gradients: GradientNorms | None = None
        self._last_pictures = 0.0
        self._last_set = 0
        self._rewards: list[np.ndarray] = []
        self._dones: list[np.ndarray] = []
        self._time = np.zeros(0, np.int64)
        self._reward_sums = np.zeros(0)
        self._counts = np.zeros(0)
        self._earlier: list[tuple[np.ndarray, np.ndarray]] = []
        self._traces: dict[str, torch.Tensor] = {}
        self._wants_traces = True
        self._signals: list[torch.Tensor] = []
        self._last_signal: torch.Tensor | None = None

    def _on_training_start(self) -> None:
        self._time = np.zeros(self.training_env.num_envs, np.int64)
        self._signals = []
        self._last_pictures = perf_counter()
        random, oracle = score(self.training_env, 0.0), score(self.training_env, 1.0)
        self._score_range = None if random is None or oracle is None else (random, oracle - random)
        self._gradients = GradientNorms(self.model.policy)
        self._draws = any(isinstance(output, TensorBoardOutputFormat) for output in self.logger.output_formats)
        if self._draws:
            # Named now and given at the end: TensorBoard shows a run on its HPARAMS page from here on.
            if self.model.acting == "oracle":
                names = ["train/accuracy"]
            else:
                names = ["final/return", "rollout/ep_rew_mean", *([] if self._score_range is None else ["final/score"])]
            metrics = dict.fromkeys(names, 0.0)
            self.logger.record("hparams", HParam(hyperparameters(self.model), metrics), exclude=NOT_TEXT)
            self.logger.record("run/about", describe_run(), exclude=NOT_TEXT)
            for output in self.logger.output_formats:
                if isinstance(output, TensorBoardOutputFormat):
                    output.writer.add_custom_scalars(LAYOUT)

    def _on_training_end(self) -> None:
        if self._gradients is not None:
            self._gradients.close()
        if self._draws and self._n_rollouts:
            self._log_pictures()
        mean = self._mean_return()
        if mean is None:
            return
        self.logger.record("final/return", mean)
        if self._score_range is not None:
            self.logger.record("final/score", self._score_of(mean))
        self.logger.dump(self.num_timesteps)

    def _on_step(self) -> bool:
        normalize = self.model.get_vec_normalize_env()
        rewards = self.locals["rewards"] if normalize is None else normalize.get_original_reward()
        dones = self.locals["dones"]
        self._rewards.append(rewards.copy())
        self._dones.append(dones)
        if self._draws:
            self._look(dones)
        return True

    def _add_rollout(self) -> None:
        """Add the rewards of a rollout to those of their time in the episode, all steps at once."""
        rewards, dones = np.stack(self._rewards), np.stack(self._dones)
        # Row in which the running episode began, counted from this rollout: below zero if in one before.
        began = np.empty(dones.shape, np.int64)
        began[0] = -self._time
        began[1:] = np.where(dones[:-1], np.arange(1, len(dones))[:, None], -len(self._counts) - len(dones))
        time = (np.arange(len(dones))[:, None] - np.maximum.accumulate(began)).ravel()
        self._time = np.where(dones[-1], 0, time[-dones.shape[1] :] + 1)
        more = int(time.max()) + 1 - len(self._counts)
        if more > 0:
            self._reward_sums, self._counts = (np.pad(a, (0, more)) for a in (self._reward_sums, self._counts))
        self._reward_sums += np.bincount(time, weights=rewards.ravel(), minlength=len(self._counts))
        self._counts += np.bincount(time, minlength=len(self._counts))
        self.n_episodes += int(np.count_nonzero(dones))

    def _look(self, dones: np.ndarray) -> None:
        """Remember the traces of an episode that ends, and the modulation of the first environment."""
        policy = self.model.policy
        states = policy.actor_state(self.model.last_states)
        signal = policy.core.modulation(tuple(tensor[:1] for tensor in states))
        if signal is not None:
            self._signals.append(signal)
            if dones[0]:
                self._last_signal = torch.cat(self._signals)
                self._signals = []
        if self._wants_traces and dones.any():
            self._wants_traces = False
            ended = int(dones.argmax())
            traces = policy.core.traces(states)
            self._traces = {name: trace[ended].clone() for name, trace in traces.items()}

    def _on_rollout_start(self) -> None:
        self._rewards, self._dones = [], []
        self._wants_traces = True

    def _on_rollout_end(self) -> None:
        self._n_rollouts += 1
        self._add_rollout()
        self._log_scalars()
        now = perf_counter()
        waited = self._n_rollouts - self._last_set >= self.every and now - self._last_pictures >= self.seconds
        if self._draws and waited:
            self._log_pictures()
            self._last_set, self._last_pictures = self._n_rollouts, now

    def _log_scalars(self) -> None:
        core, states = self.model.policy.core, self.model.policy.actor_state(self.model.last_states)
        for name, value in core.plasticity().items():
            if name.endswith("eta"):
                self.logger.record(f"plasticity/{name}", value.mean().item())
            if name.endswith("alpha"):
                self.logger.record(f"plasticity/{name}_abs_mean", value.abs().mean().item())
        for name, trace in core.traces(states).items():
            self.logger.record(f"plasticity/{name}_norm", torch.linalg.vector_norm(trace, dim=(1, 2)).mean().item())
        if self._gradients is not None:
            for name, norm in self._gradients.take().items():
                self.logger.record(f"gradients/{name}", norm)
        mean = self._mean_return()
        if self._score_range is not None and mean is not None:
            self.logger.record("episode/score", self._score_of(mean))

    def _mean_return(self) -> float | None:
        episodes = self.model.ep_info_buffer if self.model.acting == "policy" else None
        return float(np.mean([episode["r"] for episode in episodes])) if episodes else None

    def _score_of(self, mean_return: float) -> float:
        assert self._score_range is not None
        return self._score_range[0] + self._score_range[1] * mean_return

    def _log_matrix(self, tag: str, matrix: torch.Tensor, title: str) -> None:
        picture = matrix_image(matrix.float().cpu().numpy(), title)
        self.logger.record(f"matrices/{tag}", Image(picture, "HWC"), exclude=NOT_TEXT)

    def _log_pictures(self) -> None:
        for name, value in self.model.policy.core.plasticity().items():
            if value.dim() == 2:
                self.logger.record(f"plasticity/{name}", value.flatten(), exclude=NOT_TEXT)
                self._log_matrix(name, value, name)
        for name, trace in self._traces.items():
            if trace.dim() == 2:
                self._log_matrix(f"{name}_at_episode_end", trace, f"{name} at an episode's end")
        if self._counts.any():
            title = f"within-episode learning after {self.n_episodes:,} episodes"
            curve = _binned(self._reward_sums, self._counts)
            self._log_line("episode/reward_by_time", title, "mean reward per step", curve, self._earlier)
            self._earlier = [*self._earlier, curve][-EARLIER:]
            self._reward_sums[:] = 0
            self._counts[:] = 0
        if self._last_signal is not None:
            signal = self._last_signal.cpu().numpy()
            curve = (np.arange(1, len(signal) + 1), signal)
            self._log_line("episode/modulation", "neuromodulation in one episode", "M(t)", curve, [])

    def _log_line(
        self,
        tag: str,
        title: str,
        ylabel: str,
        curve: tuple[np.ndarray, np.ndarray],
        earlier: list[tuple[np.ndarray, np.ndarray]],
    ) -> None:
        # matplotlib takes a second to import, and users of the policy alone do not need it.
        from matplotlib.figure import Figure as Canvas
        from matplotlib.ticker import MaxNLocator

        canvas = Canvas(figsize=(4.8, 3.2), layout="constrained")
        axes = canvas.add_subplot(xlabel="time in the episode (steps)", ylabel=ylabel, title=title)
        for number, (times, values) in enumerate(earlier):
            label = "earlier" if number == 0 else None
            axes.plot(times, values, linewidth=1, color="0.7", label=label)
        axes.plot(*curve, linewidth=1.5, label="now" if earlier else None)
        if earlier:
            axes.legend(frameon=False)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0) if curve[1].min() < 0 else 0, max(high, 0))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        self.logger.record(tag, Figure(canvas, close=False), exclude=NOT_TEXT)


def _binned(sums: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return times (from 1) and mean rewards, in at most `BINS` bins; those without a visit are left out."""
    width = -(-len(sums) // BINS)
    begins = np.arange(0, len(sums), width)
    totals, visits = np.add.reduceat(sums, begins), np.add.reduceat(counts, begins)
    ends = np.minimum(begins + width, len(sums))
    seen = visits > 0
    return ((begins + 1 + ends) / 2)[seen], totals[seen] / visits[seen]
