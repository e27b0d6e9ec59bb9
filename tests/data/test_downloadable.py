from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torchvision import datasets

from cnnlab.data.cifar import Cifar10
from cnnlab.data.downloadable import Downloadable
from cnnlab.data.in_memory import MemorySource
from cnnlab.errors import UserError


class OneFile(Downloadable):
    torchvision_name = "CIFAR10"
    files = ("images.bin",)

    def read_files(self) -> tuple[MemorySource, MemorySource, list[str]]:
        size = len((self.root / "images.bin").read_bytes())
        source = MemorySource(torch.zeros(size, 1, 2, 2).byte(), torch.arange(size) % 2)
        return source, source, ["a", "b"]


def test_missing_files_say_what_was_looked_for_and_how_to_get_it(
    tmp_path: Path, data_keys: dict[str, Any]
) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").touch()
    with pytest.raises(UserError) as caught:
        Cifar10(root=str(tmp_path), download=False, **data_keys).setup()
    message = str(caught.value)
    assert "\n" not in message
    for part in ("data_batch_2 not found", "6 of 7", f"data.root={tmp_path}", "data.download=true"):
        assert part in message


def test_download_fetches_only_what_is_missing(
    tmp_path: Path, data_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(root: str, download: bool) -> None:
        calls.append((root, download))
        (Path(root) / "images.bin").write_bytes(b"x" * 20)

    monkeypatch.setattr(datasets, "CIFAR10", fetch)
    for _ in range(2):
        data = OneFile(root=str(tmp_path), download=True, **data_keys)
        data.setup()
        assert data.summary()["sizes"] == {"train": 18, "val": 2, "test": 20}
    assert calls == [(str(tmp_path), True)]


@pytest.mark.parametrize("error", [URLError("no route\nto host"), RuntimeError("md5 differs")])
def test_a_failed_download_is_one_line(
    tmp_path: Path, data_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fetch(root: str, download: bool) -> None:
        raise error

    monkeypatch.setattr(datasets, "CIFAR10", fetch)
    with pytest.raises(
        UserError, match=r"data\.download=true: CIFAR10 cannot be fetched"
    ) as caught:
        OneFile(root=str(tmp_path), download=True, **data_keys).setup()
    assert "\n" not in str(caught.value)
