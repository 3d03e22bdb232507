"""Writes checkpoints while a model learns, and goes on from them."""

import contextlib
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from plastic_rl.agents import distributed
from plastic_rl.agents.checkpoint.file import DamagedCheckpointError, checkpoints, read, write
from plastic_rl.agents.checkpoint.snapshot import capture, process_state, restore
from plastic_rl.agents.rollouts import RecurrentRollouts


class CheckpointCallback(BaseCallback):
    """Keeps the last two checkpoints of a training, and goes on from the newest that is whole.

    A checkpoint is written between two rollouts. A training that was killed and is resumed ends with the same
    parameters, bit for bit, as one that ran through (one thread, same machine), if all layers of its environment can be
    saved: this package's environments and wrappers, and those of Stable-Baselines3 and Gymnasium that
    `plastic_rl.agents.checkpoint.LAYERS` lists. With any other layer the environments begin new episodes, and a line on
    stderr names it. A full disk is reported and does not stop the training. SIGTERM stops it after the running rollout,
    with a checkpoint. Of many processes (`torchrun`) the first one writes for all, and Ctrl-C stops all of them as
    SIGTERM does. Another number of processes begins new episodes.

    Args:
        folder: where checkpoints are.
        seconds: time between two of them; 0 is after every rollout.
        resume: whether to go on from the newest one there. The call of `learn` is the same as the first time, with
            the same number of steps, and environments that write no monitor file: the old one goes on, beside `folder`.

    Raises:
        OtherFormatError: the newest whole checkpoint there was written by a version that this one cannot read.

    Attributes:
        found: the checkpoint to go on from; None where there is no whole one, and training starts from the beginning.
        terminated: whether SIGTERM stopped the training.

    Example:
        >>> import tempfile
        >>> from plastic_rl import CheckpointCallback, PlasticPPO
        >>> model = PlasticPPO("MlpPolicy", "plastic_rl/PatternRecall-v0")
        >>> checkpoints = CheckpointCallback(tempfile.mkdtemp(), resume=True)
        >>> model.learn(1_500, callback=checkpoints).num_timesteps
        1536
    """

    def __init__(self, folder: str | Path, seconds: float = 60.0, resume: bool = False) -> None:
        super().__init__()
        if seconds < 0:
            raise ValueError(f"seconds must be at least 0, not {seconds}")
        self.folder, self.seconds = Path(folder), seconds
        self.terminated = False
        self.found: Path | None = None
        self._state: dict[str, Any] = {}
        if resume and distributed.rank() == 0:
            self.found, self._state = _newest(self.folder)
        self._written_at = -float("inf")
        self._signal: int | None = None
        self._stops = self._failed = False
        self._handlers: dict[int, Any] = {}

    @property
    def log_folder(self) -> str | None:
        """The name of the folder below `tensorboard_log` in which the training that goes on wrote its events."""
        return self._state.get("logger")

    def _on_training_start(self) -> None:
        self.found, self._state = distributed.broadcast_object((self.found, self._state))
        if self.found is not None:
            self._go_on()
        if threading.current_thread() is threading.main_thread():
            # Each process would raise KeyboardInterrupt at a moment of its own, and leave the others waiting.
            together = [signal.SIGINT] if distributed.world_size() > 1 else []
            self._handlers = {number: signal.signal(number, self._on_signal) for number in [signal.SIGTERM, *together]}

    def _on_signal(self, number: int, _: Any) -> None:
        self._signal = number

    def _go_on(self) -> None:
        assert isinstance(self.model, RecurrentRollouts)
        everyone = [self._state, *self._state.get("others", [])]
        own = everyone[distributed.rank()] if len(everyone) == distributed.world_size() else None
        unknown = restore(self.model, self._state, own, self.folder.parent if distributed.rank() == 0 else None)
        self._state = {}
        if distributed.rank() > 0:
            return
        print(f"going on from {self.found} after {self.model.num_timesteps:,} steps")
        if own is None:
            print(f"it was written by {len(everyone)} processes: environments begin new episodes", file=sys.stderr)
        elif unknown:
            names = ", ".join(sorted(set(unknown)))
            print(f"environments begin new episodes: the state of {names} cannot be saved", file=sys.stderr)

    def _on_rollout_start(self) -> None:
        due = time.monotonic() - self._written_at >= self.seconds
        self._stops, due = distributed.all_reduce_any(self._signal is not None, due)
        if self._stops or due:
            self._write()
        self.terminated = self._stops and self._signal == signal.SIGTERM

    def _write(self) -> None:
        assert isinstance(self.model, RecurrentRollouts)
        everyone = distributed.gather_object(process_state(self.model)) if distributed.world_size() > 1 else []
        if distributed.rank() == 0:
            self._write_for(everyone[1:])
        self._written_at = time.monotonic()

    def _write_for(self, others: list[Any]) -> None:
        assert isinstance(self.model, RecurrentRollouts)
        try:
            write({**capture(self.model), "others": others}, self.folder, self.model.num_timesteps)
            self._failed = False
        except OSError as error:
            if not self._failed:  # once, and not again after each rollout
                print(f"no checkpoint could be written to {self.folder}: {error}; training goes on", file=sys.stderr)
            self._failed = True

    def _on_step(self) -> bool:
        return not self._stops

    def _on_training_end(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _newest(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    for path in reversed(checkpoints(folder)):
        try:
            return path, read(path)
        except (DamagedCheckpointError, OSError) as error:
            print(f"{error}; trying the one before", file=sys.stderr)
            with contextlib.suppress(OSError):  # where it lies, it would count as one of the last two
                path.replace(path.with_suffix(".damaged"))
    print(f"no whole checkpoint in {folder}: starting from the beginning", file=sys.stderr)
    return None, {}
