from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnnlab.data.imagenet import ImageNet
from cnnlab.errors import UserError


def open_imagenet(root: Path, file_keys: dict[str, Any], **other: Any) -> ImageNet:
    return ImageNet(**file_keys | {"root": str(root)} | other)


def test_real_files_in_imagenets_layout(
    real_data: Callable[[str], Path], file_keys: dict[str, Any]
) -> None:
    data = open_imagenet(real_data("imagenette224"), file_keys, image_size=224)
    summary = data.summary()
    assert summary["sizes"] == {"train": 1000, "val": 500, "test": 500}
    assert summary["test_is_val"]
    assert data.classes[:2] == ["n01440764 tench", "n02102040 English springer"]
    assert data.class_counts == [100] * 10
    images = next(iter(data.train_dataloader())).images
    assert images.shape == (4, 3, 224, 224)


def test_a_synset_timm_does_not_know_keeps_its_number(
    tree: Callable[..., Path], file_keys: dict[str, Any]
) -> None:
    root = tree("train/n99999999/1.png", "val/n99999999/2.png")
    data = open_imagenet(root, file_keys)
    data.setup()
    assert data.classes == ["n99999999"]


@pytest.mark.parametrize(
    ("paths", "match"),
    [
        ((), r"train not found: data\.root=.* must hold train/SYNSET/IMAGE and .*docs/data\.md"),
        (("train/n01440764/1.png",), r"val not found: .*docs/data\.md"),
        (("train/n01440764/1.png", "val/ILSVRC2012_val_00000001.png"), "val has no class folders"),
        (("train/tench/1.png", "val/tench/1.png"), "tench is named like no synset.*image_folder"),
        (
            ("train/n01440764/1.png", "train/n02102040/1.png", "val/n01440764/1.png"),
            "val/n02102040 is missing",
        ),
    ],
)
def test_one_line_says_what_was_looked_for(
    tree: Callable[..., Path], tmp_path: Path, file_keys: dict[str, Any], paths: tuple, match: str
) -> None:
    root = tree(*paths) if paths else tmp_path / "nowhere"
    with pytest.raises(UserError, match=match) as caught:
        open_imagenet(root, file_keys).setup()
    assert "\n" not in str(caught.value)
