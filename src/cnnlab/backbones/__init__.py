"""Nets by name: timm's and, registered here with timm, ours."""

from cnnlab.backbones import lenet, resnet_cifar  # noqa: F401  (registers them)
from cnnlab.backbones.create import create

__all__ = ["create"]
