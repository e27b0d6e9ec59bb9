from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Lab = Callable[[dict[str, str]], Path]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Writes files (path: text) of a lab: packages on the import path, configs below conf/."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("CNNLAB_ALLOW", "mylab")

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return tmp_path

    return write
