from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.models.detection import RetinaNet as TheirRetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from cnnlab.backbones import create
from cnnlab.boxes.matching import Truth
from cnnlab.boxes.selection import select
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.retinanet import PRIOR, RetinaNet, last, tower
from cnnlab.losses.retinanet import RetinaNetLoss

WIDTH, CLASSES, SIZE = 32, 4, (128, 256)
STRIDES = (8, 16, 32, 64, 128)
BACKBONE = partial(create, name="resnet18", weights=None, freeze=0, seed=0, knobs={})
ANCHORS = Anchors(side=4.0, scales=(1.0,), ratios=(1.0, 2.0), offset=0.5, sizes=None)
LIMITS = {"score_thresh": 0.3, "nms_thresh": 0.4, "detections_per_img": 60, "topk_candidates": 50}


def random_torchvision() -> TheirRetinaNet:
    """Its RetinaNet over a ResNet-18, no value of which is the one it is made with."""
    torch.manual_seed(0)
    backbone = BackboneWithFPN(
        resnet18(weights=None, norm_layer=FrozenBatchNorm2d),
        {"layer2": "0", "layer3": "1", "layer4": "2"},
        [128, 256, 512],
        WIDTH,
        LastLevelP6P7(WIDTH, WIDTH),
    )
    sizes = tuple((4 * s, int(4 * s * 2 ** (1 / 3)), int(4 * s * 2 ** (2 / 3))) for s in STRIDES)
    net = TheirRetinaNet(
        backbone,
        CLASSES,
        min_size=SIZE[0],
        max_size=SIZE[1],
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes)),
        **LIMITS,
    )
    for module in net.modules():
        if isinstance(module, FrozenBatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.1, 0.1)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():  # offsets of a trained net's size
        net.head.regression_head.bbox_reg.weight.mul_(0.02)
    return net


def ours_of(theirs: TheirRetinaNet) -> RetinaNet:
    """Ours with its weights: the same convolutions under other names."""
    sizes = [(c[:, 2:] - c[:, :2]).tolist() for c in theirs.anchor_generator.cell_anchors]
    anchors = Anchors(side=4.0, scales=(1.0,), ratios=(1.0,), offset=0.0, sizes=sizes)
    net = RetinaNet(
        BACKBONE, CLASSES, 3, levels=5, width=WIDTH, depth=4, norm=None, anchors=anchors
    )
    body, pyramid, head = theirs.backbone.body, theirs.backbone.fpn, theirs.head
    parts = [
        (net.backbone, body),
        (net.neck.pyramid.inner_blocks, pyramid.inner_blocks),
        (net.neck.pyramid.layer_blocks, pyramid.layer_blocks),
        (net.neck.pyramid.extra_blocks, pyramid.extra_blocks),
        (net.scoring, head.classification_head),
        (net.placing, head.regression_head),
    ]
    for ours, other in parts:
        names = [k for k in ours.state_dict() if not k.endswith("num_batches_tracked")]
        values = other.state_dict()
        if ours is net.backbone:
            assert set(names) <= set(values)  # timm's names are torchvision's
        else:
            values = dict(zip(names, values.values(), strict=True))
        ours.load_state_dict({k: values[k] for k in names}, strict=False)
    return net


@pytest.fixture(scope="module")
def both() -> tuple[RetinaNet, TheirRetinaNet]:
    theirs = random_torchvision()
    return ours_of(theirs), theirs


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(1))


ROWS = [
    (0, 2, [10.0, 20, 60, 90]),
    (0, 0, [100.0, 5, 250, 120]),
    (0, 0, [30.0, 30, 42, 40]),  # smaller than any anchor: forced
    (2, 3, [64.0, 32, 128, 96]),
]
"""Image, label and box; image 1 has none."""


