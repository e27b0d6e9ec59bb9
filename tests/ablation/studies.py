"""A multirun with a fake training (fake_train.py) that leaves a trace of every epoch it does."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.launch import launch

FAKE = [sys.executable, "-S", str(Path(__file__).with_name("fake_train.py"))]


class Study:
    """Arms `a` and `b` with seeds 1 and 2, two epochs each, in `folder`.

    `words` are added to all jobs, `of` to single ones by name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trace_file = folder.parent / "trace"
        self.words: list[str] = ["epochs=2"]
        self.of: dict[str, list[str]] = {}
        self.identities: dict[str, str] = {}
        self.metric: str | None = "test/top1"

    def plan(self) -> Plan:
        jobs = []
        for arm, base in (("a", 0.5), ("b", 0.25)):
            for seed in (1, 2):
                name = f"{arm}-s{seed}"
                own = [f"seed={seed}", f"value={base + seed / 16}", f"trace={self.trace_file}"]
                words = [*self.words, *own, *self.of.get(name, [])]
                identity = self.identities.get(name, f"identity of {name}")
                jobs.append(Job(arm, seed, words, self.folder / name, identity, None))
        return Plan("study", self.folder, {"claim": "a beats b"}, jobs, self.metric)

    def launch(self, *, jobs: int = 2, stale: str | None = None, keep: str = "all", **more) -> int:
        return launch(self.plan(), jobs=jobs, stale=stale, keep=keep, command=FAKE, **more)

    def spawn(self, *, jobs: int = 1) -> subprocess.Popen[str]:
        """The same as a program of its own, which can be killed."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path; import studies\n"
            "study = studies.Study(Path(sys.argv[2])); study.words = sys.argv[4:]\n"
            "sys.exit(study.launch(jobs=int(sys.argv[3])))"
        )
        here = str(Path(__file__).parent)
        return subprocess.Popen(
            [sys.executable, "-c", code, here, str(self.folder), str(jobs), *self.words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"COLUMNS": "100"},
        )

    def trace(self) -> Counter[str]:
        """How often each thing was done: `a-s1 started`, `a-s1 epoch 0`, ..."""
        if not self.trace_file.exists():
            return Counter()
        return Counter(self.trace_file.read_text().splitlines())


DONE_ONCE = {
    f"{name} {event}": 1
    for name in ("a-s1", "a-s2", "b-s1", "b-s2")
    for event in ("started", "epoch 0", "epoch 1")
}
# By hand: 0.5 + 1/16 and 0.5 + 2/16; two values that differ by d have sd d / sqrt(2).
ROW_A = ["a", "2", "0.5938", "0.0442", "0.25", "-"]
ROW_B = ["b", "2", "0.3438", "0.0442", "0.25", "-"]


def table(printed: str) -> list[list[str]]:
    """The rows of the final table, cell by cell."""
    lines = printed.splitlines()
    start = max(i for i, line in enumerate(lines) if line.startswith("arm "))
    rows = []
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        rows.append(line.split())
    return rows
