from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.masks import Masks
from cnnlab.errors import UserError
from cnnlab.losses.class_weights import class_weights

NET = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "input_size": (3, 12, 14)}
Build = Callable[..., Masks]


@pytest.fixture
def root(mask_tree: Callable[[dict], Path]) -> Path:
    """12 + 4 + 3 pairs; the masks of a split are cut from one run of values."""
    sizes = {"train": 12, "val": 4, "test": 3}
    names = [f"{split}/{k:02}" for split, size in sizes.items() for k in range(size)]
    masks = {f"masks/{name}.png": [0, 7, (0, 1, 255)[i % 3]] for i, name in enumerate(names)}
    return mask_tree({f"images/{name}.png": None for name in names} | masks)


@pytest.fixture
def build(root: Path, mask_keys: dict[str, Any]) -> Build:
    def make(**other: Any) -> Masks:
        return Masks(**mask_keys | {"root": str(root), "test_fraction": 0.0} | other)

    return make


def test_what_is_null_comes_from_the_net(build: Build) -> None:
    data = build(image_size=None, mean=None, std=None)
    data.setup()
    data.adopt(NET)
    assert (data.mean, data.std, data.image_size) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], (12, 14))
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape[-2:] == batch.targets.shape[-2:] == (12, 14)


@pytest.mark.parametrize("key", ["mean", "image_size"])
def test_without_a_net_null_is_refused(build: Build, key: str) -> None:
    with pytest.raises(UserError, match=rf"data\.{key}=null is what the net"):
        build(**{key: None}).train_dataloader()


def test_windows_in_training_and_whole_images_in_evaluation(build: Build) -> None:
    data = build(eval_side=10)
    batch = next(iter(data.train_dataloader()))
    assert (batch.images.shape, batch.targets.shape) == ((4, 3, 16, 20), (4, 16, 20))
    for loader in (data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        assert (batch.images.shape, batch.targets.shape) == ((2, 3, 10, 12), (2, 20, 24))
        assert batch.frames.tolist() == [[10, 12, 2, 2]] * 2
        expected = loader.source.mask(int(batch.ids[1]))
        prepared = data.prepare(batch, False, 0)
        assert np.array_equal(prepared.targets[1], expected)


def test_what_images_lack_in_a_batch_is_the_mean(build: Build, root: Path) -> None:
    Image.new("RGB", (20, 12)).save(root / "images/val/01.png")
    Image.new("L", (20, 12)).save(root / "masks/val/01.png")
    loader = build(mean=[0.2, 0.4, 0.6]).val_dataloader()
    images = next(iter(loader)).images
    assert images[1, :, 12:].flatten(1).unique(dim=1).tolist() == [[51], [102], [153]]
    assert images[1, :, :, 20:].flatten(1).unique(dim=1).tolist() == [[51], [102], [153]]


def test_batches_are_equal_with_0_and_2_workers(build: Build, mask_keys: dict[str, Any]) -> None:
    loud = replace(
        mask_keys["augment"], scale_jitter=(0.5, 2), flip=True, color_jitter=0.4, class_crops=0.5
    )
    epochs = []
    for workers in (0, 2):
        data = build(workers=workers, augment=loud)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(3)
        epochs.append([data.prepare(batch, True, step) for step, batch in enumerate(loader)])
    for here, there in zip(*epochs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(here, there, strict=True))


def test_pairs_are_mirrored_once(build: Build, mask_keys: dict[str, Any]) -> None:
    """With the window, and not again with the batch."""
    data = build(augment=replace(mask_keys["augment"], flip=True))
    batch = next(iter(data.train_dataloader()))
    for step in range(8):
        assert torch.equal(data.prepare(batch, True, step).targets, batch.targets.long())


def test_a_fraction_is_of_train_alone(build: Build) -> None:
    data = build(fraction=0.5)
    assert data.summary()["sizes"] == {"train": 6, "val": 4, "test": 3}


def test_the_record_has_the_values(build: Build) -> None:
    summary = build(eval_side=10).summary()
    assert summary["values"] == {"0": "sky", "1": "road", "7": "car", "255": "ignore"}
    assert (summary["num_classes"], summary["eval_side"]) == (3, 10)
    assert summary["digest"] == build().summary()["digest"]
    other = build(values={0: "sky", 1: "road", 7: "lorry", 255: "ignore"}).summary()
    assert other["digest"] != summary["digest"]


def test_balanced_weights_are_of_pixels(build: Build, root: Path) -> None:
    data = build()
    data.setup()
    masks = [np.asarray(Image.open(file)) for file in (root / "masks" / "train").iterdir()]
    counts = [int(sum((mask == value).sum() for mask in masks)) for value in (0, 1, 7)]
    assert list(data.class_counts) == counts
    assert len(data.class_counts) == 3
    weights = class_weights("balanced", data.class_counts)
    torch.testing.assert_close(weights, sum(counts) / (3 * torch.tensor(counts).float()))


def test_pixels_are_counted_when_they_are_asked_for(build: Build, root: Path) -> None:
    data = build()
    data.setup()
    data.describe(lambda line: None)
    files = list((root / "masks" / "train").iterdir())
    contents = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    with pytest.raises(UserError, match=r"mask of image 0, .* cannot be read: No such file"):
        data.class_counts[0]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    first = data.class_counts[0]
    for file in files:
        file.unlink()
    assert data.class_counts[0] == first  # and once


def test_masks_that_are_skipped_have_no_pixels(build: Build, root: Path) -> None:
    whole, part = build(), build(bad_files="skip")
    whole.setup()
    before = list(whole.class_counts)
    mask = np.asarray(Image.open(root / "masks/train/01.png"))  # 0, 7 and 1
    (root / "masks/train/01.png").write_bytes(b"")
    part.setup()
    lost = [int((mask == value).sum()) for value in (0, 1, 7)]
    assert list(part.class_counts) == [b - n for b, n in zip(before, lost, strict=True)]


def spoil(root: Path, what: str) -> None:
    file = root / "masks/val/02.png"
    mask = np.asarray(Image.open(file)).copy()
    if what == "value":
        mask[3, 4] = 99
    elif what == "size":
        mask = mask[:-1]
    elif what == "colours":
        mask = np.stack([mask] * 3, 2)
    Image.fromarray(mask).save(file)
    if what == "empty":
        file.write_bytes(b"")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("value", r"/masks/val/02\.png: has the values 99, which data\.values does not name"),
        ("size", r"/masks/val/02\.png: is 24 x 19 pixels and its image .*val/02\.png 24 x 20"),
        ("colours", r"/masks/val/02\.png, cannot be read: it is a picture of mode RGB"),
        ("empty", r"/masks/val/02\.png, cannot be read: it is empty"),
    ],
)
def test_a_wrong_mask_is_one_line_from_workers_too(
    build: Build, root: Path, workers: int, what: str, match: str
) -> None:
    spoil(root, what)
    with pytest.raises(UserError, match=match) as caught:
        list(build(workers=workers).val_dataloader())
    assert "\n" not in str(caught.value)


