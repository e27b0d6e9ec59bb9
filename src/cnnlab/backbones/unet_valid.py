"""The contracting path of U-Net (Ronneberger et al. 2015, arXiv:1505.04597, Fig. 1; deck 2).

Two 3x3 convolutions a level, 2x2 max-pooling between the levels, channels doubled at each of the
five. Stages 1-5 reduce the image by 1, 2, 4, 8, 16. `unet_valid` is the paper's, without padding:
572 pixels become maps of 568, 280, 136, 64 and 28. `unet_same` pads and normalises.
"""

from typing import Any, Literal

from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet

__all__ = ["UNetEncoder"]

_CFG = IMAGENET_CFG | {
    "input_size": (3, 572, 572),
    "num_classes": 2,  # cell and background
    "crop_pct": 1.0,
    "first_conv": "stage1.0",
}
_GREY = {"input_size": (1, 572, 572), "mean": (0.5,), "std": (0.5,)}
default_cfgs = generate_default_cfgs({"unet_valid": _CFG | _GREY, "unet_same": _CFG})


class UNetEncoder(StagedNet):
    """The five levels; as a classifier, their coarsest map is averaged.

    Weights begin at N(0, 2 / inputs of a neuron) (section 3), biases at 0. Without padding the net
    reads images from 140x140.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        width: channels of the first level.
        padding: 0: valid convolutions, each takes 2 pixels; 1: sizes stay.
        batch_norm: BatchNorm after each convolution.
        dropout: at the end of the contracting path (section 3.1): of the two coarsest levels.
    """

    def __init__(
        self,
        in_chans: int = 1,
        num_classes: int = 2,
        width: int = 64,
        padding: Literal[0, 1] = 0,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes)
        chans = in_chans
        for level in range(5):
            stage = nn.Sequential()
            if level:
                stage.append(nn.MaxPool2d(2))
            for _ in range(2):
                out_chans = width * 2**level
                stage.append(nn.Conv2d(chans, out_chans, 3, padding=padding, bias=not batch_norm))
                if batch_norm:
                    stage.append(nn.BatchNorm2d(out_chans))
                stage.append(nn.ReLU(inplace=True))
                chans = out_chans
            if level >= 3:
                stage.append(nn.Dropout(dropout))
            self.add_stage(stage, channels=chans, reduction=2**level)
        self.head = ClassifierHead(chans, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def _build(name: str, pretrained: bool, **kwargs: Any) -> UNetEncoder:
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(UNetEncoder, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def unet_valid(pretrained: bool = False, **kwargs: Any) -> UNetEncoder:
    """18.84 M parameters, 72.48 G MACs at 1x572x572; with `head=unet_valid` the paper's net."""
    return _build("unet_valid", pretrained, padding=0, **kwargs)


@register_model
def unet_same(pretrained: bool = False, **kwargs: Any) -> UNetEncoder:
    """18.85 M parameters, 83.99 G MACs at 3x572x572; with `head=unet` the usual padded U-Net."""
    own = {"in_chans": 3, "batch_norm": True, "dropout": 0.0}
    return _build("unet_same", pretrained, padding=1, **own | kwargs)
