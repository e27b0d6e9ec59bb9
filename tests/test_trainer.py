import pytest
import torch

from cnnlab import trainer as trainers
from cnnlab.config import compose
from cnnlab.data.batch import Batch, Boxes, whole_frame
from cnnlab.tasks.build import build_parts, instantiate


def node(**given) -> dict:
    return {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "auto",
        "channels_last": "auto",
        "threads": 1,
    } | given


@pytest.mark.parametrize(
    ("has_bf16", "precision", "channels_last"),
    [(True, "bf16-mixed", True), (False, "32-true", False)],
)
def test_auto_precision_follows_the_processor(monkeypatch, has_bf16, precision, channels_last):
    monkeypatch.setattr(trainers, "_has_bf16", lambda accelerator: has_bf16)
    resolved = node()
    trainers.resolve(resolved)
    assert (resolved["precision"], resolved["channels_last"]) == (precision, channels_last)


def test_what_is_given_stays():
    resolved = node(precision="64-true", channels_last=True, threads=3)
    trainers.resolve(resolved)
    assert resolved == node(precision="64-true", channels_last=True, threads=3)


def test_threads_are_what_the_environment_grants(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    resolved = node(threads=None)
    trainers.resolve(resolved)
    assert resolved["threads"] == 7


def test_auto_accelerator_is_made_definite():
    resolved = node(accelerator="auto")
    trainers.resolve(resolved)
    assert resolved["accelerator"] == ("gpu" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16-true", torch.bfloat16), ("64-true", torch.float64)]
)
def test_boxes_and_frames_stay_in_float32_where_the_net_does_not(precision, dtype):
    """A corner at 1001 px is no number of bfloat16."""
    words = ["data=digit_scenes", "data.scenes=20", "task=detection", "model=resnet20_cifar"]
    cfg = compose([*words, f"trainer.precision={precision}", "trainer.accelerator=cpu"]).cfg
    trainers.resolve(cfg.trainer)
    data, task = build_parts(cfg)
    trainer = instantiate(cfg.trainer)(task, [], [], None)
    data.trainer = trainer
    xyxy = torch.tensor([[1.0, 3, 1001, 777]])
    boxes = Boxes.none()._replace(xyxy=xyxy, label=torch.zeros(1, dtype=torch.int64))
    frames = whole_frame(1001, 777)[None]
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    batch = trainer.precision_plugin.convert_input(Batch(images, boxes, torch.zeros(1), frames))
    assert torch.equal(batch.targets.xyxy, xyxy)
    assert torch.equal(batch.frames, frames)
    ready = data.on_after_batch_transfer(batch, 0)
    assert ready.images.dtype == dtype
    assert ready.targets.xyxy.dtype == torch.float32
    net = trainer.precision_plugin.convert_module(task).net
    assert {p.dtype for p in net.parameters()} == {dtype}
