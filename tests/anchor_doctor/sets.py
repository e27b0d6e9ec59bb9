"""Sets and nets of nothing but boxes and anchors."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from cnnlab.boxes.matcher import Matcher
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.data.batch import Batch, Boxes
from cnnlab.heads.anchors import Anchors

MATCHER = Matcher(foreground=0.5, background=0.4, forced="kept")
STRIDES = [8, 16, 32]


class AnchorNet(nn.Module):
    """Anchors as RetinaNet's, over maps of stride 8, 16 and 32, and no scores."""

    anchors = Anchors(side=4.0, scales=(1.0, 1.5), ratios=(0.5, 1.0, 2.0), offset=0.5, sizes=None)

    def forward(self, images: Tensor) -> AnchorOutputs:
        size = (images.shape[-2], images.shape[-1])
        maps = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES]
        grid = self.anchors.grid(maps, size, self.anchors.shapes(STRIDES))
        none = torch.zeros(1, len(grid), 4)
        return AnchorOutputs(
            none, none, grid, tuple(self.anchors.per_cell * h * w for h, w in maps), size
        )


def batch_of(images: Sequence[Sequence[list[float]]], first: int, size: tuple[int, int]) -> Batch:
    """A list of boxes an image."""
    flat = [box for boxes in images for box in boxes]
    image = torch.arange(len(images)).repeat_interleave(torch.tensor([len(b) for b in images]))
    xyxy = torch.tensor(flat).view(-1, 4)
    none = torch.zeros(len(flat), dtype=torch.int64)
    boxes = Boxes(xyxy, none, image, none.bool(), none.float())
    ids = first + torch.arange(len(images))
    return Batch(torch.zeros(len(images), 3, *size), boxes, ids, torch.zeros(len(images), 4))


class BoxData:
    """What `diagnose` asks of a data module."""

    channels, seed = 3, 0

    def __init__(self, train: list[Batch], val: list[Batch]) -> None:
        self.train, self.val = train, val

    def train_dataloader(self) -> Iterator[Batch]:
        return iter(self.train)

    def val_dataloader(self) -> Iterator[Batch]:
        return iter(self.val)

    def prepare(self, batch: Batch, training: bool, step: int) -> Batch:
        return batch
