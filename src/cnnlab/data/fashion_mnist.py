"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) from its idx files."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision import datasets

from cnnlab.data.downloadable import Downloadable
from cnnlab.data.in_memory import MemorySource
from cnnlab.data.module import Outline
from cnnlab.errors import UserError

FOLDER = "FashionMNIST/raw"


class FashionMnist(Downloadable):
    """60,000 training and 10,000 test images, 28x28, one channel, 10 kinds of clothes.

    `val_fraction` of train is held out for val.
    """

    published = Outline(10, 1, (28, 28))
    torchvision_name = "FashionMNIST"
    files = tuple(
        f"{FOLDER}/{split}-{kind}-ubyte"
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )

    def read_files(self) -> tuple[MemorySource, MemorySource, list[str]]:
        classes = list(datasets.FashionMNIST.classes)
        return self._split("train", len(classes)), self._split("t10k", len(classes)), classes

    def _split(self, name: str, num_classes: int) -> MemorySource:
        paths = [
            self.root / FOLDER / f"{name}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")
        ]
        images, labels = (read_idx(path) for path in paths)
        if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max() >= num_classes:
            raise UserError(
                f"{paths[0]} and {paths[1]} do not fit: {tuple(images.shape)} images and "
                f"{tuple(labels.shape)} labels, which must be below {num_classes}"
            )
        return MemorySource(images.unsqueeze(1), labels.long())


def read_idx(path: Path) -> Tensor:
    """The uint8 array in an idx file: 0, 0, type 8, how many sizes, each in 4 bytes, the values.

    Raises:
        UserError: naming the file, if it is something else or cut off.
    """
    content = path.read_bytes()
    if content[:3] == b"\0\0\x08" and len(content) > 3 and len(content) >= 4 + 4 * content[3]:
        shape = tuple(np.frombuffer(content, ">u4", count=content[3], offset=4).tolist())
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
        if values.size == np.prod(shape):
            return torch.from_numpy(values.reshape(shape).copy())
    raise UserError(f"{path} is no idx file of bytes, or is cut off ({len(content)} bytes)")
