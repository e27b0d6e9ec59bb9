"""AlexNet: five convolutions, three fully connected layers (Krizhevsky et al. 2012; decks 0-3).

Stages 1-3 end at conv1, conv2 and conv5 and reduce the image by 4, 8, 16.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from cnnlab.backbones.blocks import FullyConnected, init_as_alexnet, local_response_norm
from cnnlab.backbones.default_cfgs import IMAGENET_CFG
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["AlexNet"]

_CFG = IMAGENET_CFG | {"input_size": (3, 227, 227), "crop_pct": 0.887, "first_conv": "stage1.0"}
default_cfgs = generate_default_cfgs({"alexnet_grouped": _CFG, "alexnet": _CFG})

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
}


class AlexNet(StagedNet):
    """The paper's net, or the simplified one of deck 1.

    The paper splits conv2, conv4 and conv5 between two GPUs (`groups=2`) and normalises before it
    pools; deck 1 draws one column and normalises after pooling. Weights begin at N(0, 0.01);
    biases at 1 in conv2, conv4, conv5, fc6 and fc7, else at 0 (section 5). Classifies images of
    227x227 to 258x258 pixels; as a feature extractor, any size from 35x35.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        groups: of conv2, conv4 and conv5.
        pool_first: normalisation after pooling, not before it (deck 1).
        activation: the paper's ReLU, or the tanh that Fig. 1 compares it with.
        dropout: of fc6 and fc7.

    Raises:
        UserError: groups that do not divide the channels; an unknown activation.
    """

    sides = range(227, 259)  # whose pooled maps are 6x6

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        groups: int = 2,
        pool_first: bool = False,
        activation: Literal["relu", "tanh"] = "relu",
        dropout: float = 0.5,
    ) -> None:
        super().__init__(num_classes)
        if groups not in (1, 2, 4, 8, 16, 32):
            raise UserError(f"model.groups={groups}: must be 1, 2, 4, 8, 16 or 32")
        if activation not in _ACTIVATIONS:
            raise UserError(f"model.activation={activation}: must be relu or tanh")
        act = _ACTIVATIONS[activation]
        conv1 = nn.Conv2d(in_chans, 96, 11, stride=4)
        conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=groups)
        conv3 = nn.Conv2d(256, 384, 3, padding=1)
        conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=groups)
        conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=groups)

        def pool() -> list[nn.Module]:
            return [nn.MaxPool2d(3, 2), *norm(pool_first)]

        def norm(here: bool) -> list[nn.Module]:
            return [local_response_norm()] if here else []

        stage1 = [conv1, act(), *norm(not pool_first)]
        stage2 = [*pool(), conv2, act(), *norm(not pool_first)]
        stage3 = [*pool(), conv3, act(), conv4, act(), conv5, act()]
        self.add_stage(nn.Sequential(*stage1), channels=96, reduction=4)
        self.add_stage(nn.Sequential(*stage2), channels=256, reduction=8)
        self.add_stage(nn.Sequential(*stage3), channels=256, reduction=16)
        self.head = FullyConnected(256, num_classes, dropout, act)
        init_as_alexnet(self)
        for layer in (conv2, conv4, conv5, self.head.fc6, self.head.fc7):
            nn.init.ones_(layer.bias)  # type: ignore[arg-type]  # torch types a bias as maybe None


def _build(name: str, pretrained: bool, **kwargs: Any) -> AlexNet:
    features = {"out_indices": (0, 1, 2)}
    return build_model_with_cfg(AlexNet, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def alexnet_grouped(pretrained: bool = False, **kwargs: Any) -> AlexNet:
    """60.97 M parameters, 0.724 G MACs at 227x227: the paper's net, two groups."""
    return _build("alexnet_grouped", pretrained, **kwargs)


@register_model
def alexnet(pretrained: bool = False, **kwargs: Any) -> AlexNet:
    """62.38 M parameters, 1.135 G MACs at 227x227: one column, as deck 1 draws it."""
    return _build("alexnet", pretrained, **{"groups": 1, "pool_first": True} | kwargs)
