import math

import pytest
import torch
from torchvision.models.detection import RetinaNet
from torchvision.ops import box_iou

from cnnlab.boxes.geometry import encode
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.boxes.proposals import Proposals
from cnnlab.boxes.selection import refine, select

WORDS = {"threshold": 0.05, "candidates": 1000, "nms_iou": 0.5, "most": 100}
LEVELS = (300, 80, 20)


def outputs(seed: int = 0, classes: int = 3, **kwargs) -> AnchorOutputs:
    generator = torch.Generator().manual_seed(seed)
    total = sum(LEVELS)
    corner = torch.rand(total, 2, generator=generator) * 90 - 5
    anchors = torch.cat((corner, corner + 4 + torch.rand(total, 2, generator=generator) * 40), 1)
    return AnchorOutputs(
        torch.randn(2, total, classes, generator=generator) * 2 - 3,
        torch.randn(2, total, 4, generator=generator) * 0.3,
        anchors,
        LEVELS,
        (96, 96),
        **kwargs,
    )


@pytest.mark.parametrize(
    "words", [WORDS, WORDS | {"candidates": 25, "most": 7, "threshold": 0.2, "nms_iou": 0.1}]
)
@pytest.mark.parametrize("image", [0, 1])
def test_is_torchvisions(image, words):
    class Settings:
        score_thresh, topk_candidates = words["threshold"], words["candidates"]
        nms_thresh, detections_per_img = words["nms_iou"], words["most"]
        box_coder = torch.nn.Module()

    from torchvision.models.detection._utils import BoxCoder

    Settings.box_coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    out = outputs()
    split = {
        "cls_logits": list(out.scores.split(LEVELS, 1)),
        "bbox_regression": list(out.deltas.split(LEVELS, 1)),
    }
    anchors = [list(out.anchors.split(LEVELS))] * 2
    theirs = RetinaNet.postprocess_detections(Settings, split, anchors, [(96, 96), (70, 50)])[image]
    found = select(out, image, [(96, 96), (70, 50)][image], **words)
    assert len(found.score) > 5
    torch.testing.assert_close(found.xyxy, theirs["boxes"])
    torch.testing.assert_close(found.score, theirs["scores"])
    assert torch.equal(found.label, theirs["labels"])


def test_what_is_found_lies_in_the_valid_part_and_is_apart():
    found = select(outputs(), 0, (40, 70), **WORDS)
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 1::2] <= 40).all()
    assert (found.xyxy[:, ::2] <= 70).all()
    assert (found.score[:-1] >= found.score[1:]).all()
    for label in range(3):
        own = found.xyxy[found.label == label]
        assert (box_iou(own, own).fill_diagonal_(0).nan_to_num() <= 0.5).all()


def test_of_a_softmax_the_first_class_is_none():
    """Equal to sigmoids that have the softmax's probabilities."""
    out = outputs(classes=4, background=True)
    probability = out.scores.softmax(-1)[..., 1:]
    same = out._replace(scores=probability.logit(), background=False)
    for ours, expected in zip(
        select(out, 1, (96, 96), **WORDS), select(same, 1, (96, 96), **WORDS), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_a_perfect_net_finds_the_truth():
    out = outputs()
    truth = torch.tensor([[10.0, 10, 40, 30], [50, 20, 80, 90]])
    scores = torch.full_like(out.scores, -20.0)
    deltas = out.deltas.clone()
    for anchor, (box, label) in zip((7, 350), zip(truth, (2, 0), strict=True), strict=True):
        scores[0, anchor, label] = 9.0 - anchor / 100
        deltas[0, anchor] = encode(box, out.anchors[anchor])
    found = select(out._replace(scores=scores, deltas=deltas), 0, (96, 96), **WORDS)
    torch.testing.assert_close(found.xyxy, truth)
    assert found.label.tolist() == [2, 0]


def test_nothing_found_is_empty():
    out = outputs()
    found = select(out._replace(scores=out.scores - 100), 0, (96, 96), **WORDS)
    assert [tuple(part.shape) for part in found] == [(0, 4), (0,), (0,)]


@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("part", ["scores", "deltas"])
def test_what_is_not_finite_reaches_the_metric(part, wild):
    """Which refuses it; left out here, a broken net would look like one that finds nothing.

    One value in one place: clipping and the sigmoid would make a number of infinity, and NMS would
    keep doubles.
    """
    out = outputs()
    values = getattr(out, part).clone()
    values[0, 5, 1] = wild
    broken = out._replace(**{part: values})
    assert select(broken, 0, (96, 96), **WORDS).xyxy.isnan().any()
    assert not select(broken, 1, (96, 96), **WORDS).xyxy.isnan().any()


@pytest.mark.parametrize("wild", [math.nan, math.inf])
@pytest.mark.parametrize("part", ["scores", "deltas", "first scores", "first deltas"])
def test_what_two_stages_say_that_is_not_finite_reaches_the_metric(part, wild):
    """Of the first as well, though what it proposes then is dropped as too small."""
    proposals = Proposals(
        torch.tensor([[[0.0, 0, 10, 10], [20, 20, 40, 40]]]), torch.ones(1, 2, dtype=torch.bool)
    )
    said = {"scores": torch.tensor([[0.0, 3.0], [0.0, 3.0]]), "deltas": torch.zeros(2, 4)}
    two_stage = outputs()._replace(second=lambda boxes, image: (said["scores"], said["deltas"]))
    keys = {"threshold": 0.05, "candidates": 10, "nms_iou": 0.5, "most": 10}
    assert refine(two_stage, proposals, 0, (64, 64), **keys).xyxy.isfinite().all()
    if part.startswith("first"):
        name = part.removeprefix("first ")
        values = getattr(two_stage, name).clone()
        values[0, 3] = wild
        two_stage = two_stage._replace(**{name: values})
    else:
        said[part][1] = wild
    assert refine(two_stage, proposals, 0, (64, 64), **keys).xyxy.isnan().any()
