"""Detection, from a set in files to the finished record."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnlab.config import check, compose
from cnnlab.tracking.reading import RunData, read_run
from train import run

SIZES = [(37, 53), (64, 41), (51, 51), (90, 33), (45, 77)]
"""Height and width; the second image has no box."""
CATEGORIES = {90: "toothbrush", 3: "car", 17: "cat"}
ROWS = [
    *((0, 17, (3, 4, 20, 15)), (0, 90, (20, 5, 30, 25)), (2, 3, (0, 0, 51, 51))),
    *((3, 90, (5.5, 40.25, 20, 30)), (3, 17, (1, 2, 8, 70)), (4, 3, (30, 10, 40, 30))),
]
"""Number of the image, category, and x, y, width, height."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """COCO's layout; the same images are train and val. The last box is of a crowd."""
    root = tmp_path / "set"
    draw = np.random.default_rng(0)
    for folder in ("annotations", "images/train2017", "images/val2017"):
        (root / folder).mkdir(parents=True)
    ids = [100 + 7 * k for k in range(len(SIZES))]
    for split in ("train", "val"):
        images = []
        for id, (height, width) in zip(ids, SIZES, strict=True):
            name = f"{id:012}.png"
            pixels = draw.integers(0, 255, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / f"{split}2017" / name)
            images.append({"id": id, "file_name": name, "height": height, "width": width})
        annotations = [
            {"id": 50 + 3 * k, "image_id": ids[image], "category_id": category}
            | {"bbox": list(box), "area": box[2] * box[3] / 2, "iscrowd": int(k == len(ROWS) - 1)}
            for k, (image, category, box) in enumerate(ROWS)
        ]
        categories = [{"id": id, "name": name} for id, name in CATEGORIES.items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        file = root / "annotations" / f"instances_{split}2017.json"
        file.write_text(json.dumps(content))
    return root


def train(root: Path, *words: str) -> RunData:
    runs = root.parent / "runs"
    quick = [
        *("data=coco_json", f"data.root={root}", "data.image_size=[64,80]", "data.workers=0"),
        *("data.batch_size=4", "data.eval_batch_size=2", "recipe.head_width=8", "head.levels=2"),
        *("model=resnet20_cifar", "model.width=4", "logger=none", "trainer.threads=1"),
        *("trainer.max_epochs=1", "trainer.precision=32-true", "trainer.limit_train_batches=1"),
        *("scheduler=constant", "task.score_threshold=0.0"),
    ]
    composed = compose([*quick, *words, f"runs={runs}"])
    check(composed)
    run(composed)
    (folder,) = runs.glob("*/*-s*")
    return read_run(folder)


@pytest.mark.parametrize(
    "words", [["head=retinanet", "head.depth=1"], ["head=faster_rcnn", "head.hidden=16"]]
)
def test_a_set_in_files_to_a_finished_record(root, words):
    """Odd sizes, an image without a box, a crowd, ids with gaps and an order of their own."""
    finished = train(root, *words)
    assert finished.status == "finished"
    assert finished.data["boxes"]["val"] == len(ROWS)
    assert finished.data["crowds"]["val"] == 1
    assert finished.data["num_classes"] == 3
    # The test is val here, in original pixels and in the order of the category ids.
    assert finished.results["test/objects_per_class"] == [1, 2, 2]  # car, cat, toothbrush
    assert 0 <= finished.metrics["test/map"] <= finished.metrics["test/map50"] <= 1
    assert finished.metrics["test/map"] == pytest.approx(finished.metrics["val/map"], abs=1e-6)
    assert sum(finished.results["test/errors"].values()) > 0
    assert finished.best["key"] == "val/map"
    assert np.isfinite(finished.metrics["val/loss"])
    files = {file.name for file in finished.folder.rglob("*") if file.is_file()}
    assert {"weights.safetensors", "backbone.safetensors", "best.ckpt"} <= files
    assert list(finished.folder.rglob("*.png")), "predictions are drawn"
