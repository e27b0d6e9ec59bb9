"""Help and config errors, as whole processes, beside a bare Hydra program."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REPEATS = 5
APP = """\
import hydra


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg):
    print(cfg)


main()
"""


def measure() -> list[dict[str, Any]]:
    """Median seconds of each command, ours and the bare program's, run in turn."""
    with tempfile.TemporaryDirectory() as name:
        bare = Path(name)
        (bare / "train.py").write_text(APP)
        (bare / "conf").mkdir()
        (bare / "conf" / "train.yaml").write_text("model: {name: resnet50, groups: 1}\nseed: 0\n")
        return [
            _row("train.py modle.groups=4", ["modle.groups=4"], bare),
            _row("train.py trainer.max_epochs=abc", ["trainer.max_epochs=abc"], bare),
            _row("train.py --help", ["--help"], bare),
        ]


def _row(name: str, words: list[str], bare: Path) -> dict[str, Any]:
    times: dict[Path, list[float]] = {ROOT: [], bare: []}
    for _ in range(REPEATS + 1):  # the first fills the file cache
        for folder, taken in times.items():
            taken.append(_seconds([sys.executable, "train.py", *words], folder))
    ours, reference = (statistics.median(taken[1:]) for taken in times.values())
    return {
        "name": name,
        "ours": ours,
        "reference": reference,
        "unit": "s",
        "ratio": ours / reference,
        "target": f"<= {(reference + 0.15) / reference:.2f}",
        "note": f"a bare Hydra program of three keys; median of {REPEATS}",
    }


def _seconds(command: list[str], folder: Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return time.perf_counter() - start
