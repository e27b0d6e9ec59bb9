"""Every notebook runs from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks():
    """Those that the README and docs send a reader to; one that vanished would not be run."""
    assert {path.stem for path in NOTEBOOKS} >= {
        *("00_first_run", "01_compare_runs", "02_cost_against_runtime"),
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    assert not any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells), (
        "notebooks are committed without outputs"
    )
