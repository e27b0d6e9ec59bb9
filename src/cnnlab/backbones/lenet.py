"""LeNet-5: convolution, subsampling, fully connected (LeCun et al. 1998, sec. II-B; deck 3).

The modern form: C3 sees all maps of S2, subsampling is a plain average, the output is linear.
"""

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["LeNet5Modern"]

default_cfgs = generate_default_cfgs(
    {
        "lenet5_modern": {
            "input_size": (1, 32, 32),
            "num_classes": 10,
            "mean": (0.1307,),  # MNIST
            "std": (0.3081,),
            "crop_pct": 1.0,
            "interpolation": "bilinear",
            "first_conv": "stage1.0",
            "classifier": "head.fc",
        }
    }
)


class FullyConnected(nn.Module):
    """C5 (5x5 over a 5x5 map), F6, output. `(B, 16, 5, 5) -> (B, num_classes)`."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.reset(num_classes)

    def reset(self, num_classes: int) -> None:
        """A fresh output layer; none for 0 classes."""
        self.fc = nn.Linear(84, num_classes) if num_classes else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[-2:] != (5, 5):
            height, width = features.shape[-2:]
            raise UserError(
                "model.name=lenet5_modern classifies images of 32x32 to 35x35 pixels (its fully "
                f"connected layers need 5x5 maps); these images give {height}x{width}"
            )
        c5 = self.c5(features).tanh().flatten(1)
        return self.fc(self.f6(c5).tanh())


class LeNet5Modern(StagedNet):
    """5x5 convolution, tanh, 2x2 average, twice (no padding); three fully connected layers.

    Reads 32x32 digits; as a feature extractor, images of any size from 16x16.
    """

    def __init__(self, in_chans: int = 1, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.add_stage(_convolve_and_average(in_chans, 6), channels=6, reduction=2)
        self.add_stage(_convolve_and_average(6, 16), channels=16, reduction=4)
        self.head = FullyConnected(num_classes)


def _convolve_and_average(in_chans: int, out_chans: int) -> nn.Sequential:
    """(B, C, H, W) -> (B, C', (H - 4) // 2, (W - 4) // 2)."""
    return nn.Sequential(nn.Conv2d(in_chans, out_chans, 5), nn.Tanh(), nn.AvgPool2d(2))


@register_model
def lenet5_modern(pretrained: bool = False, **kwargs: Any) -> LeNet5Modern:
    """61,706 parameters, 0.42 M MACs at 1x32x32."""
    return build_model_with_cfg(
        LeNet5Modern, "lenet5_modern", pretrained, feature_cfg={"out_indices": (0, 1)}, **kwargs
    )