def test_losses_and_gradients_are_torchvisions(both, images):
    """L1, normalised by image; statistics of BatchNorm frozen, as theirs are.

    Theirs takes all anchors as positive for a box that none touches; ours none
    (tests/boxes/test_matching.py). There is no such box here.
    """
    ours, theirs = both
    targets = [
        {
            "boxes": torch.tensor([b for i, _, b in ROWS if i == image]).view(-1, 4),
            "labels": torch.tensor([k for i, k, _ in ROWS if i == image], dtype=torch.int64),
        }
        for image in range(3)
    ]
    truth = Truth.of(
        torch.tensor([b for _, _, b in ROWS]),
        torch.tensor([k for _, k, _ in ROWS]),
        torch.tensor([i for i, _, _ in ROWS]),
        torch.zeros(len(ROWS), dtype=torch.bool),
    )
    loss = RetinaNetLoss(
        gamma=2.0,
        alpha=0.25,
        box="l1",
        box_weight=1.0,
        normalizer="image",
        foreground=0.5,
        background=0.4,
    )
    expected = theirs.train()(list(images), targets)
    found = loss(ours.eval()(images), truth)
    for key, name in (("class", "classification"), ("box", "bbox_regression")):
        torch.testing.assert_close(found[key], expected[name], rtol=1e-5, atol=0)
        assert found[key] > 0.1
    ours.zero_grad(), theirs.zero_grad()
    sum(found.values()).backward()
    sum(expected.values()).backward()
    head, pyramid = theirs.head, theirs.backbone.fpn
    for mine, other in (
        (ours.backbone.conv1.weight, theirs.backbone.body.conv1.weight),
        (ours.backbone.layer4[1].conv2.weight, theirs.backbone.body.layer4[1].conv2.weight),
        (ours.neck.pyramid.inner_blocks[0][0].bias, pyramid.inner_blocks[0][0].bias),
        (ours.neck.pyramid.extra_blocks.convs[1].weight, pyramid.extra_blocks.p7.weight),
        (last(ours.scoring).weight, head.classification_head.cls_logits.weight),
        (ours.placing[0].weight, head.regression_head.conv[0][0].weight),
    ):
        assert other.grad.any()
        torch.testing.assert_close(
            mine.grad, other.grad, rtol=1e-4, atol=1e-5 * other.grad.abs().max().item()
        )


def test_detections_are_torchvisions(both, images):
    ours, theirs = (net.eval() for net in both)
    with torch.no_grad():
        expected = theirs(list(images))
        out = ours(images)
    for image, wanted in enumerate(expected):
        found = select(
            out,
            image,
            SIZE,
            threshold=LIMITS["score_thresh"],
            candidates=LIMITS["topk_candidates"],
            nms_iou=LIMITS["nms_thresh"],
            most=LIMITS["detections_per_img"],
        )
        assert len(wanted["scores"]) > 20
        assert len(wanted["labels"].unique()) > 1
        assert torch.equal(found.label, wanted["labels"])
        torch.testing.assert_close(found.score, wanted["scores"], atol=1e-5, rtol=0)
        torch.testing.assert_close(found.xyxy, wanted["boxes"], atol=1e-3, rtol=0)


def small(norm="group", **words) -> RetinaNet:
    usual = {"levels": 5, "width": 48, "depth": 2, "anchors": ANCHORS}
    return RetinaNet(BACKBONE, 3, 3, norm=norm, **usual | words)


def test_at_first_each_class_has_the_prior():
    scores = small()(torch.rand(1, 3, 64, 64)).scores.sigmoid()
    assert scores.mean().item() == pytest.approx(PRIOR, rel=0.2)


@pytest.mark.parametrize(("norm", "depth"), [("group", 2), (None, 4), ("group", 1)])
def test_towers(norm, depth):
    net = small(norm, depth=depth)
    for layers, out in ((net.scoring, 3 * 2), (net.placing, 4 * 2)):
        convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
        assert [m.out_channels for m in convolutions] == [48] * depth + [out]
        assert sum(isinstance(m, nn.GroupNorm) for m in layers) == (depth if norm else 0)
        assert all((m.bias is None) == (norm == "group") for m in convolutions[:-1])
    assert net.get_classifier() == (last(net.scoring),)


@pytest.mark.parametrize(("width", "groups"), [(256, 32), (64, 8), (96, 12), (12, 3), (4, 1)])
def test_group_norm_has_32_groups_of_256_channels(width, groups):
    (norm,) = (m for m in tower(width, 1, 2, "group") if isinstance(m, nn.GroupNorm))
    assert norm.num_groups == groups
    one_cell = torch.randn(1, width, 1, 1, generator=torch.Generator().manual_seed(0))
    assert norm(one_cell).abs().max() > 0.5  # of a group of one channel nothing would be left
