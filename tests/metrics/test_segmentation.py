"""Against scikit-learn, torchmetrics, and outlines found one by one with scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from cnnlab.metrics.segmentation import SegmentationMetric
from cnnlab.pixels import IGNORE

PER_CLASS = ("iou_per_class", "dice_per_class", "boundary_f1_per_class")


def regions(images, classes, side=(23, 31), seed=0):
    """Blobs of a few pixels, so that outlines and the tolerance mean something."""
    generator = torch.Generator().manual_seed(seed)
    coarse = (side[0] // 4 + 1, side[1] // 4 + 1)
    noise = torch.rand(images, classes, *coarse, generator=generator)
    return torch.nn.functional.interpolate(noise, side, mode="bilinear").argmax(1)


def case(images=3, classes=5, side=(23, 31), ignored=0.15, seed=0):
    """Predictions that are right for most, and masks of which a share is ignored."""
    targets = regions(images, classes, side, seed)
    other = regions(images, classes, side, seed + 1)
    swap = regions(images, 4, side, seed + 2) == 0
    predictions = other.where(swap, targets)
    generator = torch.Generator().manual_seed(seed + 3)
    lost = torch.rand(targets.shape, generator=generator) < ignored
    return predictions, targets.masked_fill(lost, IGNORE)


def measure(predictions, targets, classes, tolerance=2, batches=None):
    metric = SegmentationMetric(classes, tolerance)
    for ids in batches or [range(len(targets))]:
        metric.update(predictions[list(ids)], targets[list(ids)])
    return metric.compute()


@pytest.mark.parametrize("classes", [2, 5, 21])
def test_regions_equal_scikit_learn(classes):
    predictions, targets = case(classes=classes)
    found = measure(predictions, targets, classes)
    counted = (targets != IGNORE).numpy()
    y, p, labels = targets.numpy()[counted], predictions.numpy()[counted], np.arange(classes)
    present = np.isin(labels, y)
    assert np.array_equal(found["confusion"].numpy(), confusion_matrix(y, p, labels=labels))
    for key, score in (("iou_per_class", jaccard_score), ("dice_per_class", f1_score)):
        expected = score(y, p, labels=labels, average=None, zero_division=0)
        expected = np.where(present, expected, np.nan)
        np.testing.assert_allclose(found[key].numpy(), expected, rtol=1e-6)
    assert found["micro_iou"].item() == pytest.approx(jaccard_score(y, p, average="micro"))
    assert found["pixel_accuracy"].item() == pytest.approx((y == p).mean())


@pytest.mark.parametrize("classes", [2, 5, 21])
def test_regions_equal_torchmetrics(classes):
    """Where every class occurs: of absent ones torchmetrics makes 0, as if they had been missed."""
    predictions, targets = case(images=6, classes=classes, side=(60, 60))
    found = measure(predictions, targets, classes)
    assert not found["iou_per_class"].isnan().any()
    confusion = MulticlassConfusionMatrix(classes, ignore_index=IGNORE)(predictions, targets)
    assert torch.equal(found["confusion"], confusion)
    jaccard = MulticlassJaccardIndex(classes, average="macro", ignore_index=IGNORE)
    torch.testing.assert_close(found["miou"], jaccard(predictions, targets))


# Outlines -------------------------------------------------------------------------------------


def outline(mask, counted):
    """Pixel by pixel: beside one of the 8 of another class; both must count."""
    height, width = mask.shape
    found = np.zeros(mask.shape, bool)
    for y, x in np.argwhere(counted):
        for j in range(max(0, y - 1), min(height, y + 2)):
            for i in range(max(0, x - 1), min(width, x + 2)):
                found[y, x] |= counted[j, i] and mask[j, i] != mask[y, x]
    return found


def near(points, tolerance):
    """Within so many rows and columns of one of `points`."""
    if not points.any():
        return np.zeros(points.shape, bool)
    return ndimage.distance_transform_cdt(~points, metric="chessboard") <= tolerance


def boundary_f1(predictions, targets, classes, tolerance):
    sums = np.zeros((4, classes))
    for found, true in zip(predictions.numpy(), targets.numpy(), strict=True):
        counted = true != IGNORE
        of_found, of_true = outline(found, counted), outline(true, counted)
        for k in range(classes):
            a, b = of_found & (found == k), of_true & (true == k)
            sums[:, k] += [
                (a & near(b, tolerance)).sum(),
                a.sum(),
                (b & near(a, tolerance)).sum(),
                b.sum(),
            ]
    f1 = np.full(classes, np.nan)
    for k, (hit, found, met, true) in enumerate(sums.T):
        if true:
            precision, recall = hit / found if found else 0, met / true
            f1[k] = 2 * precision * recall / (precision + recall) if precision + recall else 0
    return f1


@pytest.mark.parametrize(
    ("classes", "tolerance", "side"),
    [
        (2, 1, (23, 31)),
        (5, 0, (23, 31)),
        (5, 2, (31, 23)),
        (5, 5, (23, 31)),
        (5, 40, (23, 31)),  # larger than the image
        (5, 7, (1, 31)),
        (5, 7, (31, 1)),
        (70, 1, (40, 48)),  # several words of bits
        (130, 2, (64, 64)),
    ],
)
def test_outlines_equal_those_found_one_by_one(classes, tolerance, side):
    predictions, targets = case(images=2, classes=classes, side=side)
    found = measure(predictions, targets, classes, tolerance)
    expected = boundary_f1(predictions, targets, classes, tolerance)
    assert 0 < np.nanmean(expected) < 1 or tolerance == 40
    np.testing.assert_allclose(found["boundary_f1_per_class"].numpy(), expected, rtol=1e-6)
    assert found["boundary_f1"].item() == pytest.approx(np.nanmean(expected))


def test_an_outline_off_by_two_by_hand():
    """A vertical edge between columns 3 and 4, found between 5 and 6, in 10 columns."""
    targets = (torch.arange(10) > 3).long().repeat(1, 6, 1)
    predictions = (torch.arange(10) > 5).long().repeat(1, 6, 1)
    # Class 0 ends at column 3, found at 5; class 1 begins at 4, found at 6: two off.
    for tolerance, value in ((0, 0.0), (1, 0.0), (2, 1.0), (3, 1.0)):
        found = measure(predictions, targets, 2, tolerance)
        assert found["boundary_f1_per_class"].tolist() == [value, value]


def test_one_pixel_of_the_image_is_no_outline():
    """Where all is one class there is no outline to find; a found one alone has no figure."""
    targets = torch.zeros(1, 8, 8, dtype=torch.int64)
    predictions = targets.clone()
    predictions[0, 4, 4] = 1
    found = measure(predictions, targets, 2)
    assert found["boundary_f1"].isnan()
    assert found["iou_per_class"][0].item() == pytest.approx(63 / 64)
    assert found["iou_per_class"][1].isnan()
    assert found["miou"].item() == pytest.approx(63 / 64)


# What counts ----------------------------------------------------------------------------------


def test_absent_classes_are_nan_and_not_averaged():
    """Class 1 is said to be where 0 is, class 3 never: neither has a figure of its own."""
    targets = torch.tensor([[[0, 0, 0, 2], [0, 0, 0, 2]]])
    predictions = torch.tensor([[[0, 0, 1, 2], [0, 0, 0, 0]]])
    found = measure(predictions, targets, 4)
    iou = torch.tensor([5 / 7, torch.nan, 1 / 2, torch.nan])
    torch.testing.assert_close(found["iou_per_class"], iou, equal_nan=True)
    assert found["miou"].item() == pytest.approx((5 / 7 + 1 / 2) / 2)
    assert found["micro_iou"].item() == pytest.approx(6 / 10)
    assert found["pixel_accuracy"].item() == pytest.approx(6 / 8)


@pytest.mark.parametrize("images", [0, 2])
def test_nothing_that_counts_is_nan(images):
    targets = torch.full((images, 9, 9), IGNORE)
    found = measure(torch.zeros_like(targets), targets, 3)
    assert found["confusion"].sum() == 0
    scalars = {key: value for key, value in found.items() if not value.ndim}
    assert set(scalars) == {"miou", "micro_iou", "dice", "pixel_accuracy", "boundary_f1"}
    assert all(value.isnan() for value in scalars.values())
    assert all(found[key].isnan().all() for key in PER_CLASS)


def test_what_is_said_of_ignored_pixels_does_not_matter():
    predictions, targets = case(ignored=0.4)
    other = predictions.where(targets != IGNORE, (predictions + 1) % 5)
    assert not torch.equal(other, predictions)
    same(measure(predictions, targets, 5), measure(other, targets, 5))


@pytest.mark.parametrize("tolerance", [0, 3])
def test_a_perfect_prediction_is_1_everywhere(tolerance):
    _, targets = case(images=4, classes=6)
    found = measure(targets.where(targets != IGNORE, 0), targets, 6, tolerance)
    for key in set(found) - {"confusion"}:
        assert (found[key] == 1).all(), key


# Batches and processes ------------------------------------------------------------------------


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_order_and_batches_change_nothing():
    predictions, targets = case(images=7, classes=9)
    whole = measure(predictions, targets, 9)
    for batches in ([[i] for i in range(7)], [[6, 2, 4], [0], [5, 1, 3]], [[], range(7)]):
        same(measure(predictions, targets, 9, batches=batches), whole)


def test_large_images_one_by_one_change_nothing(monkeypatch):
    predictions, targets = case(images=5)
    whole = measure(predictions, targets, 5)
    monkeypatch.setattr("cnnlab.metrics.segmentation._PIXELS_AT_ONCE", 2 * 23 * 31 + 1)
    same(measure(predictions, targets, 5), whole)


def test_padding_with_ignored_pixels_changes_nothing():
    """As `collate` does with images of several sizes."""
    predictions, targets = case()
    pad = torch.nn.functional.pad
    padded = (pad(predictions, (0, 9, 0, 4)), pad(targets, (0, 9, 0, 4), value=IGNORE))
    same(measure(*padded, 5), measure(predictions, targets, 5))


def test_two_processes_sum_to_one():
    predictions, targets = case(images=5)
    whole, merged = SegmentationMetric(5, 2), SegmentationMetric(5, 2)
    whole.update(predictions, targets)
    halves = [SegmentationMetric(5, 2) for _ in range(2)]
    for i, metric in enumerate(halves):
        metric.update(predictions[i::2], targets[i::2])
    for name, reduction in merged._reductions.items():
        setattr(merged, name, reduction(torch.stack([getattr(metric, name) for metric in halves])))
    merged._update_count = 2
    same(merged.compute(), whole.compute())


def test_update_reads_no_value():
    """The meta device has none: a wait for the device would be an error here."""
    metric = SegmentationMetric(19, 3).to("meta")
    masks = torch.empty(2, 32, 64, dtype=torch.int64, device="meta")
    metric.update(masks, masks)
    assert metric.confusion.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_counts_the_same_and_is_not_waited_for():
    predictions, targets = case(images=4, classes=40)
    metric = SegmentationMetric(40, 2).cuda()
    there = predictions.cuda(), targets.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        metric.update(*there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(metric.confusion.cpu(), measure(predictions, targets, 40)["confusion"])
    on_cpu = SegmentationMetric(40, 2)
    on_cpu.update(predictions, targets)
    assert torch.equal(metric.outlines.cpu(), on_cpu.outlines)


def test_reset_starts_anew():
    predictions, targets = case()
    metric = SegmentationMetric(5, 2)
    metric.update(targets.clamp(max=4), targets)
    metric.reset()
    metric.update(predictions, targets)
    same(metric.compute(), measure(predictions, targets, 5))
