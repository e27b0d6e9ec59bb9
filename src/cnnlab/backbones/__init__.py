"""Nets by name: timm's and, registered here with timm, ours."""

from cnnlab.backbones import (  # noqa: F401  (registers them)
    alexnet,
    anynet,
    convnext_walk,
    deformable,
    efficientnet_scaled,
    fcn_vgg,
    googlenet,
    lenet,
    mcunet,
    mobilenet_v1,
    nasnet_a,
    preresnet_cifar,
    resnet_cifar,
    resnet_v1,
    resnext_cifar,
    shiftnet,
    shiftresnet_cifar,
    shufflenet_v1,
    squeezenet,
    unet_valid,
    wrn_cifar,
    zfnet,
)
from cnnlab.backbones.create import create

__all__ = ["create"]
