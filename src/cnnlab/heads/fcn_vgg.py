"""FCN-32s, 16s and 8s as the authors released them, on VGG-16 (Long et al. 2015; deck 2).

arXiv:1411.4038; the numbers of kernels and crops are those of voc-fcn32s, 16s and 8s in their
repository (shelhamer/fcn.berkeleyvision.org).
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from cnnlab.errors import UserError
from cnnlab.heads.crop import cropped
from cnnlab.heads.fcn import bilinear_deconvolution, zero_score
from cnnlab.heads.segmentation import SegmentationHead

_SKIP_CROPS = (5, 9)
"""Of score_pool4 and score_pool3, in their cells: maps begin outside the image, by 100 pixels less
what fc6 takes."""

_IMAGE_CROPS = {32: 19, 16: 27, 8: 31}
"""Pixels cut at the top and the left, by the stride of the finest scores."""


class FCNVGG(SegmentationHead):
    """Scores of fc7, enlarged by deconvolutions and cropped, never resized.

    All scores begin at zero, deconvolutions bilinear; the last one stays so, those between learn
    (section 4.3). Scores of pool4 and pool3 are added as they are: only the authors' at-once
    variant of FCN-8s scales those maps (by 0.01 and 0.0001).

    Args:
        backbone: makes `fcn_vgg16`.
        num_classes: K.
        in_chans: image channels.
        stride: of the finest scores; below 32, those of pool4 are added, at 8 those of pool3, too.

    Raises:
        UserError: another backbone.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        stride: Literal[8, 16, 32],
    ) -> None:
        super().__init__(backbone, num_classes, in_chans)
        if self.channels[-3:] != [256, 512, 4096] or self.reductions[-3:] != [8, 16, 32]:
            raise UserError(
                f"head=fcn_vgg: needs pool3, pool4 and fc7 of model=fcn_vgg16; this net's coarsest "
                f"maps have {self.channels[-3:]} channels; head=fcn takes any net"
            )
        if stride not in _IMAGE_CROPS:
            raise UserError(f"head.stride={stride}: must be 8, 16 or 32")
        skips = {32: 0, 16: 1, 8: 2}[stride]
        self.crop = _IMAGE_CROPS[stride]
        self.score = zero_score(4096, num_classes)
        self.ups, self.finer = nn.ModuleList(), nn.ModuleList()
        for chans in (512, 256)[:skips]:
            self.ups.append(bilinear_deconvolution(num_classes, 4, 2, padding=0))
            self.finer.append(zero_score(chans, num_classes))
        self.to_image = bilinear_deconvolution(num_classes, 2 * stride, stride, padding=0)
        self.to_image.requires_grad_(False)

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (self.score, *self.ups, *self.finer, self.to_image)

    def decode(self, maps: list[Tensor]) -> Tensor:
        *others, fc7 = maps
        scores: Tensor = self.score(fc7)
        for up, score, finer, crop in zip(
            self.ups, self.finer, reversed(others), _SKIP_CROPS, strict=False
        ):
            scores = up(scores)
            scores = scores + cropped(score(finer), crop, crop, scores)
        logits: Tensor = self.to_image(scores)
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return cropped(self.decode(self.maps(images)), self.crop, self.crop, images)
