"""VGG-16 as the fully convolutional net (Long et al. 2015, arXiv:1411.4038; deck 2).

The first convolution pads by 100 pixels, so that fc6, a 7x7 convolution without padding, finds room
on images of any size; pools round up. Stages 1-4 end with pool1 to pool4, stage 5 with fc7; they
reduce the image by 2, 4, 8, 16, 32. Maps begin outside the image: the head `fcn_vgg` crops.
"""

from typing import Any

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import init_as_he
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet

__all__ = ["FCNVGG"]

default_cfgs = generate_default_cfgs({"fcn_vgg16": IMAGENET_CFG | {"first_conv": "stage1.0"}})

_LAYERS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""3x3 convolutions of each level, and their channels (configuration D of VGG)."""


class FCNVGG(StagedNet):
    """VGG-16 whose fc6 and fc7 are convolutions of 7x7 and 1x1 with 4096 channels.

    The classifier averages fc7 over all places. Its tensors have the order and the shapes of VGG-16
    in timm: `cnnlab.backbones.convert` brings weights over. Fresh weights are He's.

    `(B, in_chans, H, W) -> (B, num_classes)`, any H and W.

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        dropout: of fc6 and fc7.
    """

    def __init__(self, in_chans: int = 3, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__(num_classes)
        stage, chans = nn.Sequential(), in_chans
        for level, (layers, out_chans) in enumerate(_LAYERS):
            for _ in range(layers):
                padding = 1 if len(stage) or level else 100
                stage.append(nn.Conv2d(chans, out_chans, 3, padding=padding))
                stage.append(nn.ReLU(inplace=True))
                chans = out_chans
            stage.append(nn.MaxPool2d(2, ceil_mode=True))
            if level < 4:
                self.add_stage(stage, channels=chans, reduction=2 ** (level + 1))
                stage = nn.Sequential()
        for kernel_size in (7, 1):
            stage.append(nn.Conv2d(chans, 4096, kernel_size))
            stage.append(nn.ReLU(inplace=True))
            stage.append(nn.Dropout(dropout))
            chans = 4096
        self.add_stage(stage, channels=chans, reduction=32)
        self.head = ClassifierHead(chans, num_classes)
        init_as_he(self)


@register_model
def fcn_vgg16(pretrained: bool = False, **kwargs: Any) -> FCNVGG:
    """138.36 M parameters, 62.67 G MACs at 224x224; with `head=fcn_vgg` the FCN of Table 2."""
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(FCNVGG, "fcn_vgg16", pretrained, feature_cfg=features, **kwargs)
