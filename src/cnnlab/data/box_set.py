"""Base of the sets of images with boxes in files."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from cnnlab.data.annotated import Annotated
from cnnlab.data.bad_boxes import BadBoxes
from cnnlab.data.box_files import BoxFiles
from cnnlab.data.box_rows import BoxRows
from cnnlab.data.box_table import BoxTable
from cnnlab.data.box_transforms import BoxEvalTransform, BoxTrainTransform
from cnnlab.data.check_boxes import check_boxes
from cnnlab.data.file_module import FileModule
from cnnlab.data.module import Outline, Splits
from cnnlab.data.pairing import named
from cnnlab.errors import UserError, closest

_MOST_CLASSES = 20  # that a line counts one by one


class BoxSet(FileModule[BoxFiles]):
    """Images and boxes of their objects in files.

    Training takes windows of `image_size`; evaluation brings images to fit into it. With null
    images stay as they are, and what a batch lacks is padded. A subclass implements `annotated` and
    says in `layout` what lies below `root`.

    Args:
        classes: which classes, in the order of their ids; None: all there are. Of those that no
            annotation has there must be some that one has, and none near to what it has.
        test_fraction: held out of train, before val, where a set has neither val nor test; 0: test
            is val.
        bad_boxes: what boxes that no image can have lead to, see `bad_boxes`.
        common: as of `FileModule`.
    """

    tasks: ClassVar[tuple[str, ...]] = ("detection",)
    only: ClassVar[dict[str, Any]] = {
        "sampler": "shuffle",
        "augment.padding": 0,  # windows are cut by scale_jitter
        "augment.scale": [1.0, 1.0],
        "augment.ratio": [1.0, 1.0],
        "augment.class_crops": 0.0,
        "augment.policy": None,
        "augment.mixup": 0.0,
        "augment.cutmix": 0.0,
        "augment.erasing": 0.0,
    }

    def __init__(
        self, *, classes: list[str] | None, test_fraction: float, bad_boxes: BadBoxes, **common: Any
    ) -> None:
        super().__init__(**common)
        self.window = self._size
        self.chosen = None if classes is None else list(classes)
        self.bad_boxes: BadBoxes = bad_boxes
        self.test_fraction = self.allowed(test_fraction)
        self.notes: list[str] = []
        self.faults: dict[str, list[str]] = {}
        self.left_out: dict[str, int] = {}

    def annotated(self) -> Annotated:
        """Images and boxes of `train` and perhaps `val` and `test`.

        What is missing is held out, see `splits_from`.

        Raises:
            UserError: files are missing or wrong; says what was looked for.
        """
        raise NotImplementedError(type(self).__name__)

    def outline(self) -> Outline | None:
        if self.chosen is None or self._size is None:
            return super().outline()
        return Outline(len(self.chosen), 3, self._size)

    def read(self) -> Splits:
        found = self.annotated()
        if not found.splits["train"].counts():
            raise UserError(f"{self.root}: no image of train has a box")
        ids = found.chosen(self.chosen)
        every = list(found.names.values())
        classes = every if self.chosen is None else self.chosen
        self.notes = [*found.notes, *_shared(found)]
        if missing := [name for name in classes if name not in every]:
            self.notes.append(
                f"{len(missing):,} of the {len(classes):,} classes are in no annotation: "
                f"{named(missing)}"
            )
        self.left_out = {
            found.names[label]: count
            for label, count in found.counts().items()
            if count and label not in ids
        }
        sources = {}
        for name, rows in found.splits.items():
            table, self.faults[name] = rows.table(ids, self.bad_boxes)
            sources[name] = BoxFiles(self.root, table, self.bad_files)
        self._refuse_empty(found.splits["train"], ids, sources["train"].table)
        return self.splits_from(sources, classes, _largest(sources["train"].table.sizes))

    def setup(self, stage: str | None = None) -> None:
        """As of `DataModule`.

        Raises:
            UserError: what is held out, or `fraction`, leaves no box to train on.
        """
        if self.splits is not None:
            return
        super().setup(stage)
        if not any(self.class_counts):
            raise UserError(
                f"{self.root}: the {len(self.source('train')):,} images that are left to train on "
                f"have no box; data.fraction={self.fraction}, data.val_fraction="
                f"{self.val_fraction} and data.test_fraction={self.test_fraction} say how many "
                "are, data.split_seed which"
            )

    def _refuse_empty(self, rows: BoxRows, ids: Mapping[int, int], table: BoxTable) -> None:
        """Boxes, but none to train on.

        Args:
            rows: of train.
            ids: of the labels that are chosen.
            table: what became of `rows`.
        """
        crowds, dropped = int(table.crowd.sum()), int(table.dropped.sum())
        if len(table.label) > crowds:
            return
        others = sum(count for label, count in rows.counts().items() if label not in ids)
        reasons = [
            (dropped, f"bad ones, dropped (data.bad_boxes={self.bad_boxes})"),
            (crowds, "crowds or difficult ones, which are not trained on"),
            (others, "of classes that data.classes leaves out"),
        ]
        raise UserError(
            f"{self.root}: no image of train has a box but "
            + ", ".join(f"{count:,} {what}" for count, what in reasons if count)
        )

    def train_transform(self) -> BoxTrainTransform:
        return BoxTrainTransform(self.window, self.sample_augment, self.known_mean(), self.seed)

    def eval_transform(self) -> BoxEvalTransform:
        return BoxEvalTransform(self.window, self.known_mean())

    def summary(self) -> dict[str, Any]:
        tables = {name: self.source(name).table for name in ("train", "val", "test")}
        return super().summary() | {
            "boxes": {name: len(table.label) for name, table in tables.items()},
            "crowds": {name: int(table.crowd.sum()) for name, table in tables.items()},
            "bad_boxes": {
                "policy": self.bad_boxes,
                "clipped": {name: int(table.clipped.sum()) for name, table in tables.items()},
                "dropped": {name: int(table.dropped.sum()) for name, table in tables.items()},
            },
            "classes_left_out": self.left_out,
        }

    def counts(self, split: str) -> Sequence[int]:
        """Boxes of each class; crowds are not among them."""
        table = self.source(split).table
        counts = table.label[~table.crowd].bincount(minlength=len(self.classes))
        return [int(count) for count in counts]

    def describe(self, say: Callable[[str], None]) -> None:
        """Sizes of the splits, boxes of each, by class, and what was left out or changed."""
        say(self._sizes_line())
        for name, source in self.distinct().items():
            table, counts = source.table, self.counts(name)
            crowds = int(table.crowd.sum())
            empty = int((table.counts() == 0).sum())
            of_class = [f"{c} {n:,}" for c, n in zip(self.classes, counts, strict=True)]
            say(
                f"{name}: {sum(counts):,} boxes ({named(of_class, _MOST_CLASSES)})"
                + (f", {crowds:,} crowds or difficult" if crowds else "")
                + f", {sum(counts) / len(table.names):.1f} an image, {empty:,} images without"
            )
            clipped, dropped = int(table.clipped.sum()), int(table.dropped.sum())
            if clipped or dropped:
                say(f"{name}: {clipped:,} bad boxes clipped, {dropped:,} dropped")
            if none := [c for c, n in zip(self.classes, counts, strict=True) if not n]:
                say(f"{len(none):,} classes have no box in {name}: {named(none, 5)}")
        if self.left_out:
            # First those that may be a class, misspelt.
            near, far = [], []
            for name, count in self.left_out.items():
                meant = closest(name, self.classes)
                if meant is None:
                    far.append(f"{name} {count:,}")
                else:
                    near.append(f"{name} {count:,} (is it '{meant}'?)")
            say(f"boxes of other classes left out: {named(near + far, _MOST_CLASSES)}")
        for note in [*self.notes, *self.remarks()]:
            say(note)

    def remarks(self) -> list[str]:
        """That test has no box to find, where it has none."""
        if any(self.counts("test")):
            return []
        crowds = int(self.source("test").table.crowd.sum())
        but = f" but {crowds:,} crowds or difficult ones" if crowds else ""
        return [f"no image of test has a box{but}: there will be no test/map"]

    def check_files(self, say: Callable[[str], None]) -> None:
        """Open the images, tell what was found, line by line.

        Raises:
            UserError: an image has another size than its annotation says, or files cannot be read
                and `bad_files` is `error`.
        """
        report = check_boxes(self.distinct(), self.classes)
        report.bad = [line for lines in self.faults.values() for line in lines]
        for line in report.lines():
            say(line)
        report.refuse(self.bad_files)


def _shared(found: Annotated) -> list[str]:
    """A line for each two splits that have images in common."""
    names = {split: set(rows.names) for split, rows in found.splits.items()}
    return [
        f"{len(names[one] & names[other]):,} images of {other} are in {one}, too"
        for one, other in combinations(names, 2)
        if names[one] & names[other]
    ]


def _largest(sizes: Tensor) -> tuple[int, int] | None:
    """The greatest height and the greatest width; None where sizes are not known."""
    height, width = torch.cat((sizes, sizes.new_zeros(1, 2))).amax(0).tolist()
    return (height, width) if height and width else None
