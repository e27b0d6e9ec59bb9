"""SqueezeNet: AlexNet's accuracy with 50 times fewer parameters (Iandola et al. 2016; deck 2).

arXiv:1602.07360, Table 1. Stage 1 is conv1, stages 2-4 pool and run fire modules; they reduce the
image by 2, 4, 8, 16.
"""

from typing import Any, Literal

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["SqueezeNet"]


def _cfg(size: int) -> dict[str, Any]:
    return IMAGENET_CFG | {
        "input_size": (3, size, size),
        "crop_pct": round(size / 256, 3),
        "first_conv": "stage1.0",
    }


# Table 1 prints 224, but its 111x111 maps of conv1 need 227, which the released net reads.
default_cfgs = generate_default_cfgs(
    {
        "squeezenet1_0": _cfg(227),
        "squeezenet1_0_bn": _cfg(227),
        "squeezenet1_1": _cfg(224),
    }
)

# conv1's filters and size; the fire modules of stages 2, 3, 4.
_VERSIONS = {"1.0": (96, 7, (3, 4, 1)), "1.1": (64, 3, (2, 2, 4))}
_EXPAND = (128, 128, 256, 256, 384, 384, 512, 512)  # fire2 ... fire9, both expand layers


class Fire(nn.Module):
    """Squeeze with 1x1, then expand with 1x1 and 3x3 side by side (Fig. 1); ReLU after each.

    (B, C, H, W) -> (B, expand1x1 + expand3x3, H, W)
    """

    def __init__(
        self, in_chans: int, squeeze: int, expand1x1: int, expand3x3: int, batch_norm: bool
    ) -> None:
        super().__init__()
        self.squeeze = _conv(in_chans, squeeze, 1, batch_norm)
        self.expand1x1 = _conv(squeeze, expand1x1, 1, batch_norm)
        self.expand3x3 = _conv(squeeze, expand3x3, 3, batch_norm)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1)


def _conv(in_chans: int, out_chans: int, size: int, batch_norm: bool) -> nn.Sequential:
    """Convolution that keeps the image's size, BatchNorm if wanted, ReLU."""
    layers: list[nn.Module] = [nn.Conv2d(in_chans, out_chans, size, padding=size // 2)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(out_chans))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class ConvClassifier(nn.Module):
    """Dropout, conv10 (1x1, a filter a class: `fc`), ReLU, global average.

    (B, C, H, W) -> (B, num_classes)
    """

    def __init__(self, in_chans: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.dropout = nn.Dropout(dropout)
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A fresh conv10, N(0, 0.01) as in the released net; none for 0 classes."""
        self.fc = nn.Conv2d(self.in_chans, num_classes, 1) if num_classes else nn.Identity()
        if isinstance(self.fc, nn.Conv2d):
            nn.init.normal_(self.fc.weight, std=0.01)
            # torch types a bias as maybe None.
            nn.init.zeros_(self.fc.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return self.fc(self.dropout(features)).relu().mean((2, 3))


class SqueezeNet(StagedNet):
    """Eight fire modules between conv1 and conv10; no padding in conv1, pooling rounds up.

    Weights begin as He et al.'s (fan-in; deck 2's code), biases at 0, conv10 at N(0, 0.01).

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        version: `1.0`, the paper's; `1.1`, the authors' later net: 3x3 conv1 and earlier pooling
            at 2.4 times fewer MACs.
        batch_norm: BatchNorm after each convolution of a fire module (deck 2's code).
        squeeze_ratio: filters of the squeeze layer by those of the expand layers (section 5.2).
        pct_3x3: share of 3x3 among the expand filters (section 5.3).
        dropout: before conv10.

    Raises:
        UserError: an unknown version; a ratio out of range.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        version: Literal["1.0", "1.1"] = "1.0",
        batch_norm: bool = False,
        squeeze_ratio: float = 0.125,
        pct_3x3: float = 0.5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes)
        if version not in _VERSIONS:
            raise UserError(f"model.version={version}: must be 1.0 or 1.1")
        if not 1 / 128 <= squeeze_ratio <= 1:
            raise UserError(f"model.squeeze_ratio={squeeze_ratio}: must be from 1/128 to 1")
        if not 0.01 <= pct_3x3 <= 0.99:
            raise UserError(f"model.pct_3x3={pct_3x3}: must be from 0.01 to 0.99")
        chans, size, fires = _VERSIONS[version]
        conv1 = nn.Conv2d(in_chans, chans, size, stride=2)
        self.add_stage(nn.Sequential(conv1, nn.ReLU(inplace=True)), channels=chans, reduction=2)
        expands = iter(_EXPAND)
        for index, count in enumerate(fires):
            stage = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True))
            for _, expand in zip(range(count), expands, strict=False):
                squeeze, expand3x3 = round(squeeze_ratio * expand), round(pct_3x3 * expand)
                stage.append(Fire(chans, squeeze, expand - expand3x3, expand3x3, batch_norm))
                chans = expand
            self.add_stage(stage, channels=chans, reduction=4 * 2**index)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                # torch types a bias as maybe None.
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.head = ConvClassifier(chans, num_classes, dropout)


def _build(name: str, pretrained: bool, **kwargs: Any) -> SqueezeNet:
    features = {"out_indices": (0, 1, 2, 3)}
    return build_model_with_cfg(SqueezeNet, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def squeezenet1_0(pretrained: bool = False, **kwargs: Any) -> SqueezeNet:
    """1.25 M parameters, 0.833 G MACs at 227x227 (Table 1)."""
    return _build("squeezenet1_0", pretrained, version="1.0", **kwargs)


@register_model
def squeezenet1_0_bn(pretrained: bool = False, **kwargs: Any) -> SqueezeNet:
    """1.25 M parameters, 0.833 G MACs at 227x227: BatchNorm in the fire modules (deck 2's code)."""
    return _build("squeezenet1_0_bn", pretrained, **{"version": "1.0", "batch_norm": True} | kwargs)


@register_model
def squeezenet1_1(pretrained: bool = False, **kwargs: Any) -> SqueezeNet:
    """1.24 M parameters, 0.349 G MACs at 224x224."""
    return _build("squeezenet1_1", pretrained, version="1.1", **kwargs)
