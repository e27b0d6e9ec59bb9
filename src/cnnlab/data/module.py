"""The base of all data sets: splits in, prepared batches out."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch.distributed as dist
from lightning.pytorch import LightningDataModule
from torch import Tensor

from cnnlab.data.augment import Augment
from cnnlab.data.batch import Batch
from cnnlab.data.batch_transforms import BatchTransforms
from cnnlab.data.loader import Loader
from cnnlab.data.sampling import BatchSampler, EvalSampler, OverfitSampler, TrainSampler
from cnnlab.data.source import Source
from cnnlab.data.splits import hold_out, stratified
from cnnlab.errors import UserError

MAX_AUTO_WORKERS = (
    16  # beyond that, a machine's memory and disks are the limit sooner than its cores
)


class Splits(NamedTuple):
    """What a set gives: three sources and the facts about them."""

    train: Source
    val: Source
    test: Source
    classes: list[str]
    channels: int
    """3, or 1 for grey."""
    image_size: tuple[int, int] | None
    """Height and width in pixels of the images as they are; None: they differ."""
    test_is_val: bool = False
    """Whether the test split is the validation split (ImageNet), so that the record says so."""


class Outline(NamedTuple):
    """What a net has to know of a set before it is built."""

    num_classes: int
    channels: int
    """3, or 1 for grey."""
    image_size: tuple[int, int] | None
    """Height and width in pixels that the net sees; None: those it is made for."""


class DataModule(LightningDataModule):
    """A set of images. A subclass implements `read`; keys of its own go into its own `__init__`.

    Batch sizes are per process. `setup` is called before the net is built, since classes flow from
    the data to the head; `adopt` after it.

    Attributes (after `setup`):
        classes: class names, by id.
        channels: 3, or 1 for grey.
        image_size: height and width in pixels that the net sees; of sets of files, where the
            config leaves it open, only after `adopt`.
        multi_label: whether an image may have several classes.
        class_counts: images of each class in the training split; of masks pixels, which are
            counted when the first is asked for.
        skipped: ids of the samples that this process left out as unreadable, by split.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    """The tasks the set serves; read statically by `cnnlab.config`."""
    crops_on_device: ClassVar[bool] = False
    """Whether images lie in memory: padded, cropped and resized batch by batch."""
    only: ClassVar[dict[str, Any]] = {}
    """Keys that must have this value, since the set has no other; those of the bases hold too.
    Read statically."""
    published: ClassVar[Outline | None] = None
    """Of a set that is the same everywhere, what `read` finds; None: its files tell."""

    classes: list[str]
    channels: int
    multi_label: bool
    class_counts: Sequence[int]

    def __init__(
        self,
        *,
        seed: int,
        split_seed: int,
        val_fraction: float,
        fraction: float,
        sampler: Literal["shuffle", "balanced"],
        batch_size: int,
        eval_batch_size: int,
        workers: int | Literal["auto"],
        image_size: int | tuple[int, int] | None,
        mean: list[float] | None,
        std: list[float] | None,
        augment: Augment,
    ) -> None:
        super().__init__()
        self.seed, self.split_seed = seed, split_seed
        self.val_fraction, self.fraction, self.sampler = val_fraction, fraction, sampler
        self._size: tuple[int, int] | None = None
        if image_size is not None:
            sides = (image_size, image_size) if isinstance(image_size, int) else image_size
            self._size = (sides[0], sides[1])
        self.batch_size, self.eval_batch_size, self.workers = batch_size, eval_batch_size, workers
        self.mean = None if mean is None else list(mean)
        self.std = None if std is None else list(std)
        self.augment = augment
        self.splits: Splits | None = None
        self.skipped: dict[str, set[int]] = {}
        self._transforms: BatchTransforms | None = None

    # What a set gives ---------------------------------------------------------------------------

    def read(self) -> Splits:
        """Open the set. Where it has no val split of its own, `hold_out` takes one out of train.

        `fraction` is applied by the caller, after this, so val and test stay what they are.

        Raises:
            UserError: files are missing or wrong; says what was looked for and how to get it.
        """
        raise NotImplementedError(type(self).__name__)

    def hold_out(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The ids to train on and those of val: `val_fraction`, stratified, by `split_seed`."""
        kept, held = hold_out(targets, round(self.val_fraction * len(targets)), self.split_seed)
        if len(held) == 0:
            raise UserError(
                f"data.val_fraction={self.val_fraction} of {len(targets)} images is none"
            )
        return kept, held

    # What a run calls ---------------------------------------------------------------------------

    def serve(self, tasks: Sequence[str]) -> None:
        """Told before `setup` what the task is: a set with several kinds of targets gives its."""

    def outline(self) -> Outline | None:
        """What a net has to know; before `setup` None where the set's files have to tell it."""
        if self.splits is not None:
            return Outline(len(self.classes), self.channels, self._size)
        if self.published is None:
            return None
        return self.published._replace(image_size=self._size or self.published.image_size)

    def setup(self, stage: str | None = None) -> None:
        """Read the splits, once.

        Raises:
            UserError: see `read`; an empty split.
        """
        if self.splits is not None:
            return
        splits = self.read()
        for name, source in (
            ("training", splits.train),
            ("val", splits.val),
            ("test", splits.test),
        ):
            if len(source) == 0:
                raise UserError(f"{type(self).__name__}: the {name} split has no images")
        if self.fraction != 1.0:
            kept = stratified(splits.train.targets, self.fraction, self.split_seed)
            splits = splits._replace(train=splits.train.subset(kept))
        self.classes, self.channels = splits.classes, splits.channels
        if self._size is None:
            self._size = splits.image_size
        self.multi_label = splits.train.targets.ndim > 1
        self.splits = splits
        self.class_counts = self.counts("train")

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels that the net sees.

        Raises:
            UserError: the config leaves it to the net, and there is none yet.
        """
        if self._size is None:
            raise UserError(
                "data.image_size=null is what the net is made for, and there is no net; give it"
            )
        return self._size

    def adopt(self, pretrained_cfg: Mapping[str, Any]) -> None:
        """Take from a net's timm configuration the size, mean and std that the config leaves open.

        Images in memory have a size. A net's three channels become their average for grey images,
        as its first layer does; a grey net's one stands for each of the three.
        """
        if self._size is None:
            height, width = pretrained_cfg["input_size"][1:]
            self._size = (height, width)
        if self.mean is None:
            self.mean = _per_channel(pretrained_cfg["mean"], self.channels)
        if self.std is None:
            self.std = _per_channel(pretrained_cfg["std"], self.channels)

    def summary(self) -> dict[str, Any]:
        """Plain values for the run record; equal `digest` entries mean the same samples.

        Collective where there are several processes.
        """
        splits = self._ready()
        sources = {"train": splits.train, "val": splits.val, "test": splits.test}
        return {
            "name": type(self).__name__,
            "sizes": {name: len(source) for name, source in sources.items()},
            "digest": {name: source.digest() for name, source in sources.items()},
            "num_classes": len(self.classes),
            "test_is_val": splits.test_is_val,
            "image_size": None if self._size is None else list(self._size),
            "mean": self.mean,
            "std": self.std,
            "skipped": {name: len(ids) for name, ids in self.all_skipped().items()},
        }

    def all_skipped(self) -> dict[str, list[int]]:
        """`skipped` of all processes, ascending; collective where there are several."""
        parts: list[Any] = [self.skipped]
        if dist.is_available() and dist.is_initialized():
            parts = [None] * dist.get_world_size()
            dist.all_gather_object(parts, self.skipped)
        return {name: sorted(set().union(*(p[name] for p in parts))) for name in self.skipped}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must not forget."""
        return {"skipped": self.all_skipped()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, ids in state_dict["skipped"].items():
            self.skipped.setdefault(name, set()).update(ids)

    def describe(self, say: Callable[[str], None]) -> None:
        """Tell `say` how large the splits are and which classes they have, line by line."""
        few, most = min(self.class_counts), max(self.class_counts)
        counts = f"{few:,}" if few == most else f"{few:,} to {most:,}"
        say(f"{self._sizes_line()}, {counts} training images each")
        for split in ("train", "val", "test"):
            of_class = zip(self.classes, self.counts(split), strict=True)
            if empty := [name for name, n in of_class if n == 0]:
                shown = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
                say(f"{len(empty):,} classes have no image in {split}: {shown}")

    def remarks(self) -> list[str]:
        """What a person should know before the run, line by line."""
        return []

    def check_files(self, say: Callable[[str], None]) -> None:
        """Open the files of the set and tell `say` what was found, line by line."""
        say("none to open: the set lies in memory")

    def train_dataloader(self) -> Loader:
        train = self._ready().train
        # Set by Lightning's connectors.
        overfit = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        new_sampler = OverfitSampler if overfit else TrainSampler
        balanced = self.sampler == "balanced"
        sampler = new_sampler(train.targets, self.batch_size, self.seed, balanced)
        return self._loader("train", train, sampler)

    def val_dataloader(self) -> Loader:
        return self._eval_loader("val", self._ready().val)

    def test_dataloader(self) -> Loader:
        return self._eval_loader("test", self._ready().test)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        assert self.trainer is not None
        # Lightning counts a batch after this hook: total_batch_idx is still the last one's. It
        # counts batches, not optimizer steps, so accumulated ones differ; checkpoints hold it.
        step = self.trainer.fit_loop.total_batch_idx + 1
        batch = self.prepare(batch, bool(self.trainer.training), step)
        images = self.trainer.precision_plugin.convert_input(batch.images)  # 16-true and bf16-true
        return batch._replace(images=images)

    def prepare(self, batch: Batch, training: bool, step: int) -> Batch:
        """uint8 in, float32 and normalised out, on the batch's device; augmented if `training`.

        Args:
            batch: as the loaders give it.
            training: whether to augment.
            step: of the run; randomness is a function of (data.seed, rank, step).
        """
        if self._transforms is None:
            self._transforms = self._new_transforms()
        return self._transforms(batch, training, step)

    # Inside -------------------------------------------------------------------------------------

    def _ready(self) -> Splits:
        self.setup()
        assert self.splits is not None
        return self.splits

    def _sizes_line(self) -> str:
        splits = self._ready()
        sources = {"train": splits.train, "val": splits.val, "test": splits.test}
        sizes = ", ".join(f"{name} {len(source):,}" for name, source in sources.items())
        note = " (test is val)" if splits.test_is_val else ""
        return f"{sizes}{note}; {len(self.classes):,} classes"

    def counts(self, split: str) -> Sequence[int]:
        """Images of each class."""
        targets = getattr(self._ready(), split).targets
        several = targets.ndim > 1
        counts = targets.sum(0) if several else targets.bincount(minlength=len(self.classes))
        return [int(count) for count in counts]

    def _new_transforms(self) -> BatchTransforms:
        for key, value in (("mean", self.mean), ("std", self.std)):
            if value is None or len(value) != self.channels:
                raise UserError(
                    f"data.{key}={value} must have one number for each of the {self.channels} "
                    "channels of the images"
                )
        assert self.mean is not None
        assert self.std is not None
        return BatchTransforms(
            self.augment,
            self.augment.padding if self.crops_on_device else 0,
            len(self.classes),
            self.mean,
            self.std,
            self.seed,
            self._size if self.crops_on_device else None,
        )

    def _eval_loader(self, name: str, source: Source) -> Loader:
        return self._loader(name, source, EvalSampler(len(source), self.eval_batch_size))

    def _loader(self, name: str, source: Source, sampler: BatchSampler) -> Loader:
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        skipped = self.skipped.setdefault(name, set())
        return Loader(source, sampler, self._num_workers(), on_gpu, skipped)

    def _num_workers(self) -> int:
        if self.workers != "auto":
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        devices = 1 if self.trainer is None else self.trainer.num_devices  # of this machine
        return max(1, min((cores or 1) // devices, MAX_AUTO_WORKERS))


def _per_channel(values: Sequence[float], channels: int) -> list[float]:
    """A net for grey images takes colour ones alike in all channels, and the other way round."""
    if channels == 1:
        return [sum(values) / len(values)]
    return list(values) * channels if len(values) == 1 else list(values)
