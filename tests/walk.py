"""How many files a reader passes through who follows a call: `python -m tests.walk`.

A switch is a call into a function of ours that lies in another file than the function of ours called before it. What
runs on import, comprehensions and lambdas are not counted.
"""

import inspect
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(str(ROOT / top) + "/" for top in ("plastic_rl", "envs", "agents", "scripts"))


def walk(work: Callable[[], Any], end: str | None = None) -> list[tuple[str, str]]:
    """Run some work and return our functions that it called, (file, function), where the file changed.

    Args:
        work: what to run.
        end: the name of the function, of anybody, where to stop looking.
    """
    found: list[tuple[str, str]] = []

    def follow(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call":
            return
        if code.co_name == end:
            return sys.setprofile(None)
        file = _own_file(code.co_filename)
        inside = code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<")  # no class or module
        if file is not None and inside and not (found and found[-1][0] == file):
            found.append((file, code.co_name))

    sys.setprofile(follow)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@cache
def _own_file(name: str) -> str | None:
    """Return the path of a file of ours, without links and relative to the root; None of any other."""
    file = str(Path(name).resolve())
    return str(Path(file).relative_to(ROOT)) if file.startswith(OURS) else None


def to_learn(folder: str) -> list[tuple[str, str]]:
    """Walk from the command line of `train` to SB3's `learn`."""
    from plastic_rl.cores import make_core
    from plastic_rl.envs import maze  # noqa: F401
    from plastic_rl.scripts import cli, train  # noqa: F401
    from plastic_rl.scripts.zoo import manager, options  # noqa: F401

    make_core("gru", 3)  # all is imported now
    options.register_algorithms()
    small = ["-params", "n_envs:4", "n_steps:20", "batch_size:40", "-n", "80", "--verbose", "0"]
    command = ["train", "--env", "plastic_rl/Maze-v0", "--core", "gru", *small, "-f", folder, "-tb", ""]
    return walk(lambda: cli.main(command), end="_setup_learn")


def through_a_step(name: str) -> list[tuple[str, str]]:
    """Walk through one step of a core, which has taken one before."""
    import torch

    from plastic_rl.cores import make_core

    core, inputs, starts = make_core(name, 3, hidden_size=4), torch.zeros(2, 3), torch.zeros(2, dtype=torch.bool)
    _, state = core.step(inputs, core.initial_state(2), starts)
    return walk(lambda: core.step(inputs, state, starts))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there:
        walks = {"train to learn()": to_learn(there)}
    for core_name in ("plastic", "plastic_memory"):
        walks[f"a step of {core_name}"] = through_a_step(core_name)
    for title, steps in walks.items():
        print(f"{title}: {len(steps)}", *(f"    {file}: {name}" for file, name in steps), sep="\n")
