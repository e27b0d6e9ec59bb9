from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.detection._utils import Matcher
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.ops import box_iou

from cnnlab.boxes.matching import Truth
from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.errors import UserError
from cnnlab.losses.retinanet import RetinaNetLoss

CLASSES = 3
KINDS = ("l1", "smooth_l1", "giou", "diou", "ciou")
WORDS = {
    "gamma": 2.0,
    "alpha": 0.25,
    "box": "l1",
    "box_weight": 1.0,
    "normalizer": "batch",
    "foreground": 0.5,
    "background": 0.4,
}


def loss(**words) -> RetinaNetLoss:
    return RetinaNetLoss(**(WORDS | words))


def lattice() -> torch.Tensor:
    centres = torch.cartesian_prod(torch.arange(8.0, 96, 16), torch.arange(8.0, 96, 16))
    half = torch.tensor([[8.0, 8], [16, 16], [24, 12]])
    shapes = torch.cat((-half, half), 1)
    return (centres.repeat(1, 2)[:, None] + shapes).view(-1, 4)


def outputs(images: int, seed: int = 0) -> AnchorOutputs:
    generator = torch.Generator().manual_seed(seed)
    anchors = lattice()
    scores = torch.randn(images, len(anchors), CLASSES, generator=generator) * 2 - 2
    deltas = torch.randn(images, len(anchors), 4, generator=generator)
    return AnchorOutputs(
        scores.requires_grad_(), deltas.requires_grad_(), anchors, (len(anchors),), (96, 96)
    )


def truth(rows: list[tuple[int, int, list[float]]], crowd: tuple[int, ...] = ()) -> Truth:
    """From (image, label, box); `crowd`: which rows are."""
    return Truth.of(
        torch.tensor([box for _, _, box in rows]).view(-1, 4),
        torch.tensor([label for _, label, _ in rows], dtype=torch.int64),
        torch.tensor([image for image, _, _ in rows], dtype=torch.int64),
        torch.tensor([i in crowd for i in range(len(rows))], dtype=torch.bool),
    )


ROWS = [
    (0, 2, [3.0, 5, 30, 40]),
    (0, 0, [40.0, 40, 90, 70]),
    (2, 1, [20.0, 20, 37, 37]),
]
"""Image 1 of three has none."""


def torchvisions(out: AnchorOutputs, rows) -> dict[str, torch.Tensor]:
    """By its own head: normalised image by image."""
    head = RetinaNetHead(8, 3, CLASSES)
    images = range(len(out.scores))
    targets = [
        {
            "boxes": torch.tensor([b for i, _, b in rows if i == image]).view(-1, 4),
            "labels": torch.tensor([k for i, k, _ in rows if i == image], dtype=torch.int64),
        }
        for image in images
    ]
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    matched = [
        matcher(box_iou(target["boxes"], out.anchors))
        if len(target["boxes"])
        else torch.full((len(out.anchors),), -1)
        for target in targets
    ]
    heads = {"cls_logits": out.scores, "bbox_regression": out.deltas}
    return head.compute_loss(targets, heads, [out.anchors] * len(images), matched)


def test_by_image_is_torchvisions():
    ours, theirs = outputs(3), outputs(3)
    found = loss(normalizer="image")(ours, truth(ROWS))
    expected = torchvisions(theirs, ROWS)
    torch.testing.assert_close(found["class"], expected["classification"])
    torch.testing.assert_close(found["box"], expected["bbox_regression"])
    sum(found.values()).backward()
    sum(expected.values()).backward()
    torch.testing.assert_close(ours.scores.grad, theirs.scores.grad)
    torch.testing.assert_close(ours.deltas.grad, theirs.deltas.grad)


