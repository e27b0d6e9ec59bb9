from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from cnnlab.config import compose
from cnnlab.data.augment import Augment
from cnnlab.data.batch import Batch, Sample, whole_frame
from cnnlab.data.in_memory import MemorySource
from cnnlab.data.module import DataModule, Outline, Splits
from cnnlab.data.source import SampleSource
from cnnlab.errors import UserError
from cnnlab.seeding import torch_seeded


class Files(SampleSource):
    """Stands for a set of files: one image a sample, jittered by (seed, epoch, id)."""

    def __init__(self, targets: Tensor) -> None:
        self.targets = targets

    def subset(self, ids: Tensor) -> "Files":
        return Files(self.targets[ids])

    def digest(self) -> str:
        return f"{self.targets.tolist()}"

    def load(self, id: int, epoch: int) -> Sample:
        with torch_seeded(1, epoch, id):
            image = torch.randint(256, (1, 8, 8), dtype=torch.uint8)
        return Sample(image, self.targets[id], whole_frame(8, 8))


class Toy(DataModule):
    """42 samples of 3 classes: 30 of the first, 9, 3."""

    crops_on_device = True
    targets: ClassVar[Tensor] = torch.tensor([0] * 30 + [1] * 9 + [2] * 3)
    in_files: ClassVar[bool] = False
    num_reads = 0

    def read(self) -> Splits:
        self.num_reads += 1
        images = (torch.arange(42 * 64) % 251).to(torch.uint8).view(42, 1, 8, 8)
        memory = MemorySource(images, self.targets)
        train = Files(self.targets) if self.in_files else memory
        val = memory.subset(torch.arange(5))
        return Splits(train, val, val, ["a", "b", "c"], 1, (8, 8), test_is_val=True)


class ToyFiles(Toy):
    in_files = True


@pytest.fixture
def keys(data_keys: dict[str, Any], no_augment: dict[str, Any]) -> dict[str, Any]:
    augment = Augment(**no_augment | {"padding": 2, "flip": True})
    return data_keys | {"batch_size": 8, "mean": [0.5], "std": [0.25], "augment": augment}


