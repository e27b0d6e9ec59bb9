"""Wide residual nets for 32x32 images (Zagoruyko and Komodakis 2016, arXiv:1605.07146; deck 2).

WRN-d-k: a pre-activation net of two-layer blocks with k times the channels: 16, then 16k, 32k and
64k, n blocks a stage, 6n + 4 layers (the three projections count). Stages 1-3 reduce the image by
1, 2, 4.
"""

from functools import partial
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

from cnnlab.backbones.blocks import count_blocks
from cnnlab.backbones.default_cfgs import CIFAR_CFG
from cnnlab.backbones.preresnet_cifar import PreActNet, basic_path
from cnnlab.errors import UserError

__all__ = ["WRNCifar"]

_NAMES = (
    "wrn_cifar", "wrn40_1", "wrn40_2", "wrn40_4", "wrn40_8", "wrn28_10", "wrn28_12", "wrn22_8",
    "wrn22_10", "wrn16_8", "wrn16_10",
)  # fmt: skip
default_cfgs = generate_default_cfgs({name: CIFAR_CFG | {"first_conv": "stem"} for name in _NAMES})


class WRNCifar(PreActNet):
    """WRN-depth-widen, as in the released code: projections without BN where channels change.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        depth: layers with weights, 6n + 4.
        widen: the paper's k, times the channels of every stage.
        dropout: between the two convolutions of a block (0.3 in the paper, where used).
        drop_path: stochastic depth (Huang et al. 2016, arXiv:1603.09382): the last block's
            probability to be dropped, by sample; block l of L has l/L of it.
        se: squeeze-and-excitation of each block's path, before the addition.
        se_reduction: its channels by those of the layer between.

    Raises:
        UserError: a depth that is not 6n + 4; a factor below 1.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 10,
        depth: int = 28,
        widen: int = 10,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        se: bool = False,
        se_reduction: int = 16,
    ) -> None:
        if widen < 1:
            raise UserError(f"model.widen={widen}: must be at least 1")
        super().__init__(
            in_chans,
            num_classes,
            widths=(16, 16 * widen, 32 * widen, 64 * widen),
            blocks=count_blocks(depth, layers=6, others=4),
            path=partial(basic_path, dropout=dropout),
            project=True,
            drop_path=drop_path,
            se=se,
            se_reduction=se_reduction,
        )


def _build(name: str, pretrained: bool, **kwargs: Any) -> WRNCifar:
    features = {"out_indices": (0, 1, 2)}
    return build_model_with_cfg(WRNCifar, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def wrn_cifar(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """Any `depth` 6n + 4 and `widen`."""
    return _build("wrn_cifar", pretrained, **kwargs)


@register_model
def wrn40_1(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """0.56 M parameters (the paper prints 0.6), 83.3 M MACs at 32x32 (Table 4)."""
    return _build("wrn40_1", pretrained, depth=40, widen=1, **kwargs)


@register_model
def wrn40_2(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """2.2 M parameters, 327.6 M MACs at 32x32 (Table 4)."""
    return _build("wrn40_2", pretrained, depth=40, widen=2, **kwargs)


@register_model
def wrn40_4(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """8.9 M parameters, 1.299 G MACs at 32x32 (Table 4)."""
    return _build("wrn40_4", pretrained, depth=40, widen=4, **kwargs)


@register_model
def wrn40_8(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """35.7 M parameters, 5.172 G MACs at 32x32 (Table 4)."""
    return _build("wrn40_8", pretrained, depth=40, widen=8, **kwargs)


@register_model
def wrn28_10(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """36.5 M parameters, 5.243 G MACs at 32x32 (Table 4)."""
    return _build("wrn28_10", pretrained, depth=28, widen=10, **kwargs)


@register_model
def wrn28_12(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """52.5 M parameters, 7.544 G MACs at 32x32 (Table 4)."""
    return _build("wrn28_12", pretrained, depth=28, widen=12, **kwargs)


@register_model
def wrn22_8(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """17.2 M parameters, 2.454 G MACs at 32x32 (Table 4)."""
    return _build("wrn22_8", pretrained, depth=22, widen=8, **kwargs)


@register_model
def wrn22_10(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """26.8 M parameters, 3.828 G MACs at 32x32 (Table 4)."""
    return _build("wrn22_10", pretrained, depth=22, widen=10, **kwargs)


@register_model
def wrn16_8(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """11.0 M parameters, 1.548 G MACs at 32x32 (Table 4)."""
    return _build("wrn16_8", pretrained, depth=16, widen=8, **kwargs)


@register_model
def wrn16_10(pretrained: bool = False, **kwargs: Any) -> WRNCifar:
    """17.1 M parameters, 2.412 G MACs at 32x32 (Table 4)."""
    return _build("wrn16_10", pretrained, depth=16, widen=10, **kwargs)
