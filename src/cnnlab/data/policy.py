"""Published augmentation policies, image by image."""

from typing import Literal

from torch import nn
from torchvision.transforms import v2

Policy = Literal["randaugment", "trivialaugment", "autoaugment"]


def policy(name: Policy, magnitude: int, small: bool) -> nn.Module:
    """The transform uint8 `(C, H, W)` -> uint8 `(C, H, W)`.

    It draws from torch's default generator: call it within `seeding.torch_seeded`.

    Args:
        name: RandAugment with 2 operations an image (Cubuk et al. 2020, arXiv:1909.13719),
            TrivialAugmentWide (Mueller and Hutter 2021, arXiv:2103.10158) or AutoAugment (Cubuk et
            al. 2019, arXiv:1805.09501).
        magnitude: of RandAugment, in 0..30; the others have their own.
        small: whether AutoAugment uses the policy found on CIFAR-10, not the one of ImageNet.
    """
    if name == "randaugment":
        return v2.RandAugment(num_ops=2, magnitude=magnitude)
    if name == "trivialaugment":
        return v2.TrivialAugmentWide()
    found_on = v2.AutoAugmentPolicy.CIFAR10 if small else v2.AutoAugmentPolicy.IMAGENET
    return v2.AutoAugment(found_on)
