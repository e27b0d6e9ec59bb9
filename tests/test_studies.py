"""docs/studies: each report is what `compare` says of the records beside it."""

from pathlib import Path

import pytest

from cnnlab import cli

ROOT = Path(__file__).parents[1]
STUDIES = sorted(path.parent for path in (ROOT / "docs" / "studies").glob("*/report.md"))


def test_there_are_studies():
    assert {"groups", "plain_vs_residual"} <= {study.name for study in STUDIES}


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_the_records_say_what_the_report_says(study: Path, tmp_path: Path, capsys):
    words = ["--cost", "gmacs", "--markdown", f"{tmp_path}/report.md"]
    cli.main(["compare", str(study / "records"), *words, "--html", f"{tmp_path}/report.html"])
    for name in ("report.md", "report.html"):
        again = (tmp_path / name).read_text(encoding="utf-8")
        assert again == (study / name).read_text(encoding="utf-8"), name
