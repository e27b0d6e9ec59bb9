"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their Python pickles."""

import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from cnnlab.data.downloadable import Downloadable
from cnnlab.data.in_memory import MemorySource
from cnnlab.data.module import Outline
from cnnlab.errors import UserError


def _latin1(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


# What the pickle of an array calls: by numpy 1 and 2, in protocols 0-4 and in 5, and, for bytes,
# by Python 3 in protocols 0-2. The functions are this numpy's own, wherever it keeps them.
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = np.empty(0).__reduce_ex__(4)[0]
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = np.empty(0).__reduce_ex__(5)[0]


class ArraysOnly(pickle.Unpickler):
    """Reads numbers, strings, lists, dicts and numpy arrays; anything else is refused, not run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return _ALLOWED[module, name]


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict in `path`.

    Raises:
        UserError: naming the file, if it is damaged or holds more than plain values and arrays.
    """
    try:
        with path.open("rb") as file:
            content = ArraysOnly(file, encoding="latin1").load()  # written by Python 2
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{path} is no CIFAR file: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no CIFAR file: it holds a {type(content).__name__}, not a dict")
    return content


class Cifar(Downloadable):
    """Colour images of 32x32 pixels; `val_fraction` of train is held out for val."""

    folder: ClassVar[str]
    train_files: ClassVar[tuple[str, ...]]
    test_file: ClassVar[str]
    meta_file: ClassVar[str]
    labels_key: ClassVar[str]
    names_key: ClassVar[str]

    def read_files(self) -> tuple[MemorySource, MemorySource, list[str]]:
        folder = self.root / self.folder
        classes = read_pickle(folder / self.meta_file).get(self.names_key)
        if not isinstance(classes, list):
            raise UserError(f"{folder / self.meta_file} has no list '{self.names_key}'")
        train = [self._part(folder / name, len(classes)) for name in self.train_files]
        images = torch.cat([part.images for part in train])
        targets = torch.cat([part.targets for part in train])
        test = self._part(folder / self.test_file, len(classes))
        return MemorySource(images, targets), test, classes

    def _part(self, path: Path, num_classes: int) -> MemorySource:
        content = read_pickle(path)
        pixels, labels = content.get("data"), np.asarray(content.get(self.labels_key))
        if not (
            isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.shape == (labels.size, 3 * 32 * 32)
            and labels.dtype.kind == "i"
            and 0 <= labels.min() <= labels.max() < num_classes
        ):
            raise UserError(
                f"{path} is no CIFAR file: it needs 'data', uint8 (N, 3072), and "
                f"'{self.labels_key}', N numbers below {num_classes}"
            )
        images = torch.from_numpy(pixels.reshape(-1, 3, 32, 32))
        return MemorySource(images, torch.from_numpy(labels.astype(np.int64)))


class Cifar10(Cifar):
    """50,000 training and 10,000 test images of 10 classes."""

    published = Outline(10, 3, (32, 32))
    torchvision_name = "CIFAR10"
    folder = "cifar-10-batches-py"
    train_files = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_file, meta_file = "test_batch", "batches.meta"
    files = tuple(f"cifar-10-batches-py/{name}" for name in (*train_files, test_file, meta_file))
    labels_key, names_key = "labels", "label_names"


class Cifar100(Cifar):
    """50,000 training and 10,000 test images of 100 classes (the fine labels)."""

    published = Outline(100, 3, (32, 32))
    torchvision_name = "CIFAR100"
    folder = "cifar-100-python"
    train_files = ("train",)
    test_file, meta_file = "test", "meta"
    files = tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta"))
    labels_key, names_key = "fine_labels", "fine_label_names"
