"""A claim: a grid whose arms are compared, with what is measured, in `paper/NAME.yaml`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plastic_rl.arguments import check_name
from plastic_rl.scripts import refuse
from plastic_rl.scripts.experiments.grid import Run, expand, merged, read_yaml

FOLDER = Path(__file__).with_name("paper")
MEASURES = ("score", "wrong bits", "wrong answers", "error", "return", "best return")


@dataclass(frozen=True)
class Claim:
    """What the paper says, the runs that check it, and how they are measured.

    Attributes:
        name: of its file, and of the folder of its results.
        title: of its section and figure.
        paper: what the paper says.
        question: what is asked.
        grid: the settings of its runs, with `arms` and perhaps `tasks`; see `expand`.
        protocol: what all arms have in common, in words.
        differences: from the paper's experiment, in words.
        measure: `"score"` (random 0, oracle 1), `"wrong bits"` (part of the hidden bits), `"wrong answers"` (part of
            the queries), `"error"` (squared, relative to that of answering zero), `"return"` (the mean return), all in
            `episodes` episodes of fresh seeds; or `"best return"` (POPGym's: the best mean return in training).
        expect: what the claim comes to: mappings of `arm` and `beats`, another arm or a number. With several tasks an
            arm without a task is its mean over them.
        test: arguments of the environment for the evaluation, on top of those of training.
        tests: further evaluations with arguments of their own, by name.
        episodes: how many an evaluation plays.
        last_states: whether the checkpoints that a run has left are evaluated as well, for a mean over its last states.
        curve: what the learning curve is of: the `"returns"` of episodes, whose actions are sampled, or, where the
            oracle acts, the `"accuracy"` of the most probable answers in each of PlasticBPTT's updates.
        thresholds: values of the measure: the report says after how many episodes they are reached.
        pictures: whether the answers and the memory of its runs are drawn, which recall images.
        agent: the arm whose first seed is kept as a trained agent, if one is small enough.
        quick: settings over those of `grid` for a small version.
        order: where it stands in the report: lower ones come first.
    """

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
    quick: dict[str, Any] = field(default_factory=dict)
    order: int = 100

    @property
    def arms(self) -> list[str]:
        """The names of its arms, each in each task where there are several."""
        tasks = self.tasks or [""]
        return [", ".join(filter(None, (arm, task))) for arm in self.grid["arms"] for task in tasks]

    @property
    def tasks(self) -> list[str]:
        """The names of its tasks, where it has several."""
        return list(self.grid.get("tasks", {}))

    @property
    def lower(self) -> bool:
        """Whether less of what is measured is better."""
        return self.measure.startswith("wrong") or self.measure == "error"

    def runs(self, quick: bool = False) -> list[Run]:
        """Return its runs, seed by seed, so that all arms are seen once before any is twice.

        Args:
            quick: whether they are the small versions, one seed of each arm.
        """
        grid = dict(self.grid)
        if quick:
            small = {**self.quick, "seeds": 1}
            grid["arms"] = {arm: merged(settings, small) for arm, settings in grid["arms"].items()}
        return sorted(expand(grid, self.name), key=lambda run: run.values["seed"])


def claim_names() -> list[str]:
    """Return the names of the claims that the package has."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def read_claim(name: str, folder: Path = FOLDER) -> Claim:
    """Read a claim by its name.

    Raises `UsageError` where it is none.

    Args:
        name: of the claim.
        folder: where claims are.
    """
    file = folder / f"{name}.yaml"
    content = read_yaml(str(file), "claim")
    if not isinstance(content, dict) or not {"title", "paper", "arms"} <= set(content):
        refuse(f"claim {name!r} must be a mapping with title, paper and arms")
    own = {key: content.pop(key) for key in list(content) if key in Claim.__dataclass_fields__}
    claim = Claim(name, grid=content, **own)
    check_name(f"measure of claim {name!r}", claim.measure, MEASURES)
    runs = claim.runs()
    if len({run.result for run in runs}) < len(runs):
        refuse(f"an arm of claim {name!r} must be one choice of settings, and no two may share a file's name")
    for expected in claim.expect:
        for arm in expected.values():
            if isinstance(arm, str):
                check_name(f"arm of claim {name!r}", arm, {*claim.arms, *claim.grid["arms"]})
    return claim
