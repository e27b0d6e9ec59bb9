from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnlab.data.class_map import ClassMap
from cnnlab.data.mask_files import MaskFiles, Pairs
from cnnlab.data.mask_transforms import MaskEvalTransform
from cnnlab.data.names import Names
from cnnlab.data.unreadable import UnreadableError
from cnnlab.errors import UserError

VALUES = {0: "sky", 7: "car", 255: "ignore"}


@pytest.fixture
def source(mask_tree: Callable[..., Path]) -> Callable[..., MaskFiles]:
    """`source([0, 7], [7])`: a pair for each, whose mask has these values."""

    def make(*masks: Any, bad_files: str = "error", values: dict[int, str] = VALUES) -> MaskFiles:
        files = {f"images/{i}.png": None for i in range(len(masks))}
        root = mask_tree(files | {f"masks/{i}.png": mask for i, mask in enumerate(masks)})
        pairs = Pairs(Names.of(files), Names.of(f"masks/{i}.png" for i in range(len(masks))))
        made = MaskFiles(root, pairs, ClassMap(values), bad_files)
        made.transform = MaskEvalTransform(None)
        return made

    return make


def test_a_sample_is_its_image_and_its_class_ids(source: Callable[..., MaskFiles]) -> None:
    sample = source([7], [0, 7, 255]).load(1, 0)
    assert sample.image.shape == (3, 20, 24)
    assert sample.image[0].unique().tolist() == [10]
    assert sample.target.dtype == torch.uint8
    assert sample.target[0].tolist() == [0] * 8 + [1] * 8 + [255] * 8
    assert sample.frame.tolist() == [20, 24, 1, 1]


def test_a_subset_keeps_images_and_masks_together(source: Callable[..., MaskFiles]) -> None:
    whole = source([0], [7], [255])
    part = whole.subset(torch.tensor([2, 1]))
    assert list(part.names) == ["images/2.png", "images/1.png"]
    assert part.mask(0).max() == 255
    assert part.mask(1).max() == 1
    assert len(part) == len(part.targets) == 2


def test_the_digest_is_of_names_and_values(source: Callable[..., MaskFiles]) -> None:
    one = source([0], [7])
    assert one.digest() == source([0], [7]).digest()
    assert one.digest() != one.subset(torch.tensor([0])).digest()
    assert one.digest() != source([0], [7], values={0: "sky", 7: "lorry", 255: "ignore"}).digest()


def test_values_outside_the_map_are_named_with_their_file(
    source: Callable[..., MaskFiles],
) -> None:
    made = source([0], [3, 0, 200], bad_files="skip")  # that is for files that cannot be read
    with pytest.raises(UserError) as caught:
        made.load(1, 0)
    said = str(caught.value)
    assert said.startswith(made.mask_path(1) + ": has the values 3, 200, which data.values does")
    assert "it has 0, 7, 255" in said
    assert "\n" not in said


def test_sizes_that_differ_name_file_and_sizes(source: Callable[..., MaskFiles]) -> None:
    made = source([0], [0], bad_files="skip")
    Image.fromarray(np.zeros((24, 20), np.uint8)).save(made.mask_path(1))
    with pytest.raises(UserError, match=r"masks/1\.png: is 20 x 24 .* images/1\.png 24 x 20$"):
        made.load(1, 0)


@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"", "it is empty"), (b"<html>", "begins with"), (None, "No such file or directory")],
)
def test_what_cannot_be_read_is_an_error_or_left_out(
    source: Callable[..., MaskFiles], kind: str, content: bytes | None, cause: str
) -> None:
    for bad_files in ("error", "skip"):
        made = source([0], [7], bad_files=bad_files)
        file = Path(made.root, f"{kind}s/1.png")
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(UnreadableError, match=rf"image 1, .*{kind}s/1\.png, cannot.*{cause}"):
            made.image(1) if kind == "image" else made.mask(1)
        if bad_files == "skip":
            assert made.load(1, 0) is None
        else:
            with pytest.raises(UserError, match=rf"{kind}s/1\.png.*{cause}.*bad_files=skip$"):
                made.load(1, 0)
        assert made.load(0, 0) is not None
