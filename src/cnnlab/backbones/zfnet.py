"""ZFNet: AlexNet with a finer first layer (Zeiler and Fergus 2013, arXiv:1311.2901; deck 1).

Stage 1 is conv1, stage 2 pools and normalises it, stage 3 is conv2, stage 4 conv3 to conv5; they
reduce the image by 2, 4, 8, 16.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import FullyConnected, init_as_alexnet, local_response_norm
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["ZFNet"]

_CFG = IMAGENET_CFG | {"first_conv": "stage1.0"}
default_cfgs = generate_default_cfgs({"zfnet": _CFG, "zfnet_b": _CFG})


class ZFNet(StagedNet):
    """The net of Fig. 3: conv1 7x7 of stride 2, conv2 5x5 of stride 2, pooling before norm.

    Weights begin at N(0, 0.01), biases at 0 (section 3). Classifies images of 213x213 to 244x244
    pixels; as a feature extractor, any size from 21x21.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        filters: of conv3, conv4 and conv5.
        dropout: of fc6 and fc7.

    Raises:
        UserError: not three positive numbers of filters.
    """

    sides = range(213, 245)  # whose pooled maps are 6x6

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        filters: tuple[int, int, int] = (384, 384, 256),
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes)
        if isinstance(filters, int) or len(filters) != 3 or min(filters) < 1:
            raise UserError(f"model.filters={filters}: must be three positive numbers")
        conv1 = nn.Conv2d(in_chans, 96, 7, stride=2, padding=1)
        conv2 = nn.Conv2d(96, 256, 5, stride=2)
        stage4 = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), local_response_norm())
        chans = 256
        for out_chans in filters:
            stage4.append(nn.Conv2d(chans, out_chans, 3, padding=1))
            stage4.append(nn.ReLU(inplace=True))
            chans = out_chans
        pool_and_norm = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), local_response_norm())
        self.add_stage(nn.Sequential(conv1, nn.ReLU(inplace=True)), channels=96, reduction=2)
        self.add_stage(pool_and_norm, channels=96, reduction=4)
        self.add_stage(nn.Sequential(conv2, nn.ReLU(inplace=True)), channels=256, reduction=8)
        self.add_stage(stage4, channels=chans, reduction=16)
        self.head = FullyConnected(chans, num_classes, dropout)
        init_as_alexnet(self)


def _build(name: str, pretrained: bool, **kwargs: Any) -> ZFNet:
    features = {"out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(ZFNet, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def zfnet(pretrained: bool = False, **kwargs: Any) -> ZFNet:
    """62.36 M parameters, 1.168 G MACs at 224x224 (Fig. 3)."""
    return _build("zfnet", pretrained, **kwargs)


@register_model
def zfnet_b(pretrained: bool = False, **kwargs: Any) -> ZFNet:
    """107.63 M parameters, 2.477 G MACs at 224x224: wider conv3 to conv5 (Table 2, b)."""
    return _build("zfnet_b", pretrained, **{"filters": (512, 1024, 512)} | kwargs)