def test_by_batch_divides_by_all_positives():
    """Of one image both normalizers agree; of more, sums are divided by the sum of counts."""
    out = outputs(3)
    whole = loss()(out, truth(ROWS))
    sums, positives = torch.zeros(2), 0
    matcher = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    for image in range(3):
        own = [(0, k, b) for i, k, b in ROWS if i == image]
        one = out._replace(
            scores=out.scores[image : image + 1], deltas=out.deltas[image : image + 1]
        )
        values = loss(normalizer="image")(one, truth(own))
        again = loss(normalizer="batch")(one, truth(own))
        torch.testing.assert_close(values, again)
        boxes = torch.tensor([b for _, _, b in own])
        count = int((matcher(box_iou(boxes, out.anchors)) >= 0).sum()) if own else 0
        positives += count
        sums += torch.stack(list(values.values())).detach() * max(count, 1)
    assert positives > 3
    torch.testing.assert_close(torch.stack(list(whole.values())), sums / positives)


@pytest.mark.parametrize("normalizer", ["batch", "image"])
def test_gamma_0_without_alpha_is_binary_cross_entropy(normalizer):
    out = outputs(1)
    rows = ROWS[:2]
    found = loss(gamma=0.0, alpha=None, normalizer=normalizer)(out, truth(rows))["class"]
    boxes, labels = (torch.tensor(part) for part in ([r[2] for r in rows], [r[1] for r in rows]))
    matched = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, out.anchors))
    target = F.one_hot(labels[matched.clamp(min=0)], CLASSES) * (matched >= 0)[:, None]
    terms = F.binary_cross_entropy_with_logits(out.scores[0], target.float(), reduction="none")
    torch.testing.assert_close(found, terms[matched != -2].sum() / (matched >= 0).sum())


def test_box_weight():
    out = outputs(3)
    once, twice = (loss(box_weight=w)(out, truth(ROWS)) for w in (1.0, 2.0))
    torch.testing.assert_close(twice["box"], 2 * once["box"])
    torch.testing.assert_close(twice["class"], once["class"])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_for_wild_offsets(kind):
    out = outputs(3)
    deltas = (out.deltas.detach() * 1e4).requires_grad_()
    wild = out._replace(deltas=deltas)
    sum(loss(box=kind)(wild, truth(ROWS)).values()).backward()
    assert deltas.grad.isfinite().all()
    assert deltas.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_offsets_of_anchors_without_a_box_do_not_count(kind):
    out, other = outputs(3), outputs(3)
    values = loss(box=kind)(out, truth(ROWS))
    sum(values.values()).backward()
    unused = ~out.deltas.grad.any(-1)
    assert unused[1].all()
    broken = other.deltas.detach().clone()
    broken[unused] = torch.nan
    broken.requires_grad_()
    again = loss(box=kind)(other._replace(deltas=broken), truth(ROWS))
    torch.testing.assert_close(again, values)
    sum(again.values()).backward()
    torch.testing.assert_close(broken.grad, out.deltas.grad)


def test_anchors_in_a_crowd_and_between_the_limits_give_no_gradient():
    out = outputs(1)
    crowd = [0.0, 0, 50, 50]
    rows = [(0, 1, crowd), (0, 2, [60.0, 60, 90, 90])]
    sum(loss()(out, truth(rows, crowd=(0,))).values()).backward()
    x1, y1, x2, y2 = out.anchors.unbind(1)
    inside = (x2.clamp(max=50) - x1.clamp(min=0)).clamp(min=0)
    inside = inside * (y2.clamp(max=50) - y1.clamp(min=0)).clamp(min=0)
    in_crowd = inside >= 0.5 * (x2 - x1) * (y2 - y1)
    matched = Matcher(0.5, 0.4, True)(box_iou(torch.tensor([rows[1][2]]), out.anchors))
    left_out = (in_crowd & (matched < 0)) | (matched == -2)
    assert in_crowd.sum() > 5
    assert (matched == -2).any()
    assert torch.equal(out.scores.grad[0].any(-1), ~left_out)
    assert torch.equal(out.deltas.grad[0].any(-1), matched >= 0)