def test_skipped_files_are_in_the_summary(build: Build, root: Path) -> None:
    spoil(root, "empty")
    data = build(bad_files="skip")
    assert sum(len(batch.ids) for batch in data.val_dataloader()) == 3
    summary = data.summary()
    assert summary["skipped"] == {"val": 1}
    assert summary["skipped_files"] == {"val": ["images/val/02.png"]}


def test_without_values_what_to_type_is_said(build: Build, root: Path) -> None:
    with pytest.raises(UserError) as caught:
        build(values=None).setup()
    said = str(caught.value)
    assert "masks/train/00.png has 0, 7: 'data.values={0: NAME,7: NAME}', or ignore" in said
    (root / "masks/train/00.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"data\.values=null, and .*00\.png, cannot be read"):
        build(values=None).setup()


def test_no_class_left_is_refused(build: Build) -> None:
    with pytest.raises(UserError, match=r"data\.values=.*no class is left after 'ignore'$"):
        build(values={0: "ignore", 7: "ignore"}).setup()


@pytest.mark.parametrize("what", ["value", "size", "empty"])
def test_check_stops_where_a_run_would(build: Build, root: Path, what: str) -> None:
    build().check_files(lambda line: None)
    spoil(root, what)
    said: list[str] = []
    with pytest.raises(UserError, match=r"\(above\)"):
        build().check_files(said.append)
    assert [line for line in said if "val/02.png" in line]
    if what == "empty":
        build(bad_files="skip").check_files(said.append)


def test_check_opens_val_once_where_test_is_val(build: Build, root: Path) -> None:
    (root / "images/test").rename(root / "images_of_test")
    (root / "masks/test").rename(root / "masks_of_test")
    said: list[str] = []
    build().check_files(said.append)
    assert [line for line in said if "pairs opened" in line] == [
        "train: 12 of 12 pairs opened",
        "val: 4 of 4 pairs opened",
    ]
