"""Imagenette: ten easy classes of ImageNet, laid out like it (fastai)."""

from typing import Literal

from cnnlab.data.augment import Augment
from cnnlab.data.imagenet import ImageNet
from cnnlab.data.labels import described, imagenet1k
from cnnlab.errors import UserError


class Imagenette(ImageNet):
    """Like ImageNet; `labels` may be `imagenet1k`: class ids are those among all 1000.

    So a net that was trained on ImageNet is evaluated as it is, with its 1000 outputs.
    """

    def __init__(
        self,
        *,
        root: str,
        labels: Literal["imagenet1k"] | None,
        image_size: int,
        crop_pct: float | None,
        interpolation: Literal["bilinear", "bicubic"] | None,
        bad_files: Literal["error", "skip"],
        seed: int,
        split_seed: int,
        val_fraction: float,
        fraction: float,
        sampler: Literal["shuffle", "balanced"],
        batch_size: int,
        eval_batch_size: int,
        workers: int | Literal["auto"],
        mean: list[float] | None,
        std: list[float] | None,
        augment: Augment,
    ) -> None:
        super().__init__(
            root=root,
            image_size=image_size,
            crop_pct=crop_pct,
            interpolation=interpolation,
            bad_files=bad_files,
            seed=seed,
            split_seed=split_seed,
            val_fraction=val_fraction,
            fraction=fraction,
            sampler=sampler,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            workers=workers,
            mean=mean,
            std=std,
            augment=augment,
        )
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
