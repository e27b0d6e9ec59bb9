"""GoogLeNet: branches of 1x1, 3x3, 5x5 and pooling (Szegedy et al. 2014, arXiv:1409.4842).

As in Table 1 (decks 1, 3): a real 5x5, local response normalisation, no BatchNorm. Stages 1-5
reduce the image by 2, 4, 8, 16, 32.
"""

from itertools import chain
from typing import Any

import torch
from timm.layers import ClassifierHead
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["GoogLeNet"]

default_cfgs = generate_default_cfgs({"googlenet": IMAGENET_CFG | {"first_conv": "stage1.0"}})

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj; stages 3, 4, 5.
_TABLE_1 = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def _conv(in_chans: int, out_chans: int, size: int) -> nn.Sequential:
    """Convolution that keeps the image's size, ReLU."""
    conv = nn.Conv2d(in_chans, out_chans, size, padding=size // 2)
    return nn.Sequential(conv, nn.ReLU(inplace=True))


def _norm() -> nn.LocalResponseNorm:
    """The paper gives no constants; these are those of BVLC's Caffe net, which divides by n too."""
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


class Inception(nn.Module):
    """Four branches side by side (Fig. 2b): 1x1; 1x1, 3x3; 1x1, 5x5; 3x3 max-pooling, 1x1.

    (B, C, H, W) -> (B, #1x1 + #3x3 + #5x5 + pool proj, H, W)
    """

    def __init__(self, in_chans: int, row: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        out1x1, reduce3x3, out3x3, reduce5x5, out5x5, pool_proj = row
        self.branch1x1 = _conv(in_chans, out1x1, 1)
        self.branch3x3 = _conv(in_chans, reduce3x3, 1) + _conv(reduce3x3, out3x3, 3)
        self.branch5x5 = _conv(in_chans, reduce5x5, 1) + _conv(reduce5x5, out5x5, 5)
        self.branch_pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), *_conv(in_chans, pool_proj, 1))

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.branch1x1, self.branch3x3, self.branch5x5, self.branch_pool)
        return torch.cat([branch(x) for branch in branches], dim=1)


class AuxiliaryHead(nn.Module):
    """5x5 average of stride 3, 1x1, fully connected, dropout, linear (section 5).

    (B, C, 14, 14) -> (B, num_classes)
    """

    def __init__(self, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.AvgPool2d(5, 3), *_conv(in_chans, 128, 1))
        self.fc1 = nn.Sequential(nn.Linear(128 * 4 * 4, 1024), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(0.7)
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A fresh last layer; none for 0 classes."""
        self.fc = nn.Linear(1024, num_classes) if num_classes else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        if not {height, width}.issubset(range(14, 17)):  # those that the pool makes 4x4
            raise UserError(
                "model.aux=true: the auxiliary heads of googlenet train on images of 223x223 to "
                f"270x270 pixels (they need 14x14 to 16x16 maps); these give {height}x{width}"
            )
        return self.fc(self.dropout(self.fc1(self.conv(maps).flatten(1))))


class GoogLeNet(StagedNet):
    """The net of Table 1.

    Weights begin as in BVLC's Caffe net, since the paper does not say: uniform with variance
    1 / fan-in, biases 0.2, the last layers' 0. Any size as classifier and as feature extractor.

    `(B, in_chans, H, W) -> (B, num_classes)`; with `aux` in training
    `(logits, [auxiliary, auxiliary])`, each `(B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        aux: two auxiliary heads, after inception 4a and 4d. In training `forward` returns
            `(logits, [logits of 4a, logits of 4d])`, in evaluation logits alone.
        dropout: before the classifier.

    Attributes:
        aux_weight: of each auxiliary head's loss, beside 1 for the classifier's.
    """

    aux_weight = 0.3

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        aux: bool = False,
        dropout: float = 0.4,
    ) -> None:
        super().__init__(num_classes)
        stem = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3)
        self.add_stage(nn.Sequential(stem, nn.ReLU(inplace=True)), channels=64, reduction=2)
        stage2 = nn.Sequential(_pool(), _norm(), *_conv(64, 64, 1), *_conv(64, 192, 3), _norm())
        self.add_stage(stage2, channels=192, reduction=4)
        chans = 192
        for index, rows in enumerate(_TABLE_1):
            stage = nn.Sequential(_pool())
            for row in rows:
                stage.append(Inception(chans, row))
                chans = row[0] + row[2] + row[4] + row[5]
            self.add_stage(stage, channels=chans, reduction=8 * 2**index)
        self.head = ClassifierHead(chans, num_classes, drop_rate=dropout)
        # After the head: what runs only in training must not stand among the stages.
        taps = [AuxiliaryHead(512, num_classes), AuxiliaryHead(528, num_classes)] if aux else []
        self.aux = nn.ModuleList(taps) if aux else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="linear")
                # torch types a bias as maybe None.
                nn.init.constant_(module.bias, 0.2)  # type: ignore[arg-type]
        heads: list[Any] = [self.head, *taps] if num_classes else []
        for head in heads:
            nn.init.zeros_(head.fc.bias)

    def forward(self, images: Tensor) -> Any:
        if self.aux is None or not self.training:
            return super().forward(images)
        stage4: Any = self.stage4
        heads = dict(zip((stage4[1], stage4[4]), self.aux, strict=True))  # after 4a, after 4d
        auxiliary, maps = [], images
        for block in chain.from_iterable(stage.children() for stage in self.trunk()):
            maps = block(maps)
            if block in heads:
                auxiliary.append(heads[block](maps))
        return self.forward_head(maps), auxiliary

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Fresh last layers, the auxiliary heads' too, for `num_classes`; 0 removes them."""
        super().reset_classifier(num_classes, global_pool)
        for head in self.aux or ():
            # nn.Module types attributes as Tensor or Module.
            head.reset(num_classes)  # type: ignore[operator]


def _pool() -> nn.MaxPool2d:
    """3x3 of stride 2, rounded up: 112 -> 56 -> 28 -> 14 -> 7."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


@register_model
def googlenet(pretrained: bool = False, **kwargs: Any) -> GoogLeNet:
    """7.00 M parameters, 1.583 G MACs at 224x224; 13.38 M with the auxiliary heads."""
    features = {"out_indices": (0, 1, 2, 3, 4)}
    return build_model_with_cfg(GoogLeNet, "googlenet", pretrained, feature_cfg=features, **kwargs)
