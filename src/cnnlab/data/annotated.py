"""What a reader of boxes finds: classes, and the rows of each split."""

from dataclasses import dataclass, field

from cnnlab.data.box_rows import BoxRows
from cnnlab.data.pairing import named
from cnnlab.errors import UserError, nearest


@dataclass
class Annotated:
    """The annotations of a set, before classes are chosen and boxes judged."""

    names: dict[int, str] = field(default_factory=dict)
    """Of each label of the rows, in the order of the class ids."""
    splits: dict[str, BoxRows] = field(default_factory=dict)
    """`train`, and perhaps `val` and `test`."""
    notes: list[str] = field(default_factory=list)
    """What a person should know, line by line."""

    def counts(self) -> dict[int, int]:
        """Boxes of each label in all splits."""
        total = dict.fromkeys(self.names, 0)
        for rows in self.splits.values():
            for label, count in rows.counts().items():
                total[label] += count
        return total

    def chosen(self, classes: list[str] | None) -> dict[int, int]:
        """Label -> class id, of the classes that are named, in that order; of all by default.

        A class that no annotation has gets no label: of a part of a set some are missing.

        Raises:
            UserError: a name that comes twice; one that no annotation has, where another one is
                near to it; no annotation has any of them.
        """
        if classes is None:
            return {label: id for id, label in enumerate(self.names)}
        if len(set(classes)) < len(classes):
            raise UserError(f"data.classes={classes}: a class is named twice")
        labels = {name: label for label, name in self.names.items()}
        others = [name for name in labels if name not in classes]
        for name in classes:
            if name not in labels and (near := nearest(name, others)):
                raise UserError(f"data.classes: '{name}' is in no annotation{near}")
        if labels.keys().isdisjoint(classes):
            raise UserError(
                f"data.classes={classes}: none of them is in an annotation; there are "
                f"{named(list(labels), 20)}"
            )
        return {labels[name]: id for id, name in enumerate(classes) if name in labels}
