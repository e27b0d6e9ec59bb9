"""A task of anchors, and a set that they do not fit."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from cnnlab.data.batch import Batch
from tests.anchor_doctor.sets import MATCHER, AnchorNet, BoxData, batch_of


@pytest.fixture
def task() -> SimpleNamespace:
    return SimpleNamespace(net=AnchorNet(), loss=SimpleNamespace(matcher=MATCHER))


@pytest.fixture
def flat_boxes() -> Callable[[int], BoxData]:
    """`flat_boxes(n)`: n images of 256 x 256 with two boxes each, six times as wide as high."""

    def make(count: int) -> BoxData:
        draw = torch.Generator().manual_seed(0)

        def split(images: int, first: int) -> list[Batch]:
            lists = []
            for _ in range(images):
                height = 10 + 20 * torch.rand(2, generator=draw)
                width = 6 * height * (0.9 + 0.2 * torch.rand(2, generator=draw))
                x = torch.rand(2, generator=draw) * (256 - width)
                y = torch.rand(2, generator=draw) * (256 - height)
                lists.append(torch.stack((x, y, x + width, y + height), 1).tolist())
            return [batch_of(lists, first, (256, 256))]

        return BoxData(split(count, 0), split(count // 2, 0))

    return make