class Recorder(pl.LightningModule):
    """Trains one weight; keeps what every training step saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[list[int], float]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append((batch.ids.tolist(), float((batch.images * weights()).sum())))
        return self.weight * batch.images.mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.seen.append((batch.ids.tolist(), float(batch.images.sum())))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def weights() -> Tensor:
    return torch.arange(64.0).view(8, 8)


def fit(
    folder: Path, data: DataModule, epochs: int, resume: str | None = None, **trainer: Any
) -> Recorder:
    net = Recorder()
    pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)],
        num_sanity_val_steps=0,
        **trainer,
    ).fit(net, datamodule=data, ckpt_path=resume)
    return net


def test_setup_reads_once_and_gives_the_facts(keys: dict[str, Any]) -> None:
    data = Toy(**keys)
    data.setup()
    data.setup("fit")
    data.train_dataloader()
    assert data.num_reads == 1
    assert data.classes == ["a", "b", "c"]
    assert (data.channels, data.image_size, data.multi_label) == (1, (8, 8), False)
    assert data.class_counts == [30, 9, 3]


def test_a_fraction_is_of_train_alone_and_keeps_every_class(keys: dict[str, Any]) -> None:
    whole, part = Toy(**keys), Toy(**keys | {"fraction": 0.1})
    before, after = whole.summary(), part.summary()
    assert part.class_counts == [3, 1, 1]
    assert after["sizes"] == {"train": 5, "val": 5, "test": 5}
    assert after["digest"]["val"] == before["digest"]["val"]
    assert after["digest"]["train"] != before["digest"]["train"]
    assert [len(batch.ids) for batch in part.train_dataloader()] == [5]  # smaller than one batch


def test_summary_is_plain_and_says_what_the_run_used(keys: dict[str, Any]) -> None:
    data = Toy(**keys)
    list(data.train_dataloader())
    summary = data.summary()
    assert summary["test_is_val"] is True
    assert (summary["mean"], summary["std"]) == ([0.5], [0.25])
    assert summary["skipped"] == {"train": 0}
    assert summary["digest"]["val"] == summary["digest"]["test"]


def test_balanced_reaches_the_loader(keys: dict[str, Any]) -> None:
    data = Toy(**keys | {"sampler": "balanced", "batch_size": 42})
    (batch,) = data.train_dataloader()
    assert batch.targets.bincount().tolist() == [14, 14, 14]


def test_data_seed_decides_the_order(keys: dict[str, Any]) -> None:
    def order(seed: int) -> list[list[int]]:
        return [batch.ids.tolist() for batch in Toy(**keys | {"seed": seed}).train_dataloader()]

    torch.manual_seed(1)
    first = order(3)
    torch.manual_seed(2)
    assert order(3) == first
    assert order(4) != first


def test_an_empty_split_is_refused(keys: dict[str, Any]) -> None:
    class Empty(Toy):
        def read(self) -> Splits:
            return (
                super().read()._replace(val=MemorySource(torch.empty(0, 1, 8, 8), torch.empty(0)))
            )

    with pytest.raises(UserError, match="Empty: the val split has no images"):
        Empty(**keys).setup()


def test_mean_and_std_come_from_the_net_only_where_they_are_open(keys: dict[str, Any]) -> None:
    batch = next(iter(Toy(**keys).val_dataloader()))
    open_, given = Toy(**keys | {"mean": None, "std": None}), Toy(**keys)
    for data in (open_, given):
        data.setup()
        data.adopt({"mean": (0.1,), "std": (0.2,), "crop_pct": 0.9})
    expected = (batch.images.float() / 255 - 0.1) / 0.2
    torch.testing.assert_close(open_.prepare(batch, training=False, step=0).images, expected)
    assert (given.mean, given.std) == ([0.5], [0.25])
    assert open_.summary()["mean"] == [0.1]


@pytest.mark.parametrize(
    ("channels", "given", "taken"),
    [(1, (0.1, 0.2, 0.3), [0.2]), (3, (0.4,), [0.4, 0.4, 0.4]), (1, (0.4,), [0.4])],
)
def test_the_nets_mean_serves_grey_and_colour(keys, channels, given, taken) -> None:
    data = Toy(**keys | {"mean": None})
    data.setup()
    data.channels = channels
    data.adopt({"mean": given, "std": given})
    assert data.mean == pytest.approx(taken)


def test_the_size_that_is_asked_for_is_the_one_the_net_sees(keys: dict[str, Any]) -> None:
    data = Toy(**keys | {"image_size": 12})
    batch = next(iter(data.val_dataloader()))
    assert data.prepare(batch, training=False, step=0).images.shape[-2:] == (12, 12)
    assert data.image_size == (12, 12)
    assert data.summary()["image_size"] == [12, 12]


@pytest.mark.parametrize("mean", [None, [0.5, 0.5, 0.5]])
def test_a_mean_that_does_not_fit_the_channels_is_refused(
    keys: dict[str, Any], mean: list[float] | None
) -> None:
    data = Toy(**keys | {"mean": mean})
    batch = next(iter(data.val_dataloader()))
    with pytest.raises(UserError, match=r"data\.mean=.* must have one number for each of the 1"):
        data.prepare(batch, training=False, step=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_fit_sees_what_the_whole_one_saw(
    tmp_path: Path, keys: dict[str, Any], workers: int
) -> None:
    keys |= {"workers": workers}
    whole = fit(tmp_path / "whole", ToyFiles(**keys), 3, accumulate_grad_batches=2)
    fit(tmp_path / "part", ToyFiles(**keys), 2, accumulate_grad_batches=2)
    last = str(tmp_path / "part" / "epoch=1.ckpt")
    resumed = fit(tmp_path / "rest", ToyFiles(**keys), 3, resume=last, accumulate_grad_batches=2)
    assert len(whole.seen) == 3 * (5 + 1)  # 42 // 8 training batches and one of val
    assert resumed.seen == whole.seen[12:]
    steps = [step for step in whole.seen if len(step[0]) == 8]
    assert len({total for _, total in steps}) == 15  # every batch its own order and augmentation


def test_steps_of_a_fit_are_those_of_prepare(tmp_path: Path, keys: dict[str, Any]) -> None:
    net = fit(tmp_path, Toy(**keys), 2, limit_val_batches=0)
    data, step = Toy(**keys), 0
    loader = data.train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            images = data.prepare(batch, training=True, step=step).images
            assert net.seen[step] == (batch.ids.tolist(), float((images * weights()).sum()))
            step += 1
    assert step == len(net.seen) == 10


def test_evaluation_in_a_fit_is_not_augmented(tmp_path: Path, keys: dict[str, Any]) -> None:
    net = fit(tmp_path, Toy(**keys), 1)
    data = Toy(**keys)
    (batch,) = data.val_dataloader()
    images = data.prepare(batch, training=False, step=0).images
    assert net.seen[-1] == (batch.ids.tolist(), float(images.sum()))


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_repeats_its_batches(tmp_path: Path, keys: dict[str, Any]) -> None:
    net = fit(tmp_path, ToyFiles(**keys), 3, overfit_batches=2)
    ids = [step[0] for step in net.seen]
    assert [len(step) for step in ids] == [8, 8, 5] * 3  # 5: the batch of val
    assert ids[:3] == ids[3:6] == ids[6:]


def test_outline_of_a_set_whose_files_tell_it(keys):
    toy = Toy(**keys)
    assert toy.outline() is None
    toy.setup()
    assert toy.outline() == Outline(3, 1, (8, 8))


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_outline_of_embedded_scenes(task):
    _foretold(["data=digit_scenes", "data.scenes=5", f"task={task}"], task)


@pytest.mark.parametrize("word", ["data=digits", "data.image_size=24"])
def test_outline_of_embedded_digits(word):
    _foretold(["data=digits", word], "classification")


@pytest.mark.data
@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist", "camvid", "bccd"])
def test_outline_of_published_sets(real_data, name):
    tasks = {"camvid": "segmentation", "bccd": "detection"}
    words = [f"data={name}", f"data.root={real_data(name)}"]
    _foretold(words, tasks.get(name, "classification"))


def _foretold(words: list[str], task: str) -> None:
    """What is known of a set without its files is what its files tell."""
    data = instantiate(compose(words).cfg.data, _convert_="all")
    data.serve([task])
    before = data.outline()
    data.setup()
    assert before == data.outline() == Outline(len(data.classes), data.channels, data.image_size)
