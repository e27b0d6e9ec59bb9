"""What training does to its images; the values stand in the recipes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Augment:
    """The node `data.augment`.

    Sets in memory pad and crop: policy, crop, flip. Sets of files take a random-resized crop: crop,
    policy, jitter, flip. Both then: mixup or cutmix, erasing. Sets with masks in files: scale
    jitter, crop, flip, colour jitter. Sets with boxes in files: the same, four images together or
    one.
    """

    padding: int
    """Pixels of zeros added on each side before a crop of the old size; sets in memory only."""
    scale: tuple[float, float]
    """Least and greatest share of the area that a random-resized crop takes; files only."""
    ratio: tuple[float, float]
    """Least and greatest width / height of that crop; files only."""
    scale_jitter: tuple[float, float]
    """Least and greatest factor by which an image is enlarged before the crop; masks, and boxes in
    files, where a factor of 1 fits the image into the window."""
    class_crops: float
    """Probability that a crop lies around a pixel of a class drawn among the image's; masks
    only."""
    mosaic: float
    """Probability that four images share a window (Bochkovskiy et al. 2020, arXiv:2004.10934);
    boxes in files only."""
    flip: bool
    """Mirror left and right with probability 1/2."""
    vertical_flip: bool
    """Mirror up and down with probability 1/2: cells, tissue, aerial views."""
    color_jitter: float
    """Brightness, contrast and saturation vary by a factor within 1 +- this; files only."""
    policy: Literal["randaugment", "trivialaugment", "autoaugment"] | None
    magnitude: int
    """Of RandAugment, in 0..30 (torchvision's scale)."""
    mixup: float
    """Alpha of the Beta distribution of the share (Zhang et al. 2018, arXiv:1710.09412); 0: off."""
    cutmix: float
    """The same for the area of the patch (Yun et al. 2019, arXiv:1905.04899); 0: off."""
    erasing: float
    """Probability that an image loses a rectangle (Zhong et al. 2020, arXiv:1708.04896)."""
