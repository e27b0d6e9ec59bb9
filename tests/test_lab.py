"""A lab's own package and config folder work from outside, as the README shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LOSS = '''
from torch import Tensor, nn
from torch.nn import functional as F


class Squared(nn.Module):
    """Squared error against the one-hot class."""

    tasks = ("classification",)

    def __init__(self, class_counts=None, *, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self.scale * F.mse_loss(logits, F.one_hot(targets, logits.shape[1]).float())
'''


@pytest.fixture
def lab(tmp_path) -> Path:
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "__init__.py").write_text("")
    (tmp_path / "mylab" / "losses.py").write_text(LOSS)
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "squared.yaml").write_text(
        "_target_: mylab.losses.Squared\n_partial_: true\nscale: 2.0\n"
    )
    return tmp_path


def train(lab: Path, *words: str, allow: str) -> subprocess.CompletedProcess:
    quick = ["model=lenet5_modern", "logger=none", "debug=one_batch", f"runs={lab}/runs"]
    return subprocess.run(
        [sys.executable, "train.py", "--config-dir", f"{lab}/conf", "loss=squared", *quick, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(lab), "CNNLAB_ALLOW": allow, "OMP_NUM_THREADS": "1"},
    )


def test_a_labs_loss_trains_and_its_run_is_tested_with_the_same_folder(lab):
    done = train(lab, allow="mylab")
    assert done.returncode == 0, done.stderr
    assert "test/top1" in done.stdout
    (run,) = (lab / "runs").glob("*/*")
    tested = subprocess.run(
        [sys.executable, "-m", "cnnlab", "test", str(run), "--json"],
        cwd=lab,  # another folder than the run was started in
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(lab), "CNNLAB_ALLOW": "mylab", "OMP_NUM_THREADS": "1"},
    )
    assert tested.returncode == 0, tested.stderr
    first = json.loads((run / "run.json").read_text())
    assert json.loads(tested.stdout)["test/top1"] == pytest.approx(first["metrics"]["test/top1"])
    again = train(lab, f"resume={run}", allow="mylab")
    assert "already finished" in again.stderr


def test_a_labs_module_that_cannot_be_imported_is_one_line(lab):
    file = lab / "mylab" / "losses.py"
    file.write_text(file.read_text().replace("from torch.nn import functional as F", ""))
    file.write_text(file.read_text().replace("from torch import Tensor, nn", ""))
    done = train(lab, allow="mylab")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "mylab.losses.Squared: its import failed: NameError" in line
    assert "losses.py, line" in line


def test_the_readmes_example_is_the_one_tested_here():
    """But for line breaks; the comment on its first line is the README's."""
    readme = "".join((ROOT / "README.md").read_text().split())
    code = "".join(LOSS.split())
    assert code.partition("classSquared")[0] in readme
    assert code.partition("def__init__")[0] in readme


def test_not_allowed_is_refused(lab):
    done = train(lab, allow="")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "mylab.losses.Squared" in line
    assert "CNNLAB_ALLOW" in line


def test_a_labs_misspelt_key_is_found_without_importing_it(lab):
    done = train(lab, "loss.scael=1", allow="mylab")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "scale" in line
