"""Faster R-CNN against torchvision's over the same weights: anchors to detections, and losses."""

from functools import partial

import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN as Theirs
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import roi_align
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.ops.poolers import LevelMapper

from cnnlab.boxes.matching import Truth
from cnnlab.boxes.outputs import Proposing
from cnnlab.boxes.proposals import propose
from cnnlab.boxes.selection import refine
from cnnlab.heads.anchors import Anchors
from cnnlab.heads.faster_rcnn import FasterRCNN
from cnnlab.losses.rpn import RPNLoss
from cnnlab.losses.two_stage import TwoStageLoss

WIDTH, HIDDEN, CLASSES = 16, 32, 3
SIZE = (256, 384)  # boxes belong to two levels; all strides divide it
BOXES = [
    torch.tensor([[4.0, 8, 44, 50], [60, 10, 330, 250], [130, 30, 190, 96]]),
    torch.tensor([[10.0, 20, 70, 180]]),
]
LABELS = [torch.tensor([1, 3, 2]), torch.tensor([2])]  # theirs: 0 is the background


class Aligned(nn.Module):
    """Their pooling by levels, with `aligned` on, which their own leaves off."""

    def forward(self, maps, boxes, sizes):
        level = LevelMapper(3, 5)(boxes)
        image = torch.arange(len(boxes)).repeat_interleave(torch.tensor([len(b) for b in boxes]))
        rois = torch.cat((image[:, None].float(), torch.cat(boxes)), 1)
        read = torch.stack(
            [roi_align(maps[str(i)], rois, 7, 1 / 2 ** (3 + i), 2, aligned=True) for i in range(3)]
        )
        return read[level, torch.arange(len(rois))]


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    torch.manual_seed(0)
    body = torchvision.models.resnet18(weights=None)
    layers = {f"layer{i}": str(i - 2) for i in (2, 3, 4)}
    fpn = BackboneWithFPN(body, layers, [128, 256, 512], WIDTH, LastLevelP6P7(WIDTH, WIDTH))
    net = Theirs(
        fpn,
        rpn_anchor_generator=AnchorGenerator(
            tuple((4 * 2**i,) for i in range(3, 8)), ((0.5, 1.0, 2.0),) * 5
        ),
        rpn_pre_nms_top_n_train=80,
        rpn_pre_nms_top_n_test=80,
        rpn_post_nms_top_n_train=50,
        rpn_post_nms_top_n_test=50,
        rpn_batch_size_per_image=10_000,  # larger than all there is: nothing is random
        box_batch_size_per_image=10_000,
        box_head=TwoMLPHead(WIDTH * 49, HIDDEN),
        box_predictor=FastRCNNPredictor(HIDDEN, 1 + CLASSES),
    )
    net.roi_heads.box_roi_pool = Aligned()
    # Untrained, all scores are equal: make them, and the places, differ.
    head, predictor = net.rpn.head, net.roi_heads.box_predictor
    for layer, std in (
        (head.conv[0][0], 0.3),
        (head.cls_logits, 0.3),
        (head.bbox_pred, 0.1),
        (predictor.cls_score, 0.5),
        (predictor.bbox_pred, 0.5),
    ):
        nn.init.normal_(layer.weight, std=std)
    return net.eval()


