import os
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from cnnlab.errors import UserError
from cnnlab.tracking.checkpoint_io import AtomicCheckpointIO, read_checkpoint

CHECKPOINT = {
    "pytorch-lightning_version": "2.6.6",
    "state_dict": OrderedDict(w=torch.arange(4.0), n=torch.tensor(3)),
    "optimizer_states": [{"state": {0: {"step": 1}}, "param_groups": [{"betas": (0.9, 0.999)}]}],
    "callbacks": {"a": {"best": None, "names": {"x"}}},
    "rng": torch.get_rng_state(),
    "dtype": torch.bfloat16,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    AtomicCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_plain_containers_come_back_as_they_were(path: Path):
    loaded = AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert loaded.keys() == CHECKPOINT.keys()
    torch.testing.assert_close(loaded["state_dict"], CHECKPOINT["state_dict"])
    for key in ("optimizer_states", "callbacks", "dtype"):
        assert loaded[key] == CHECKPOINT[key]
    assert torch.equal(loaded["rng"], CHECKPOINT["rng"])
    AtomicCheckpointIO().remove_checkpoint(path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Path("x"), "PosixPath"),
        (np.float64(1.0), "numpy.float64"),
        (np.zeros(2), "numpy.ndarray"),
        (torch.nn.Linear(1, 1), "Linear"),
    ],
)
def test_objects_that_could_not_be_read_back_are_refused_with_their_place(path, value, name):
    before = path.read_bytes()
    bad = CHECKPOINT | {"callbacks": {"mine": [0, {"at": value}]}}
    with pytest.raises(TypeError, match=rf"checkpoint\['callbacks'\]\['mine'\]\[1\].*{name}"):
        AtomicCheckpointIO().save_checkpoint(bad, path)
    assert path.read_bytes() == before


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


def test_code_in_a_checkpoint_is_named_and_not_run(path: Path):
    victim = path.parent / "executed"
    torch.save(CHECKPOINT | {"x": Malicious(victim)}, path)
    with pytest.raises(UserError, match=r"last.ckpt: refused: it holds posix.mkdir"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not victim.exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def page(path: Path) -> None:
    path.write_text("<html>404 not found</html>")


def noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 10)


def foreign_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")


def plain_state_dict(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)


def one_tensor(path: Path) -> None:
    torch.save(torch.zeros(2), path)


def missing(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"cut off after \d+ bytes.*use another one"),
        (empty, r"empty \(0 bytes\).*use another one"),
        (page, "not a checkpoint.*use another one"),
        (noise, "not a checkpoint.*use another one"),
        (foreign_zip, "not a checkpoint.*use another one"),
        (plain_state_dict, "only weights.*model.weights="),
        (one_tensor, "holds a Tensor"),
        (missing, "no such checkpoint"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_with_a_remedy(path, damage, message):
    damage(path)
    with pytest.raises(UserError, match=rf"last.ckpt: {message}") as caught:
        AtomicCheckpointIO().load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_weights_in_safetensors_are_sent_to_the_key_that_takes_them(tmp_path: Path):
    safetensors.torch.save_file({"w": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"model.weights=.*w.safetensors"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "w.safetensors")


@pytest.mark.parametrize("address", ["https://x.y/a.ckpt", "s3://bucket/a.ckpt"])
def test_addresses_are_refused(address):
    with pytest.raises(UserError, match="from files only"):
        read_checkpoint(address)
