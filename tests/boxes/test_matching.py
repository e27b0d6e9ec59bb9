"""Against torchvision's matchers and a plain loop over images, boxes and anchors."""

import random

import pytest
import torch
from torchvision.models.detection._utils import Matcher, SSDMatcher
from torchvision.ops import box_iou

from cnnlab.boxes.matching import IN_CROWD, Truth, match_anchors, match_proposals

LIMITS = {"foreground": 0.5, "background": 0.4}


def grid(side: int = 96, step: int = 16, sizes=((16, 16), (32, 32), (48, 24))) -> torch.Tensor:
    """Anchors in a lattice, so that boxes that lie on it overlap several alike."""
    centres = range(step // 2, side, step)
    return torch.tensor(
        [
            [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            for y in centres
            for x in centres
            for w, h in sizes
        ]
    )


def drawn(seed: int) -> tuple[Truth, int]:
    """Boxes of 1 to 4 images: some have none, some lie on the lattice, some are crowds or equal."""
    draw = random.Random(seed)
    images, rows = draw.randint(1, 4), []
    for image in range(images):
        for _ in range(draw.choice([0, 0, 1, 2, 5])):
            if draw.random() < 0.5:
                x, y = (draw.randrange(0, 80, 8) for _ in range(2))
                w, h = (draw.choice([8, 16, 24, 32]) for _ in range(2))
            else:
                x, y = (draw.uniform(-10, 90) for _ in range(2))
                w, h = (draw.uniform(1, 60) for _ in range(2))
            row = ([x, y, x + w, y + h], draw.randrange(3), image, draw.random() < 0.25)
            rows += [row] * (2 if draw.random() < 0.15 else 1)
    xyxy = torch.tensor([row[0] for row in rows], dtype=torch.float32).view(-1, 4)
    label = torch.tensor([row[1] for row in rows], dtype=torch.int64)
    image = torch.tensor([row[2] for row in rows], dtype=torch.int64)
    crowd = torch.tensor([row[3] for row in rows], dtype=torch.bool)
    return Truth.of(xyxy, label, image, crowd), images


def by_hand(anchors, truth, image, forced, foreground, background):
    """Of one image: for each anchor its box (a row of `truth`) and what it is, in plain loops."""
    own = [m for m in range(len(truth.image)) if truth.image[m] == image]
    objects = [m for m in own if not truth.crowd[m]]
    crowds = [m for m in own if truth.crowd[m]]
    shares = box_iou(truth.xyxy, anchors)
    none, kinds = len(truth.image) - 1, []
    forced_to: dict[int, int] = {}
    for m in objects:
        most = max(shares[m].tolist())
        best = [a for a in range(len(anchors)) if shares[m, a] == most and most > 0]
        for a in best[:1] if forced == "taken" else best:
            forced_to[a] = m
    for a, (x1, y1, x2, y2) in enumerate(anchors.tolist()):
        share, box = -1.0, none
        for m in objects:
            if shares[m, a] > share:
                share, box = shares[m, a].item(), m
        if forced == "taken":
            box = forced_to.get(a, box)
        inside = 0.0
        for m in crowds:
            cx1, cy1, cx2, cy2 = truth.xyxy[m].tolist()
            common = max(0, min(x2, cx2) - max(x1, cx1)) * max(0, min(y2, cy2) - max(y1, cy1))
            inside = max(inside, common / ((x2 - x1) * (y2 - y1)))
        if share >= foreground or (forced != "none" and a in forced_to):
            kinds.append((box, True, False))
        else:
            kinds.append((box, False, share < background and inside < IN_CROWD))
    return kinds


@pytest.mark.parametrize("forced", ["none", "kept", "taken"])
@pytest.mark.parametrize("seed", range(12))
def test_all_images_at_once_are_each_on_its_own(seed, forced):
    truth, images = drawn(seed)
    anchors = grid()
    found = match_anchors(anchors, truth, images, **LIMITS, forced=forced)
    assert found.box.shape == (images, len(anchors))
    for image in range(images):
        expected = by_hand(anchors, truth, image, forced, **LIMITS)
        got = zip(*(part[image].tolist() for part in found), strict=True)
        assert list(got) == expected


def test_the_draws_have_what_is_hard():
    drawings = [drawn(seed) for seed in range(12)]
    assert any(truth.crowd.any() for truth, _ in drawings)
    assert any(len(truth.image) == 1 for truth, _ in drawings)  # not a box in the batch
    assert any(set(range(n)) - set(truth.image.tolist()) for truth, n in drawings)
    anchors = grid()
    ties = [box_iou(truth.xyxy[:-1], anchors) for truth, _ in drawings]
    assert any((t == t.amax(1, keepdim=True)).sum(1).gt(1).any() for t in ties if len(t))


def some_boxes(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(6, 2, generator=generator) * 60
    return torch.cat((corner, corner + 4 + torch.rand(6, 2, generator=generator) * 40), 1)


def alone(xyxy: torch.Tensor) -> Truth:
    zeros = torch.zeros(len(xyxy), dtype=torch.int64)
    return Truth.of(xyxy, zeros, zeros, zeros.bool())


def as_torchvision(found) -> torch.Tensor:
    """Its box of a positive, -1 for background, -2 between the thresholds."""
    return found.box[0].where(found.positive[0], -2).masked_fill(found.background[0], -1)


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_kept_is_torchvisions_low_quality_match(seed, low_quality):
    xyxy, anchors = some_boxes(seed), grid()
    expected = Matcher(0.5, 0.4, allow_low_quality_matches=low_quality)(box_iou(xyxy, anchors))
    found = match_anchors(
        anchors, alone(xyxy), 1, **LIMITS, forced="kept" if low_quality else "none"
    )
    assert (found.box < len(xyxy)).all()
    assert torch.equal(as_torchvision(found), expected)


@pytest.mark.parametrize("seed", range(5))
def test_taken_is_torchvisions_ssd_match(seed):
    xyxy, anchors = some_boxes(seed), grid()
    expected = SSDMatcher(0.5)(box_iou(xyxy, anchors))
    found = match_anchors(anchors, alone(xyxy), 1, foreground=0.5, background=0.5, forced="taken")
    assert torch.equal(as_torchvision(found), expected)


@pytest.mark.parametrize("forced", ["kept", "taken"])
def test_a_box_that_no_anchor_touches_forces_none(forced):
    """torchvision takes all anchors of IoU 0 for it, and SSD's the first."""
    far = torch.tensor([[500.0, 500, 520, 520]])
    found = match_anchors(grid(), alone(far), 1, **LIMITS, forced=forced)
    assert not found.positive.any()
    assert found.background.all()


@pytest.mark.parametrize("images", [1, 3])
def test_without_a_box_all_is_background(images):
    nothing = torch.zeros(0, dtype=torch.int64)
    truth = Truth.of(torch.zeros(0, 4), nothing, nothing, nothing.bool())
    found = match_anchors(grid(), truth, images, **LIMITS, forced="kept")
    assert found.background.all()
    assert not found.positive.any()
    assert (found.box == 0).all()  # 'no box'
    proposals = match_proposals(
        grid(), torch.zeros(len(grid()), dtype=torch.int64), truth, **LIMITS
    )
    assert proposals.background.all()


def test_an_object_in_a_crowd_is_still_one():
    crowd, single = [0.0, 0, 96, 96], [0.0, 0, 32, 32]
    ones = torch.zeros(2, dtype=torch.int64)
    truth = Truth.of(torch.tensor([crowd, single]), ones, ones, torch.tensor([True, False]))
    found = match_anchors(grid(), truth, 1, **LIMITS, forced="kept")
    assert found.positive.any()
    assert (found.box[found.positive] == 1).all()
    assert not found.background.any()


@pytest.mark.parametrize("seed", range(12))
def test_proposals_are_matched_in_their_own_image(seed):
    truth, images = drawn(seed)
    candidates = grid()
    image = torch.randint(images, (len(candidates),), generator=torch.Generator().manual_seed(seed))
    found = match_proposals(candidates, image, truth, **LIMITS)
    each = [by_hand(candidates, truth, i, "none", **LIMITS) for i in range(images)]
    assert list(zip(*(part.tolist() for part in found), strict=True)) == [
        each[i][p] for p, i in enumerate(image.tolist())
    ]
