"""EfficientNet with its scaling as numbers (Tan and Le 2019, arXiv:1905.11946; decks 0-4).

Depth d, width w and resolution r multiply those of EfficientNet-B0; one compound coefficient sets
all three (sec. 3.3). timm has the published B0 ... B7, whose d, w and image sizes are rounded by
hand. Stages 1-5 reduce the image by 2, 4, 8, 16, 32.
"""

from functools import partial
from typing import Any

from timm.layers import BatchNormAct2d
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

# Private to timm, but its builder is what makes these blocks those of its own B0 ... B7.
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import (
    EfficientNetBuilder,
    decode_arch_def,
    efficientnet_init_weights,
    round_channels,
)
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["EfficientNetScaled"]

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""Depth, width and resolution for phi = 1, found by grid search on B0: alpha beta^2 gamma^2 ~ 2."""
B0_IMAGE_SIZE = 224

# Table 1, in timm's words: blocks (r), kernel (k), stride (s), expansion (e), channels (c), SE.
B0_STAGES = (
    ("ds_r1_k3_s1_e1_c16_se0.25",),
    ("ir_r2_k3_s2_e6_c24_se0.25",),
    ("ir_r2_k5_s2_e6_c40_se0.25",),
    ("ir_r3_k3_s2_e6_c80_se0.25", "ir_r3_k5_s1_e6_c112_se0.25"),
    ("ir_r4_k5_s2_e6_c192_se0.25", "ir_r1_k3_s1_e6_c320_se0.25"),
)

default_cfgs = generate_default_cfgs(
    {"efficientnet_scaled": IMAGENET_CFG | {"input_size": (3, B0_IMAGE_SIZE, B0_IMAGE_SIZE)}}
)


def compound(phi: float) -> tuple[float, float, float]:
    """d, w and r of the compound coefficient (eq. 3); MACs grow about as 2^phi."""
    return ALPHA**phi, BETA**phi, GAMMA**phi


def image_size(phi: float = 0.0, resolution_multiplier: float | None = None) -> int:
    """The image's side in pixels, 224 r; the data take it from the net's `default_cfg`."""
    r = compound(phi)[2] if resolution_multiplier is None else resolution_multiplier
    return round(B0_IMAGE_SIZE * r)


class ConvHead(nn.Module):
    """1x1 convolution, BN, SiLU; global average, dropout, linear. (B, C, H, W) -> (B, classes)."""

    def __init__(self, in_chans: int, features: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.conv = nn.Conv2d(in_chans, features, 1, bias=False)
        self.bn = BatchNormAct2d(features, act_layer=nn.SiLU)
        self.drop = nn.Dropout(dropout)
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A fresh linear layer; none for 0 classes."""
        self.fc = nn.Linear(self.features, num_classes) if num_classes else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        averages = self.bn(self.conv(features)).mean((2, 3))
        return self.fc(self.drop(averages))


class EfficientNetScaled(StagedNet):
    """B0's stages with ceil(d n) blocks and w c channels, rounded to 8 but never down by over 10 %.

    Weights start as in the released code: He, fan-out; the classifier uniform.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        phi: the compound coefficient: d = 1.2^phi, w = 1.1^phi, r = 1.15^phi.
        depth_multiplier: d in place of phi's.
        width_multiplier: w in place of phi's.
        resolution_multiplier: r in place of phi's. It changes no weight, only the image size that
            the net declares (`image_size`, `default_cfg`).
        drop_path: stochastic depth, linear from 0 (the paper: 0.2).
        dropout: before the classifier.

    Raises:
        UserError: a multiplier that is not positive.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        phi: float = 0.0,
        depth_multiplier: float | None = None,
        width_multiplier: float | None = None,
        resolution_multiplier: float | None = None,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        given = {
            "depth_multiplier": depth_multiplier,
            "width_multiplier": width_multiplier,
            "resolution_multiplier": resolution_multiplier,
        }
        for knob, value in given.items():
            if value is not None and value <= 0:
                raise UserError(f"model.{knob}={value}: must be positive")
        depth, width, _ = compound(phi)
        depth = depth if depth_multiplier is None else depth_multiplier
        width = width if width_multiplier is None else width_multiplier
        scaled = partial(round_channels, multiplier=width)
        builder = EfficientNetBuilder(
            round_chs_fn=scaled,
            act_layer=nn.SiLU,
            norm_layer=nn.BatchNorm2d,
            se_layer=SqueezeExcite,
            drop_path_rate=drop_path,
        )
        stem_width = scaled(32)
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, stem_width, 3, stride=2, padding=1, bias=False),
            BatchNormAct2d(stem_width, act_layer=nn.SiLU),
        )
        rows = [[row] for stage in B0_STAGES for row in stage]  # each row is scaled by itself
        built = iter(builder(stem_width, decode_arch_def(rows, depth)))
        for info, stage_rows in zip(builder.features, B0_STAGES, strict=True):
            blocks = [block for _ in stage_rows for block in next(built)]
            self.add_stage(nn.Sequential(*blocks), info["num_chs"], info["reduction"])
        self.head = ConvHead(self.num_features, scaled(1280), num_classes, dropout)
        efficientnet_init_weights(self)


@register_model
def efficientnet_scaled(pretrained: bool = False, **kwargs: Any) -> EfficientNetScaled:
    """EfficientNet-B0 without knobs: 5.29 M parameters, 385.8 M MACs at 3x224x224."""
    size = image_size(kwargs.get("phi", 0.0), kwargs.get("resolution_multiplier"))
    overlay = kwargs.pop("pretrained_cfg_overlay", None) or {}
    return build_model_with_cfg(
        EfficientNetScaled,
        "efficientnet_scaled",
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2, 3, 4)},
        pretrained_cfg_overlay={"input_size": (3, size, size)} | overlay,
        **kwargs,
    )
