"""What a comparison of runs is; every output (terminal, Markdown, LaTeX, CSV, HTML) is made of it.

Plain values only: no text is laid out here, and nothing has to be computed by who shows it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnnlab.tracking.reading import RunData
from cnnlab.tracking.settings import Key

if TYPE_CHECKING:
    from cnnlab.tracking.contrasts import Verdict
    from cnnlab.tracking.published import PublishedEffect


@dataclass
class Point:
    """A run that counts, and its metric."""

    run: RunData
    key: Key
    value: float


@dataclass
class LeftOut:
    """A run that was found and does not count.

    Attributes:
        reason: `failed: RuntimeError: ...`, `running`, `stopped`, `test/top1 is missing`,
            `test/top1 is not finite`, `a newer run has the same seed`.
    """

    run: RunData
    group: str
    reason: str


@dataclass
class Group:
    """Runs that differ in their seed alone (or share the value of `--by`).

    Attributes:
        name: the arm, or what sets the group apart as short `key=value` words; unique.
        settings: the value of each key of `Comparison.differs`, None where the group has no such
            key; with `--by` a list where its runs differ.
        points: the runs that count, by seed.
        values: the metric by seed; the mean where runs of several configs share a seed (`--by`).
        mean: of `values`; None where there are none. Their number is `n`.
        sd: sample standard deviation of `values` (n - 1 below the line); None below two.
        interval: 95 % t interval of the mean; None below two values, and where all are equal.
        cost: mean over the runs by short name, every name of `COSTS`; None: not measured.
        pareto: no other group is as good in the metric at less cost, or better at the same.
        best: has the best mean.
    """

    name: str
    settings: dict[str, Any]
    points: list[Point]
    values: dict[Key, float]
    mean: float | None
    sd: float | None
    interval: tuple[float, float] | None
    cost: dict[str, float | None]
    pareto: bool = False
    best: bool = False

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def by_seed(self) -> dict[Key, float]:
        """`values` less those of runs without a seed, which cannot be paired."""
        seeds = {point.key for point in self.points if point.run.seed is not None}
        return {key: value for key, value in self.values.items() if key in seeds}

    @property
    def runs(self) -> list[RunData]:
        return [point.run for point in self.points]


@dataclass(frozen=True)
class Paired:
    """A group less the baseline, seed by seed.

    Attributes:
        differences: group minus baseline by shared seed, in the metric's own unit; may be empty.
        mean: None where no seed is shared.
        sd: None below two shared seeds.
        interval, p: 95 %, two-sided, both of Student's paired t; None, too, where all differences
            are equal.
        p_holm: p after Holm's correction over all groups but the baseline.
        sign_flip_p: exact two-sided p of flipping the signs of the differences; None for more than
            20 and for none.
        sign_flip_floor: the least that p can be with so many seeds, 2 / 2^n.
    """

    group: str
    baseline: str
    differences: dict[Key, float]
    mean: float | None
    sd: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_holm: float | None
    sign_flip_p: float | None
    sign_flip_floor: float | None

    @property
    def n(self) -> int:
        return len(self.differences)


@dataclass(frozen=True)
class Curve:
    """A metric's history in one group; the lists are equally long.

    Runs are put on common steps by linear interpolation; the curve ends with the shortest of them.

    Attributes:
        steps: optimizer steps, ascending.
        epochs: epochs done at these steps.
        mean: over the runs.
        low, high: the least and the greatest of the runs; equal to `mean` where `n` is 1.
        n: runs.
    """

    group: str
    steps: list[int]
    epochs: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    n: int


@dataclass(frozen=True)
class Meta:
    """What the comparison rests on.

    Attributes:
        title: the ablation's name, or the folders that were given.
        found: runs found; the others that count are in the groups.
        used: runs that count.
        commits: of the code, short, `+` behind it where files differed from it.
        hardware: `AMD EPYC, 1 thread`, GPUs instead where there are any; each once.
        data: names of the data sets.
        tested: `best`, `last` or both: the checkpoint behind test/...
        started, ended: ISO 8601 of the first run's start and the last one's end; None: unknown.
        total_s: seconds of running of the runs that count, added up.
    """

    title: str
    found: int
    used: int
    commits: list[str]
    hardware: list[str]
    data: list[str]
    tested: list[str]
    started: str | None
    ended: str | None
    total_s: float


@dataclass
class Comparison:
    """Groups of runs held against one another.

    Attributes:
        metric: such as `test/top1`.
        higher_is_better: the direction of the metric.
        cost: the short name that `pareto` is about, such as `gmacs`.
        groups: in the ablation's order, else sorted by what sets them apart.
        differs: what differs between the groups, dotted config keys, or a config group (`model`)
            where all of its keys follow from the file chosen. Empty for one group.
        warnings: what makes the comparison unfair or incomplete, a line each.
        notes: what a reader should know besides: tuned or not, one seed only, ...
        baseline: the name of the group that the others are held against; None for one group.
        paired: every other group against the baseline, in the order of `groups`.
        verdicts: of the ablation's contrasts; empty where there is no ablation file.
        published: by contrast name what its published effect is of, or why there is none.
        ablation: its `ablation.json`, as it is; None where there is none.
        curves: by history key (`val/top1`, `train/loss`), the groups that have it.
        left_out: runs that were found and do not count.
        no_verdict: why there is none, though there is a claim; "" otherwise.
    """

    metric: str
    higher_is_better: bool
    cost: str
    groups: list[Group]
    differs: list[str]
    warnings: list[str]
    notes: list[str]
    baseline: str | None
    paired: list[Paired]
    verdicts: "list[Verdict]"
    published: "dict[str, PublishedEffect]"
    ablation: dict[str, Any] | None
    curves: dict[str, list[Curve]]
    meta: Meta
    left_out: list[LeftOut] = field(default_factory=list)
    no_verdict: str = ""


COSTS = ("params_m", "gmacs", "activations_m", "latency_ms", "peak_memory_mb", "fit_s")
"""Short names of costs: keys under `cost/` of a run record, and `time/fit_s`."""
