from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnlab.data.image_folder import ImageFolder
from cnnlab.errors import UserError

NET = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bicubic",
       "crop_pct": 0.9, "crop_mode": "squash", "input_size": (3, 20, 20)}  # fmt: skip
OPEN = {"mean": None, "std": None, "interpolation": None, "crop_pct": None}


@pytest.fixture
def folder(tree: Callable[..., Path], file_keys: dict[str, Any]) -> Callable[..., ImageFolder]:
    paths = [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(8)]

    def make(**other: Any) -> ImageFolder:
        keys = {"root": str(tree(*paths)), "test_fraction": 0.25, "val_fraction": 0.25}
        return ImageFolder(**file_keys | keys | other)

    return make


def test_what_is_null_comes_from_the_net(folder: Callable[..., ImageFolder]) -> None:
    data = folder(**OPEN)
    data.setup()
    data.adopt(NET)
    summary = data.summary()
    assert (summary["mean"], summary["std"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert (summary["crop_pct"], summary["interpolation"]) == (0.9, "bicubic")
    assert summary["crop_mode"] == "squash"
    assert data.train_dataloader().source.transform.interpolation == "bicubic"
    assert data.val_dataloader().source.transform.resized == 17  # floor(16 / 0.9)


def test_an_open_size_is_what_the_net_is_made_for(folder: Callable[..., ImageFolder]) -> None:
    data = folder(image_size=None)
    data.setup()
    assert data.summary()["image_size"] is None
    data.adopt(NET)
    assert data.image_size == (20, 20)
    assert next(iter(data.train_dataloader())).images.shape[-2:] == (20, 20)
    assert next(iter(data.val_dataloader())).images.shape[-2:] == (20, 20)


def test_what_is_given_stays(folder: Callable[..., ImageFolder]) -> None:
    data = folder(crop_pct=0.8)
    data.setup()
    data.adopt(NET)
    summary = data.summary()
    assert (summary["mean"], summary["crop_pct"]) == ([0.5] * 3, 0.8)
    assert summary["interpolation"] == "bilinear"
    assert data.image_size == (16, 16)


def test_a_net_that_says_little_gets_timms_defaults(folder: Callable[..., ImageFolder]) -> None:
    data = folder(**OPEN)
    data.setup()
    data.adopt({"mean": (0.5,) * 3, "std": (0.5,) * 3})
    summary = data.summary()
    assert (summary["crop_pct"], summary["interpolation"]) == (0.875, "bicubic")
    assert summary["crop_mode"] == "center"


@pytest.mark.parametrize(
    ("key", "loader"),
    [
        ("interpolation", "train_dataloader"),
        ("interpolation", "val_dataloader"),
        ("crop_pct", "test_dataloader"),
        ("image_size", "train_dataloader"),
        ("image_size", "val_dataloader"),
    ],
)
def test_without_a_net_null_is_refused(
    folder: Callable[..., ImageFolder], key: str, loader: str
) -> None:
    with pytest.raises(UserError, match=rf"data\.{key}=.*net"):
        getattr(folder(**{key: None}), loader)()


def test_training_batches_are_equal_with_0_and_2_workers(
    folder: Callable[..., ImageFolder], file_keys: dict[str, Any]
) -> None:
    augment = replace(
        file_keys["augment"], flip=True, color_jitter=0.4, policy="randaugment", scale=[0.1, 1.0]
    )
    epochs = []
    for workers in (0, 2):
        data = folder(workers=workers, augment=augment)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(3)
        batches = [data.prepare(batch, True, step) for step, batch in enumerate(loader)]
        epochs.append(batches)
    for here, there in zip(*epochs, strict=True):
        assert torch.equal(here.ids, there.ids)
        assert torch.equal(here.images, there.images)
        assert torch.equal(here.frames, there.frames)


def test_images_are_mirrored_once(
    folder: Callable[..., ImageFolder], file_keys: dict[str, Any]
) -> None:
    """With the crop, and not again with the batch."""
    data = folder(augment=replace(file_keys["augment"], flip=True))
    batch = next(iter(data.train_dataloader()))
    images = batch.images.clone()
    images[..., : images.shape[-1] // 2] = 255  # now a mirrored one can be told
    batch = batch._replace(images=images)
    prepared = [data.prepare(batch, True, step).images for step in range(8)]
    assert all(torch.equal(image, prepared[0]) for image in prepared)


def test_skipped_files_are_in_the_summary(folder: Callable[..., ImageFolder]) -> None:
    data = folder(bad_files="skip")
    data.setup()
    bad = [0, 2]
    for id in bad:
        Path(data.splits.val.path(id)).write_bytes(b"junk")
    sizes = [len(batch.ids) for batch in data.val_dataloader()]
    assert sum(sizes) == len(data.splits.val) - 2
    summary = data.summary()
    assert summary["skipped"] == {"val": 2}
    assert summary["skipped_files"] == {"val": [data.splits.val.names[id] for id in bad]}


def test_a_resumed_run_remembers_what_was_skipped(folder: Callable[..., ImageFolder]) -> None:
    first = folder(bad_files="skip")
    first.setup()
    Path(first.splits.val.path(1)).write_bytes(b"junk")
    list(first.val_dataloader())
    again = folder(bad_files="skip")
    again.load_state_dict(first.state_dict())
    list(again.val_dataloader())
    assert again.summary()["skipped"] == {"val": 1}


@pytest.mark.parametrize("bad_files", ["error", "skip"])
def test_check_names_what_cannot_be_read(
    folder: Callable[..., ImageFolder], bad_files: str
) -> None:
    data = folder(bad_files=bad_files)
    data.check_files(lambda line: None)
    path = Path(data.splits.test.path(1))
    path.write_bytes(b"")
    said: list[str] = []
    if bad_files == "error":
        with pytest.raises(UserError, match=r"1 files cannot be read .*data\.bad_files=skip"):
            data.check_files(said.append)
    else:
        data.check_files(said.append)
    name = data.splits.test.names[1]
    assert [line for line in said if name in line] == [f"  {name}: it is empty (0 bytes)"]
    assert any(line.startswith("test: 4 of 4 files opened; 2 of 2 classes") for line in said)
