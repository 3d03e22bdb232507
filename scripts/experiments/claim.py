"""A claim: a grid whose arms are compared, with what is measured, in `paper/NAME.yaml`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plastic_rl.arguments import check_name
from plastic_rl.scripts import refuse
from plastic_rl.scripts.experiments.grid import Run, expand, full_name, read_yaml

FOLDER = Path(__file__).with_name("paper")
UNITS = {  # what may be measured
    "score": "score (random 0, oracle 1)",
    "wrong bits": "wrong bits, of the hidden ones",
    "wrong answers": "wrong answers, of all queries",
    "error": "squared error, relative to answering zero",
    "return": "mean return",
    "best return": "best mean return in training",
}


@dataclass(frozen=True)
class Claim:
    """What the paper says, the runs that check it, and how they are measured; `paper/README.md` explains the keys."""

    name: str
    title: str
    paper: str
    grid: dict[str, Any]
    question: str = ""
    protocol: str = ""
    differences: str = ""
    measure: str = "score"
    expect: list[dict[str, Any]] = field(default_factory=list)
    test: dict[str, Any] = field(default_factory=dict)
    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    episodes: int = 512
    last_states: bool = False
    curve: str = "returns"
    thresholds: list[float] = field(default_factory=list)
    pictures: bool = False
    agent: str | None = None
    order: int = 100

    @property
    def arms(self) -> list[str]:
        """The names of its arms, each in each task where there are several."""
        return [full_name(arm, task) for arm in self.grid["arms"] for task in self.tasks or [""]]

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks, where it has several."""
        return list(self.grid.get("tasks", {}))

    @property
    def sign(self) -> int:
        """1 where more of what is measured is better, and else -1."""
        return -1 if self.measure.startswith("wrong") or self.measure == "error" else 1

    def runs(self) -> list[Run]:
        """Return its runs, seed by seed: all arms are seen once before any is twice."""
        return sorted(expand(self.grid, self.name), key=lambda run: run.values["seed"])


def claim_names() -> list[str]:
    """Return the names of the claims that the package has."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def read_claim(name: str, folder: Path = FOLDER) -> Claim:
    """Read a claim by its name, from the folder where claims are; raises `UsageError` where it is none."""
    content = read_yaml(str(folder / f"{name}.yaml"), "claim")
    if not isinstance(content, dict) or not {"title", "paper", "arms"} <= set(content):
        refuse(f"claim {name!r} must be a mapping with title, paper and arms")
    own = {key: content.pop(key) for key in list(content) if key in Claim.__dataclass_fields__}
    claim = Claim(name, grid=content, **own)
    check_name(f"measure of claim {name!r}", claim.measure, UNITS)
    runs = claim.runs()
    if len({run.result for run in runs}) < len(runs):
        refuse(f"an arm of claim {name!r} must be one choice of settings, and no two may share a file's name")
    for arm in [value for expected in claim.expect for value in expected.values() if isinstance(value, str)]:
        check_name(f"arm of claim {name!r}", arm, {*claim.arms, *claim.grid["arms"]})
    return claim
