import pickle
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from cnnlab.backbones.weight_files import read
from cnnlab.errors import UserError

STATE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.ones(2)}
BACKBONE = {f"backbone.{key}": value for key, value in STATE.items()}


class Evil:
    """A pickle that writes a file when it is read."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"module." + key: value for key, value in STATE.items()},
        {"_orig_mod." + key: value for key, value in STATE.items()},
        {"state_dict": STATE, "epoch": 3},
        {"state_dict_ema": STATE, "state_dict": {"fc.bias": torch.zeros(2)}},
        {"state_dict": STATE, "args": Namespace(lr=0.1)},
        BACKBONE,
        {
            "state_dict": {"loss.weight": torch.ones(9)}
            | {f"net.{k}": v for k, v in BACKBONE.items()}
        },
        {"state_dict": {f"net._orig_mod.{k}": v for k, v in BACKBONE.items()}},
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_every_wrapping_of_the_same_tensors(content, legacy, tmp_path):
    torch.save(content, tmp_path / "a", _use_new_zipfile_serialization=not legacy)
    found = read(tmp_path / "a", "x")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


def test_safetensors_by_content(tmp_path):
    """Whatever the suffix, and where the header's size makes the file begin with b" <"."""
    whole = save(STATE)
    size = int.from_bytes(whole[:8], "little")
    header, data = whole[8 : 8 + size].ljust(0x3C20), whole[8 + size :]
    (tmp_path / "a.pth").write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert (tmp_path / "a.pth").read_bytes().startswith(b" <")
    assert read(tmp_path / "a.pth", "x").keys() == STATE.keys()


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def damaged(kind, path):
    if kind == "empty":
        path.touch()
    elif kind == "html":
        path.write_text("\n<!DOCTYPE html><html>Not found</html>")
    elif kind == "lfs":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    elif kind == "text":
        path.write_text("hello " * 99)
    elif kind.startswith("torch"):
        torch.save(STATE, path)
        cut(path, path.stat().st_size - 200 if kind == "torch end" else 100)
    elif kind.startswith("safetensors"):
        save_file(STATE, path)
        cut(path, path.stat().st_size - 5 if kind == "safetensors end" else 20)
    elif kind == "list":
        torch.save([torch.ones(1)], path)
    elif kind == "numbers":
        torch.save({"epoch": 3}, path)
    elif kind == "nothing":
        torch.save({}, path)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("empty", "the file is empty; copy it again"),
        ("html", "this is a web page; download the file itself"),
        ("lfs", "run `git lfs pull`"),
        ("text", "no file of weights"),
        ("torch end", "cut off"),
        ("torch begin", "cut off"),
        ("safetensors end", "cut off"),
        ("safetensors begin", "cut off"),
        ("list", "no dictionary of tensors"),
        ("numbers", "no dictionary of tensors"),
        ("nothing", "no tensors"),
    ],
)
def test_damaged_files_name_cause_and_remedy(kind, cause, tmp_path):
    damaged(kind, tmp_path / "a")
    with pytest.raises(UserError) as caught:
        read(tmp_path / "a", "model.weights=a")
    assert str(caught.value).startswith("model.weights=a: ")
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_never_run(form, tmp_path):
    content = {"state_dict": STATE, "extra": Evil(tmp_path / "ran")}
    if form == "pickle":
        (tmp_path / "a").write_bytes(pickle.dumps(content))
    else:
        torch.save(content, tmp_path / "a", _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"refused: reading it would run code|no file of weights"):
        read(tmp_path / "a", "x")
    assert not (tmp_path / "ran").exists()


def test_whole_pickled_net_is_refused_with_its_class(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "a")
    with pytest.raises(UserError, match=r"torch\.nn\.modules\.linear\.Linear.*save_file"):
        read(tmp_path / "a", "x")
