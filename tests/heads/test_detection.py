"""Which maps detection stands on, and in which order scores, offsets and anchors come."""

from functools import partial

import pytest
import torch

from cnnlab.backbones import create
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.detection import flat
from cnnlab.heads.retinanet import RetinaNet

ANCHORS = Anchors(side=4.0, scales=(1.0, 1.5), ratios=(0.5, 1.0, 2.0), offset=0.5, sizes=None)


def net(name: str, levels: int = 5, **knobs) -> RetinaNet:
    backbone = partial(create, name=name, weights=None, freeze=0, seed=0, knobs=knobs)
    words = {"levels": levels, "width": 8, "depth": 1, "norm": "group", "anchors": ANCHORS}
    return RetinaNet(backbone, 3, 3, **words)


@pytest.mark.parametrize(
    ("name", "knobs", "maps", "strides"),
    [
        ("resnet18", {}, 3, [8, 16, 32, 64, 128]),
        ("convnext_atto", {}, 3, [8, 16, 32, 64, 128]),
        ("resnet20_cifar", {}, 1, [4, 8, 16, 32, 64]),  # its maps have strides 1, 2 and 4
        ("resnet50", {"output_stride": 16}, 2, [8, 16, 32, 64, 128]),
        ("resnet50", {"output_stride": 8}, 1, [8, 16, 32, 64, 128]),  # three maps of stride 8
    ],
)
def test_maps_of_stride_8_and_more_then_halves(name, knobs, maps, strides):
    head = net(name, **knobs)
    assert len(head.used) == maps
    assert head.used[-1] == head.channels[-1]  # the deepest, so that all of the net learns
    assert head.strides == strides


@pytest.mark.parametrize(("levels", "strides"), [(1, [32]), (2, [16, 32]), (3, [8, 16, 32])])
def test_fewer_levels_are_the_coarsest_maps(levels, strides):
    assert net("resnet18", levels).strides == strides


@pytest.mark.parametrize("size", [(64, 64), (67, 83), (63, 128)])
@pytest.mark.parametrize("name", ["resnet20_cifar", "alexnet", "resnet18", "convnext_atto"])
def test_any_size(name, size):
    head = net(name).eval()
    with torch.no_grad():
        out = head(torch.rand(2, 3, *size))
    total = sum(out.levels)
    assert out.scores.shape == (2, total, 3)
    assert out.deltas.shape == (2, total, 4)
    assert out.anchors.shape == (total, 4)
    assert out.size == size
    assert len(out.levels) == 5
    for level in out.anchors.split(out.levels):
        centre = (level[:, :2] + level[:, 2:]) / 2
        low, high = centre.amin(0), centre.amax(0)
        border = torch.tensor([size[1], size[0]])
        torch.testing.assert_close(low, border - high)  # as far from one side as from the other
        assert (low > 0).all()


def test_scores_and_offsets_stand_where_their_anchor_does():
    """Cell (row 1, column 2) of the second map, its third of four shapes."""
    maps = [torch.zeros(2, 4 * 3, 5, 6), torch.zeros(2, 4 * 3, 3, 4)]
    maps[1].view(2, 4, 3, 3, 4)[1, 2, :, 1, 2] = torch.tensor([1.0, 2, 3])
    found = flat(maps, 4)
    assert found.shape == (2, 4 * (5 * 6 + 3 * 4), 3)
    at = 4 * 5 * 6 + (1 * 4 + 2) * 4 + 2
    assert found[1, at].tolist() == [1, 2, 3]
    assert found.count_nonzero() == 3
    last = [x.to(memory_format=torch.channels_last) for x in maps]
    assert torch.equal(flat(last, 4), found)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_anchors_are_exact_in_a_net_that_is_cast(dtype):
    """In bfloat16 a corner near 1000 px would lie up to 4 px off."""
    head = net("resnet18").eval()
    images = torch.zeros(1, 3, 1024, 32)
    with torch.no_grad():
        exact = head(images).anchors
        head.to(dtype)
        # Lightning's true precisions change torch's default while the net runs, too.
        torch.set_default_dtype(dtype)
        try:
            out = head(images.to(dtype))
        finally:
            torch.set_default_dtype(torch.float32)
    assert out.scores.dtype == dtype
    assert out.anchors.dtype == torch.float32
    assert torch.equal(out.anchors, exact)


def test_shapes_move_with_the_net_and_are_not_saved():
    head = net("resnet18")
    assert not [key for key in head.state_dict() if "shape" in key]
    images = torch.zeros(1, 3, 64, 64, device="meta")
    assert head.to("meta")(images).anchors.is_meta
