from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from cnnlab.data.batch import Batch, Sample, collate, whole_frame
from cnnlab.losses.cross_entropy import CrossEntropy
from cnnlab.losses.dice import Dice
from cnnlab.losses.focal import Focal
from cnnlab.losses.weighted_sum import WeightedSum
from cnnlab.pixels import IGNORE
from cnnlab.tasks.per_class import per_class_lines
from cnnlab.tasks.segmentation import SegmentationTask, at_original_size

CLASSES = ["sky", "road", "car", "tree"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's, of loaders


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, len(CLASSES), 1).requires_grad_(False)


def cross_entropy(_counts=None, class_weights=None) -> nn.Module:
    return CrossEntropy([1] * 4, label_smoothing=0.0, class_weights=class_weights)


def task(loss: nn.Module, model: nn.Module | None = None, **keys) -> SegmentationTask:
    defaults = dict(window=None, overlap=0.5, flip=False, scales=[1.0], boundary_tolerance=1)
    common = dict(monitor="val/miou", mode="max")
    never = SimpleNamespace()  # no optimizer, no schedule: nothing is trained here
    parts = (model or net(), loss, never, never, CLASSES, 0)
    return SegmentationTask(*parts, **defaults | common | keys)


def samples(count=7) -> list[Sample]:
    """Of several sizes, with more and more ignored pixels; the last one counts nowhere."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for i in range(count):
        size = (8 + i % 3, 12 - i % 2)
        mask = torch.randint(3, size, generator=generator)
        mask[: i * size[0] // (count - 1)] = IGNORE
        image = torch.randn(3, *size, generator=generator)
        made.append(Sample(image, mask, whole_frame(*size)))
    return made


def evaluated(made: SegmentationTask, batch_size: int, stage="val") -> dict[str, float]:
    every = samples()
    ids = [range(i, min(i + batch_size, len(every))) for i in range(0, len(every), batch_size)]
    batches = [collate([every[i] for i in part], part) for part in ids]
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        barebones=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    run = trainer.validate if stage == "val" else trainer.test
    # A list of batches will do for a data set.
    run(made, DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


# To the original size -------------------------------------------------------------------------


def batch_of(images: Tensor, frames: list[list[float]], mask_size: tuple[int, int]) -> Batch:
    targets = torch.zeros(len(frames), *mask_size, dtype=torch.int64)
    return Batch(images, targets, torch.arange(len(frames)), torch.tensor(frames))


def as_it_is(images: Tensor) -> Tensor:
    return images


def test_logits_of_their_own_size_are_left_alone():
    logits = torch.randn(2, 3, 8, 10)
    batch = batch_of(logits, [[8, 10, 1, 1], [8, 10, 1, 1]], (8, 10))
    seen = []
    assert at_original_size(lambda images: seen.append(images) or logits, batch) is logits
    assert len(seen) == 1


def test_each_image_is_resized_by_its_own_frame():
    images = torch.randn(2, 3, 8, 10)
    batch = batch_of(images, [[8, 5, 2, 2], [4, 10, 1.5, 0.7]], (16, 10))
    found = at_original_size(as_it_is, batch)
    assert found.shape == (2, 3, 16, 10)
    first = F.interpolate(images[:1, :, :, :5], (16, 10), mode="bilinear")
    second = F.interpolate(images[1:, :, :4], (6, 7), mode="bilinear")
    torch.testing.assert_close(found[:1], first)
    torch.testing.assert_close(found[1:, :, :6, :7], second)


@pytest.mark.parametrize("noise", [1e6, float("nan")])
def test_padding_never_leaks_in(noise):
    clean = torch.randn(2, 3, 8, 10)
    frames = [[8, 7, 2, 2], [5, 10, 2, 1]]
    dirty = clean.clone()
    dirty[0, :, :, 7:] = noise
    dirty[1, :, 5:] = noise
    found = [at_original_size(as_it_is, batch_of(x, frames, (16, 14))) for x in (clean, dirty)]
    assert torch.equal(*found)


def test_no_image_changes_what_is_seen_in_another():
    """A net that looks at the whole of what it is given: its mean, and how large it is."""

    def look(images):
        height, width = images.shape[-2:]
        return images + images.mean((2, 3), keepdim=True) + height * width

    images = torch.randn(3, 2, 12, 16)
    frames = [[12, 16, 1, 1], [8, 9, 1, 1], [12, 16, 1, 1]]
    together = at_original_size(look, batch_of(images, frames, (12, 16)))
    for i, (h, w, *_) in enumerate(frames):
        alone = images[i : i + 1, :, :h, :w]
        want = at_original_size(look, batch_of(alone, [frames[i]], (h, w)))
        torch.testing.assert_close(together[i : i + 1, :, :h, :w], want)


def test_half_sized_images_are_judged_at_the_masks_size():
    """An image seen at half its size (`eval_side`): nearly right, and no pixel is left out."""
    image = torch.zeros(3, 8, 8)
    image[0, :, 4:] = 1
    mask = torch.zeros(16, 16, dtype=torch.int64)
    mask[:, 8:] = 1
    sample = Sample(image, mask, torch.tensor([8.0, 8.0, 2.0, 2.0]))
    model = nn.Conv2d(3, len(CLASSES), 1).requires_grad_(False)
    model.weight.zero_()
    model.bias.copy_(torch.tensor([0.0, -0.5, -9, -9]))
    model.weight[1, 0] = 1.0  # class 1 where red is above a half
    made = task(cross_entropy(), model)
    logits = made.infer(collate([sample], [0]), "test")
    assert logits.shape == (1, 4, 16, 16)
    assert torch.equal(made.predict(logits, collate([sample], [0]))[0], mask)


# Losses ---------------------------------------------------------------------------------------


def test_one_loss_is_one_name_and_several_have_theirs():
    logits, targets = torch.randn(2, 4, 6, 6), torch.randint(4, (2, 6, 6))
    batch = Batch(torch.empty(0), targets, torch.arange(2), torch.empty(0))
    assert list(task(cross_entropy()).losses(logits, batch)) == ["loss"]
    dice = Dice(eps=1e-6, absent="skip", per_image=False)
    both = WeightedSum(
        terms={"dice": lambda _: dice, "ce": cross_entropy}, weights={"dice": 3.0, "ce": 1.0}
    )
    found = task(both).losses(logits, batch)
    assert set(found) == {"dice", "ce"}
    torch.testing.assert_close(found["dice"], 3 * dice(logits, targets))
    torch.testing.assert_close(found["ce"], F.cross_entropy(logits, targets))
    logged = evaluated(task(both), 7)
    assert logged["val/loss"] == pytest.approx(logged["val/loss_dice"] + logged["val/loss_ce"])


@pytest.mark.parametrize(
    "make",
    [
        cross_entropy,
        lambda: cross_entropy(class_weights=[0.2, 3.0, 1.0, 7.0]),
        lambda: Focal([1] * 4, gamma=2.0, alpha=None, class_weights=[0.2, 3.0, 1.0, 7.0]),
    ],
    ids=["plain", "class weights", "focal"],
)
def test_the_loss_of_a_split_does_not_depend_on_the_batch_size(make):
    """It is the mean over the pixels of the split; one sample counts nowhere and weighs nothing."""
    found = {size: evaluated(task(make()), size) for size in (1, 3, 7)}
    for size in (1, 3):
        assert found[size].keys() == found[7].keys()
        for key, value in found[7].items():
            exact = key != "val/loss"  # whole numbers are summed
            assert found[size][key] == pytest.approx(value, rel=0 if exact else 1e-6, abs=0), key
    whole = collate(samples(), range(7))
    loss = make()(net()(whole.images), whole.targets)
    assert found[1]["val/loss"] == pytest.approx(loss.item(), rel=1e-6)


def test_the_loss_is_torchs_mean_over_the_pixels_that_count():
    weight = torch.tensor([0.2, 3.0, 1.0, 7.0])
    logits, masks = [], []
    for image, mask, _ in samples():
        logits.append(net()(image[None])[0].flatten(1).T)
        masks.append(mask.flatten())
    expected = F.cross_entropy(torch.cat(logits), torch.cat(masks), weight, ignore_index=IGNORE)
    found = evaluated(task(cross_entropy(class_weights=weight.tolist())), 3)
    assert found["val/loss"] == pytest.approx(expected.item(), rel=1e-5)


# What a test does besides ---------------------------------------------------------------------


def test_only_the_test_looks_at_mirrored_and_scaled_images():
    batch = collate(samples()[:1] * 2, [0, 1])
    seen: list[torch.Size] = []

    def model(x):
        seen.append(x.shape)
        return net()(x)

    made = task(cross_entropy(), flip=True, scales=[0.5, 1.0])
    made.net.forward = model
    assert torch.equal(made.infer(batch, "val"), net()(batch.images))
    assert len(seen) == 1
    outputs = made.infer(batch, "test")
    assert len(seen) == 1 + 4
    torch.testing.assert_close(outputs.exp().sum(1), torch.ones_like(outputs[:, 0]))


@pytest.mark.parametrize("stage", ["val", "test"])
def test_windows_are_for_val_and_test(stage):
    batch = collate(samples()[:3], range(3))
    made = task(cross_entropy(), window=(4, 6))
    in_image = (batch.targets != 255)[:, None]  # padding is not looked at
    found, want = made.infer(batch, stage), net()(batch.images)
    torch.testing.assert_close(found.where(in_image, 0.0), want.where(in_image, 0.0))


def test_what_is_logged_is_what_the_task_declares():
    found = evaluated(task(cross_entropy()), 3)
    assert set(found) == {key for key in SegmentationTask.logs if "*" not in key}


# Figures of the classes -----------------------------------------------------------------------


def test_the_classes_have_their_figures():
    made = task(cross_entropy())
    metrics = evaluated(made, 3, "test")
    for key in ("iou_per_class", "dice_per_class", "boundary_f1_per_class"):
        assert len(made.results[f"test/{key}"]) == len(CLASSES)
    iou = made.results["test/iou_per_class"]
    assert sum(iou[:3]) / 3 == pytest.approx(metrics["test/miou"])
    assert iou[3] != iou[3], "no tree is in any mask"
    shown = [f"{name} {value:.3f}" for name, value in zip(CLASSES, iou[:3], strict=False)]
    assert per_class_lines(made) == [f"classes  {'  '.join(shown)}  tree -"]
