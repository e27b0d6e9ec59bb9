"""What timm wants to know of a net: the entry that most families share."""

from typing import Any

IMAGENET_CFG: dict[str, Any] = {
    "input_size": (3, 224, 224),
    "num_classes": 1000,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "crop_pct": 0.875,
    "interpolation": "bilinear",
    "first_conv": "stem.0",
    "classifier": "head.fc",
}
"""Of a net for ImageNet."""

CIFAR_CFG: dict[str, Any] = IMAGENET_CFG | {
    "input_size": (3, 32, 32),
    "num_classes": 10,
    "mean": (0.4914, 0.4822, 0.4465),  # CIFAR-10
    "std": (0.2470, 0.2435, 0.2616),
    "crop_pct": 1.0,
}
"""Of a net for 32x32 images."""