def test_a_crowd_alone_is_no_object():
    out = outputs(1)
    values = loss()(out, truth([(0, 1, [0.0, 0, 50, 50])], crowd=(0,)))
    assert values["box"] == 0
    assert values["class"] > 0


@pytest.mark.parametrize("normalizer", ["batch", "image"])
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_box_all_anchors_learn_that_they_are_background(normalizer, kind):
    out = outputs(2)
    values = loss(normalizer=normalizer, box=kind)(out, truth([]))
    assert values["box"] == 0
    assert values["class"].isfinite()
    sum(values.values()).backward()
    assert (out.scores.grad > 0).all()
    assert not out.deltas.grad.any()


def test_padding_boxes_of_other_images_change_nothing():
    """An image's share does not depend on what lies beside it in the batch."""
    out = outputs(3)
    values = loss(normalizer="image")(out, truth(ROWS))
    turned = out._replace(scores=out.scores.flip(0), deltas=out.deltas.flip(0))
    rows = sorted(((2 - i, k, b) for i, k, b in ROWS), key=lambda row: row[0])
    torch.testing.assert_close(loss(normalizer="image")(turned, truth(rows)), values)


def test_bfloat16_outputs_are_weighed_in_float32():
    out = outputs(3)
    rough = out._replace(scores=out.scores.bfloat16(), deltas=out.deltas.bfloat16())
    fine = rough._replace(scores=rough.scores.float(), deltas=rough.deltas.float())
    values = loss()(rough, truth(ROWS))
    assert all(value.dtype == torch.float32 for value in values.values())
    torch.testing.assert_close(values, loss()(fine, truth(ROWS)))


class NoWait(TorchDispatchMode):
    """Refuses what makes the host wait for the device, or copies from it to the device."""

    WAITS = (
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "is_nonzero",
        "equal",
        "unique",
        "repeat_interleave.Tensor",
        "bincount",
        "lift_fresh",  # torch.tensor and new_tensor, which a device would have to be sent
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).removeprefix("aten.")
        if name.startswith(self.WAITS):
            raise AssertionError(f"waits for the device: {func}")
        if name.startswith(("index", "_index_put")) and len(args) > 1:
            indices = args[1] if isinstance(args[1], list | tuple) else [args[1]]
            if any(
                isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8)
                for i in indices
            ):
                raise AssertionError(f"waits for the device: {func} by flags")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.new_tensor([1.0]),
        lambda x: x.masked_select(x > 0),
        lambda x: bool((x > 0).any()),
        partial(lambda value, x: x.__setitem__(x > 0, value), torch.zeros(1)),
    ],
)
def test_the_guard_sees_waits(waiting):
    with NoWait(), pytest.raises(AssertionError, match="waits"):
        waiting(torch.ones(3))


@pytest.mark.parametrize("rows", [ROWS, []])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalizer", ["batch", "image"])
def test_nothing_waits_for_the_device(rows, kind, normalizer):
    out, all_ = outputs(3), truth(rows)
    boxes = [part[:-1] for part in all_]
    with NoWait():
        sum(loss(box=kind, normalizer=normalizer)(out, Truth.of(*boxes)).values()).backward()
    assert out.scores.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_runs_where_no_value_can_be_read(kind):
    """On the meta device, where reading one is an error."""
    out = outputs(3)
    there = [x.detach().to("meta").requires_grad_() for x in (out.scores, out.deltas)]
    meta = out._replace(scores=there[0], deltas=there[1], anchors=out.anchors.to("meta"))
    boxes = Truth.of(*[part[:-1].to("meta") for part in truth(ROWS)])
    sum(loss(box=kind)(meta, boxes).values()).backward()
    assert all(x.grad.shape == x.shape for x in there)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"alpha": 1.5}, "loss.alpha=1.5: must be at most 1"),
        ({"background": 0.6}, "loss.background=0.6: must be at most loss.foreground=0.5"),
    ],
)
def test_refused(words, said):
    with pytest.raises(UserError, match=said):
        loss(**words)
