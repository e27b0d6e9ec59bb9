"""What a multirun consists of: a job is one run of `train.py`, a plan is all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = "CNNLAB_JOB_FOLDER"
"""The variable that tells a job's process which run folder is its own."""
JOB = "CNNLAB_JOB"
"""The variable that tells it what it is a job of: a JSON object, `job` in run.json."""


@dataclass(frozen=True)
class Job:
    """One run: an arm under a seed.

    Attributes:
        arm: its name in the ablation; in a grid the words that tell its runs apart.
        seed: of the run.
        words: as typed after `train.py`, `seed=N` among them.
        folder: `runs/<name>/<arm>-s<seed>`; holds what is known of the job's state.
        identity: of the composed config (`cnnlab.tracking.identity`). The process is told it in
            JOB, so run.json repeats it there; `identity` itself may differ by what `auto` became
            on the machine that ran the job.
        cost: `cost/...` keys of the net, counted when planning; None: not counted.
        solved: the knob that holds the cost, as plain values: `holds` (what), `key`, `value`, the
            arm's `cost`, the `target`, the `deviation` as a share, and `of`, which is equal where
            the same was asked; None: no knob was solved.
    """

    arm: str
    seed: int
    words: list[str]
    folder: Path
    identity: str
    cost: dict[str, float] | None
    solved: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """`<arm>-s<seed>`, the folder's own name."""
        return self.folder.name


@dataclass(frozen=True)
class Plan:
    """All jobs of a multirun, composed and checked.

    Attributes:
        name: of the ablation, or `multirun-<8 hex>`.
        folder: `runs/<name>`.
        ablation: the ablation as plain containers; None for a grid.
        jobs: in the order in which they start.
        metric: the key that the tables show; None where neither file nor person named one.
        hold: `cost`, `solve` and `tolerance`; None: nothing is held.
        others: what earlier commands ran under other seeds, or of the ablation's other arms, as it
            would be run now; these are looked at and not run.
    """

    name: str
    folder: Path
    ablation: dict[str, Any] | None
    jobs: list[Job]
    metric: str | None
    hold: dict[str, Any] | None = None
    others: Sequence[Job] = ()


def job_variables(plan_name: str, job: Job) -> Mapping[str, Any]:
    """What `JOB` holds, before it is written as JSON."""
    known = {"name": plan_name, "arm": job.arm, "identity": job.identity}
    return known if job.solved is None else known | {"solved": job.solved}
