"""Imagenette: ten easy classes of ImageNet, laid out like it (fastai)."""

from typing import Any, Literal

from cnnlab.data.imagenet import ImageNet
from cnnlab.data.labels import described, imagenet1k
from cnnlab.errors import UserError


class Imagenette(ImageNet):
    """Like ImageNet; `labels` may be `imagenet1k`: class ids are those among all 1000.

    So a net that was trained on ImageNet is evaluated as it is, with its 1000 outputs.
    """

    def __init__(self, *, labels: Literal["imagenet1k"] | None, **files: Any) -> None:
        super().__init__(**files)
        self.labels = labels

    def class_ids(self, synsets: list[str]) -> tuple[dict[str, int], list[str]]:
        if self.labels is None:
            return super().class_ids(synsets)
        every = imagenet1k()
        ids = {synset: i for i, synset in enumerate(every)}
        if strange := [synset for synset in synsets if synset not in ids]:
            raise UserError(
                f"{self.root / 'train' / strange[0]} is none of ImageNet's 1000 synsets, which "
                "data.labels=imagenet1k needs; data.labels=null numbers the folders as they are"
            )
        return ids, [described(synset) for synset in every]
