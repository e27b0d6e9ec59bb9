"""Checkpoints that are whole or absent, hold plain containers only, and run no code when read."""

import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import Tensor

from cnnlab.atomic import replacing
from cnnlab.errors import UserError

_PLAIN = (str, bytes, int, float, complex, bool, type(None), Tensor)
_PLAIN_TORCH = (torch.dtype, torch.device, torch.Size)


class AtomicCheckpointIO(CheckpointIO):
    """Writes beside the target and renames; reads with `weights_only=True`, whatever is asked."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write `checkpoint`.

        Raises:
            TypeError: it holds an object that could not be read back; the text says where.
            UserError: the disk is full; the old file is kept.
        """
        storages: dict[int, int] = {}
        for where, leaf in _leaves(checkpoint, "checkpoint"):
            if type(leaf) not in _PLAIN and not isinstance(leaf, (Tensor, *_PLAIN_TORCH)):
                raise TypeError(
                    f"{where} is a {type(leaf).__module__}.{type(leaf).__qualname__}; checkpoints "
                    "hold tensors, numbers, text and plain containers only"
                )
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        with replacing(Path(path), sum(storages.values())) as part, part.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a trainer's checkpoint; see `read_checkpoint`.

        Raises:
            UserError: it cannot be read, or is only a file of weights.
        """
        checkpoint = read_checkpoint(path, map_location)
        if "state_dict" not in checkpoint or "pytorch-lightning_version" not in checkpoint:
            raise UserError(f"{path}: {_ONLY_WEIGHTS}{path}")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a file of tensors and plain containers that `torch.save` wrote; no code in it is run.

    Raises:
        UserError: an address; no such file; empty, cut off, something else, or it holds objects.
    """
    if "://" in str(path):
        raise UserError(f"{path}: checkpoints are read from files only; download it first")
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: empty (0 bytes), its writing was interrupted; {_REMEDY}")
    if path.suffix == ".safetensors":
        raise UserError(f"{path}: {_ONLY_WEIGHTS}{path}")
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04" and not zipfile.is_zipfile(path):  # its end holds the directory
        raise UserError(
            f"{path}: cut off after {path.stat().st_size} bytes, its writing or copying was "
            f"interrupted; {_REMEDY}"
        )
    try:
        loaded = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: {_unpickling(str(error))}") from error
    except (RuntimeError, EOFError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise UserError(f"{path}: not a checkpoint ({_first_line(error)}); {_REMEDY}") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: holds a {type(loaded).__name__}, not a checkpoint")
    return loaded


_ONLY_WEIGHTS = "only weights, not a run's checkpoint; start from them: model.weights="
_REMEDY = "use another one (checkpoints/best.ckpt, checkpoints/last.ckpt) or copy it again"


def _unpickling(text: str) -> str:
    found = re.search(r"GLOBAL (\S+)", text)
    if found is None:
        return f"not a checkpoint, or damaged; {_REMEDY}"
    return (
        f"refused: it holds {found[1]}, and loading objects can run foreign code; "
        "ask its author for plain weights (safetensors, or a state dict of tensors)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:120]


def _leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections"):
        for key, item in value.items():
            yield from _leaves(key, f"a key of {where}")
            yield from _leaves(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple, set):
        for i, item in enumerate(value):
            yield from _leaves(item, f"{where}[{i}]")
    else:
        yield where, value