@pytest.fixture(scope="module")
def ours(theirs: Theirs) -> FasterRCNN:
    # Theirs are rounded to whole pixels.
    corners = [cell[:, 2:] - cell[:, :2] for cell in theirs.rpn.anchor_generator.cell_anchors]
    net = FasterRCNN(
        partial(timm.create_model, "resnet18"),
        CLASSES,
        3,
        levels=5,
        width=WIDTH,
        class_aware=False,
        bins=7,
        hidden=HIDDEN,
        anchors=Anchors(
            side=4.0, scales=(1.0,), ratios=(1.0,), offset=0.0, sizes=[c.tolist() for c in corners]
        ),
        proposals=Proposing(candidates=80, nms_iou=0.7, kept=50),
    )
    body = {k: v for k, v in theirs.backbone.body.state_dict().items() if not k.startswith("fc")}
    net.backbone.load_state_dict(body)
    fpn = theirs.backbone.fpn.state_dict()
    names = {"extra_blocks.p6": "extra_blocks.convs.0", "extra_blocks.p7": "extra_blocks.convs.1"}
    renamed = {}
    for key, value in fpn.items():
        for old, new in names.items():
            key = key.replace(old, new)
        renamed[key] = value
    net.neck.pyramid.load_state_dict(renamed)
    rpn, heads = theirs.rpn.head, theirs.roi_heads
    for mine, other in (
        (net.rpn.conv, rpn.conv[0][0]),
        (net.rpn.scoring, rpn.cls_logits),
        (net.rpn.placing, rpn.bbox_pred),
        (net.fc6, heads.box_head.fc6),
        (net.fc7, heads.box_head.fc7),
        (net.scoring, heads.box_predictor.cls_score),
    ):
        mine.load_state_dict(other.state_dict())
    places = heads.box_predictor.bbox_pred  # has a box for 'none', too
    net.placing.load_state_dict({"weight": places.weight[4:], "bias": places.bias[4:]})
    return net.eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def _theirs_first(net: Theirs, images: torch.Tensor, targets=None):
    features = net.backbone(images)
    return features, *net.rpn(ImageList(images, [SIZE, SIZE]), features, targets)


def test_anchors_and_proposals_equal_torchvision(ours, theirs, images):
    with torch.no_grad():
        outputs = ours(images)
        _, expected, _ = _theirs_first(theirs, images)
        features = list(theirs.backbone(images).values())
        anchors = theirs.rpn.anchor_generator(ImageList(images, [SIZE, SIZE]), features)
    torch.testing.assert_close(outputs.anchors, anchors[0])
    proposals = propose(outputs)
    assert proposals.xyxy.shape == (2, 50, 4)
    for i in range(2):
        assert len(expected[i]) > 20
        found = proposals.xyxy[i][proposals.valid[i]]
        torch.testing.assert_close(found, expected[i], atol=1e-3, rtol=1e-4)


def test_detections_equal_torchvision(ours, theirs, images):
    with torch.no_grad():
        outputs = ours(images)
        features, proposals, _ = _theirs_first(theirs, images)
        expected, _ = theirs.roi_heads(features, proposals, [SIZE, SIZE])
        mine = propose(outputs)
        for i in range(2):
            found = refine(
                outputs, mine, i, SIZE, threshold=0.05, candidates=10_000, nms_iou=0.5, most=100
            )
            assert len(found.label) > 10
            torch.testing.assert_close(found.label, expected[i]["labels"] - 1)
            torch.testing.assert_close(found.score, expected[i]["scores"], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(found.xyxy, expected[i]["boxes"], atol=2e-3, rtol=1e-4)


def test_losses_equal_torchvision(ours, theirs, images):
    targets = [{"boxes": b, "labels": n} for b, n in zip(BOXES, LABELS, strict=True)]
    theirs.rpn.train()
    theirs.roi_heads.train()
    try:
        features, proposals, expected = _theirs_first(theirs, images, targets)
        _, more = theirs.roi_heads(features, proposals, [SIZE, SIZE], targets)
    finally:
        theirs.eval()
    expected |= more
    loss = two_stage()
    mine = loss(ours(images), truth())
    for name, other in (
        ("rpn_class", "loss_objectness"),
        ("rpn_box", "loss_rpn_box_reg"),
        ("class", "loss_classifier"),
        ("box", "loss_box_reg"),
    ):
        assert expected[other] > 1e-3
        torch.testing.assert_close(mine[name], expected[other], atol=1e-5, rtol=1e-4)


def two_stage(sample: int = 10_000) -> TwoStageLoss:
    rpn = partial(
        RPNLoss,
        sample=sample,
        positives=0.5,
        box="smooth_l1",
        box_weight=1.0,
        foreground=0.7,
        background=0.3,
    )
    return TwoStageLoss(
        None,
        rpn=rpn,
        sample=sample,
        positives=0.25,
        box="smooth_l1",
        box_weight=1.0,
        foreground=0.5,
    )


def truth() -> Truth:
    xyxy, label = torch.cat(BOXES), torch.cat(LABELS) - 1
    image = torch.tensor([0, 0, 0, 1])
    return Truth.of(xyxy, label, image, torch.zeros(4, dtype=torch.bool))
