from fnmatch import fnmatchcase
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader

from cnnlab.boxes.outputs import AnchorOutputs
from cnnlab.data.batch import Batch, Boxes, Sample, collate
from cnnlab.errors import UserError
from cnnlab.losses.retinanet import RetinaNetLoss
from cnnlab.tasks.detection import DetectionTask
from cnnlab.tasks.error_lines import error_lines
from cnnlab.tasks.per_class import per_class_lines

CLASSES = ["cat", "dog", "bird"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning's, of loaders

ANCHORS = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 8, 8, 16], [8, 8, 16, 16]])


class Quarters(nn.Module):
    """Says of each quarter of 16 x 16 pixels what stands in its first pixel: K logits and a shift.

    Channels: the K logits, then by how many sides the box lies to the right.
    """

    def forward(self, images):
        seen = images[:, :, ::8, ::8].flatten(2).transpose(1, 2)
        scores, shift = seen.split([len(CLASSES), 1], -1)
        deltas = torch.cat([shift, torch.zeros(*shift.shape[:2], 3)], -1)
        return AnchorOutputs(scores, deltas, ANCHORS, (len(ANCHORS),), (16, 16))


def sample(objects=(), said=(), factors=(1.0, 1.0)) -> Sample:
    """Objects `(quarter, class)`, and what the net says: `(quarter, class, score, shift)`."""
    image = torch.full((len(CLASSES) + 1, 16, 16), -20.0)
    image[-1] = 0
    for quarter, label, score, shift in said:
        y, x = 8 * (quarter // 2), 8 * (quarter % 2)
        image[label, y, x] = torch.logit(torch.tensor(score))
        image[-1, y, x] = shift
    count = len(objects)
    boxes = Boxes(
        ANCHORS[[quarter for quarter, _ in objects]].view(-1, 4),
        torch.tensor([label for _, label in objects], dtype=torch.int64),
        torch.zeros(count, dtype=torch.int64),
        torch.zeros(count, dtype=torch.bool),
        torch.full((count,), 64.0),
    )
    return Sample(image, boxes, torch.tensor([16.0, 16.0, *factors]))


def task(normalizer="image", **keys) -> DetectionTask:
    loss = RetinaNetLoss(
        gamma=2.0,
        alpha=0.25,
        box="l1",
        box_weight=1.0,
        normalizer=normalizer,
        foreground=0.5,
        background=0.4,
    )
    defaults = dict(score_threshold=0.05, candidates=1000, nms_iou=0.5, detections=100)
    never = SimpleNamespace()  # no optimizer, no schedule: nothing is trained here
    parts = (Quarters(), loss, never, never, CLASSES, 0)
    return DetectionTask(*parts, monitor="val/map", mode="max", **defaults | keys)


def evaluated(made: DetectionTask, samples, batch_size=2, stage="val") -> dict[str, float]:
    ids = [range(i, min(i + batch_size, len(samples))) for i in range(0, len(samples), batch_size)]
    batches = [collate([samples[i] for i in part], part) for part in ids]
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    run = trainer.validate if stage == "val" else trainer.test
    # A list of batches will do for a data set.
    run(made, DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


MIXED = [
    sample([(0, 0), (3, 1)], [(0, 0, 0.9, 0), (3, 1, 0.6, 0)]),  # both right
    sample([(0, 0)], [(0, 0, 0.8, 0.5), (2, 1, 0.9, 0)], factors=(2.0, 3.0)),  # off by a third; air
    sample([], []),
    sample([(2, 1)], [(2, 1, 0.3, 0)]),  # unsure
]


def test_predictions_and_truth_are_in_original_pixels():
    given = sample([(1, 2)], [(1, 2, 0.75, 0)], factors=(2.0, 3.0))  # y, x
    batch = collate([sample([(0, 0)]), given], [4, 7])
    made = task()
    empty, found = made.predict(made.infer(batch, "test"), batch)
    assert len(empty.score) == 0
    assert found.xyxy.tolist() == [[24, 0, 48, 16]]
    assert found.score.tolist() == pytest.approx([0.75])
    assert found.label.tolist() == [2]
    truth = made.truth(batch)
    assert truth.xyxy.tolist() == [[0, 0, 8, 8], [24, 0, 48, 16]]
    assert (truth.ids.tolist(), truth.image.tolist()) == ([4, 7], [0, 1])
    assert truth.area.tolist() == [64, 64], "as annotated, never scaled"


def test_everything_logged_is_known_to_the_config_check():
    logged = evaluated(task(), MIXED)
    patterns = DetectionTask.logs
    assert all(any(fnmatchcase(key, p) for p in patterns) for key in logged)
    assert all(any(fnmatchcase(key, p) for key in logged) for p in patterns)
    losses = {key.removeprefix("val/loss_") for key in logged if key.startswith("val/loss_")}
    assert losses == set(RetinaNetLoss.terms)


def test_figures_and_errors_of_a_split():
    """Cats: right, then off (IoU 1/3). Dogs: air, right, right: precision 2/3 at each recall."""
    made = task()
    logged = evaluated(made, MIXED, stage="test")
    cat, dog = 51 / 101, 2 / 3
    assert logged["test/map50"] == pytest.approx((cat + dog) / 2)
    assert made.results["test/map50_per_class"][:2] == pytest.approx([cat, dog])
    # Judged are two cats and two dogs, the surest; the second dog (0.3) is not among them.
    kinds = {"localisation": 1, "confusion": 0, "duplicate": 0, "background": 1, "missed": 1}
    assert made.results["test/errors"] == kinds
    assert made.results["test/errors_per_class"]["missed"] == [0, 1, 0]
    assert made.results["test/objects_per_class"] == [2, 2, 0]
    assert per_class_lines(made) == [f"classes  cat {cat:.3f}  dog {dog:.3f}  bird -"]
    assert error_lines(made)[0].startswith("errors   localisation 1, confusion 0, duplicate 0, ")


@pytest.mark.parametrize("normalizer", ["batch", "image"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_change_no_figure(batch_size, normalizer):
    """An image has no box, so that a batch of it alone has no positive."""
    one = evaluated(task(normalizer), MIXED, 4)
    other = evaluated(task(normalizer), MIXED, batch_size)
    assert one.keys() == other.keys()
    for key in one:
        exact = not key.startswith("val/loss")  # sums of fractions
        assert other[key] == pytest.approx(one[key], rel=0 if exact else 1e-6, nan_ok=True), key


def test_a_split_without_objects_has_no_figure():
    logged = evaluated(task(), [sample([], [(0, 0, 0.9, 0)])] * 3)
    assert torch.tensor(logged["val/map"]).isnan()
    assert logged["val/loss"] > 0


def test_without_a_positive_sums_are_divided_by_one():
    """The loss's own rule, for the split as for a batch."""
    samples = [sample([], [(0, 0, 0.9, 0)])] * 3
    found = [evaluated(task("batch"), samples, size)["val/loss"] for size in (1, 3)]
    assert found == [pytest.approx(found[0])] * 2
    assert found[0] == pytest.approx(3 * evaluated(task("image"), samples)["val/loss"])


@pytest.mark.parametrize("where", ["scores", "boxes"])
def test_a_net_that_diverged_is_refused_in_one_line(where):
    wild = sample([(0, 0)], [(0, 0, 0.9, 0)])
    wild.image[0 if where == "scores" else -1] = float("nan")
    with pytest.raises(UserError, match=r"not finite \(images 1 of the split\)") as caught:
        evaluated(task(), [MIXED[0], wild, MIXED[2]])
    assert "\n" not in str(caught.value)


def test_the_keys_limit_what_is_predicted():
    batch: Batch = collate([sample([], [(i, 0, 0.5 + i / 10, 0) for i in range(4)])], [0])

    def scores(**keys):
        made = task(**keys)
        (found,) = made.predict(made.infer(batch, "val"), batch)
        return [round(score, 2) for score in found.score.tolist()]

    assert scores() == [0.8, 0.7, 0.6, 0.5]
    assert scores(score_threshold=0.65) == [0.8, 0.7]
    assert scores(candidates=3) == [0.8, 0.7, 0.6]
    assert scores(detections=1) == [0.8]
