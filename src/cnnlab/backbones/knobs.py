"""What a model's config may turn, in the papers' words; the one list of all families' knobs."""

from typing import Any, Literal, TypedDict


class Knobs(TypedDict, total=False):
    """Optional arguments of `create`; one that is absent or None is no argument of the net.

    A net has those that its constructor takes. Read statically by `cnnlab.config`.
    """

    image_size: int | None
    """The side in pixels that the net is made for, where it is not the one timm has for it; nets
    with a table of positions are built for it (ViT), others only tell the data."""
    groups: int | None
    """Of the 3x3 convolution (ResNeXt), of conv2, 4, 5 (AlexNet), of the 1x1 (ShuffleNet)."""
    width_per_group: int | None
    """Its channels a group in the first stage (ResNeXt)."""
    layers: list[int] | None
    """Blocks of each stage (ResNet)."""
    depths: list[int] | None
    """Blocks of each stage (ConvNeXt)."""
    dims: list[int] | None
    """Channels of each stage (ConvNeXt)."""
    kernel_sizes: int | list[int] | None
    """Of the depthwise convolution, one or one a stage (ConvNeXt)."""
    depth: int | None
    """Layers with weights (CIFAR nets); blocks (ViT, RegNet)."""
    width: int | float | None
    """Channels of the first stage (CIFAR nets); times the channels of every layer (MobileNet)."""
    shortcut: Literal["A", "B", "none"] | None
    """Where channels change: zero padding, a projection, or no shortcut at all."""
    drop_path: float | None
    """Stochastic depth: the last block's probability to be dropped."""
    widths: list[int] | None
    """Channels of each stage (AnyNet)."""
    bottleneck_ratio: float | list[float] | None
    """Width outside by inside a block, one or one a stage (RegNet)."""
    group_width: int | list[int] | None
    """Channels of a group, one or one a stage (RegNet)."""
    se_ratio: float | None
    """Squeezed channels by the block's input channels; 0: no squeeze-and-excitation (RegNet)."""
    w0: int | None
    """Width where the line starts (RegNet)."""
    wa: float | None
    """Growth of the width from block to block (RegNet)."""
    wm: float | None
    """Factor between the widths of stages (RegNet)."""
    genotype: dict[str, Any] | None
    """`normal` and `reduction`, each with `blocks` and `concat` (NASNet)."""
    cells: int | None
    """Normal cells of each stage, the paper's N (NASNet)."""
    skip_reduction_input: bool | None
    """A cell after a reduction skips back over it (NASNet)."""
    phi: float | None
    """Compound coefficient; sets all three multipliers that are not given (EfficientNet)."""
    depth_multiplier: float | None
    """Times the blocks of each stage (EfficientNet)."""
    width_multiplier: float | None
    """Times the channels of each layer (EfficientNet)."""
    resolution_multiplier: float | None
    """Times the image's side of 224 pixels (EfficientNet, MobileNet)."""
    patchify: bool | None
    """A 4x4 stem of stride 4 (ConvNeXt walk)."""
    inverted: bool | None
    """Inverted bottleneck: the wide layer inside (ConvNeXt walk)."""
    depthwise_first: bool | None
    """The depthwise convolution before the 1x1 ones (ConvNeXt walk)."""
    fewer_activations: bool | None
    """One activation a block (ConvNeXt walk)."""
    fewer_norms: bool | None
    """One normalisation a block (ConvNeXt walk)."""
    norm: Literal["BN", "LN"] | None
    """BatchNorm or LayerNorm (ConvNeXt walk)."""
    separate_downsampling: bool | None
    """2x2 convolutions between the stages (ConvNeXt walk)."""
    layer_scale: float | None
    """First factor on each block's path; null: none (ConvNeXt walk)."""
    dropout: float | None
    """Before the classifier; in WRN between the convolutions of a block."""
    se: bool | None
    """Squeeze-and-excitation on each block's path, before the addition."""
    se_reduction: int | None
    """Its channels by those of the layer between, 16 in the paper."""
    bottleneck: bool | None
    """Blocks of three layers (1x1, 3x3, 1x1), or of two."""
    stride_in: Literal["1x1", "3x3"] | None
    """The convolution of a bottleneck that has the stride: v1 or v1.5."""
    widen: int | None
    """Times the channels of every stage (WRN's k)."""
    shuffle: bool | None
    """Shuffle channels between groups (ShuffleNet)."""
    shallow: bool | None
    """Half the units of each stage (ShuffleNet); without five layers of 512 (MobileNet)."""
    depthwise: bool | None
    """false: full 3x3 convolutions (MobileNet); true: one group a channel (ConvNeXt walk)."""
    relu6: bool | None
    """ReLU cut at 6 (MobileNet)."""
    expansion: int | list[list[int]] | None
    """Shifted by output channels, one or of each stage its first and other units (shift nets)."""
    growth_rate: int | None
    """Channels that each layer of a dense block adds (DenseNet)."""
    block_config: list[int] | None
    """Layers of each dense block (DenseNet)."""
    aux: bool | None
    """Auxiliary heads in training (GoogLeNet)."""
    pool_first: bool | None
    """Normalisation after pooling, not before it (AlexNet)."""
    activation: Literal["relu", "tanh", "gelu"] | None
    """After each layer: relu, or tanh (AlexNet), gelu (ConvNeXt walk)."""
    filters: int | list[int] | None
    """Of conv3, conv4, conv5 (ZFNet); of the first cells' operations, F (NASNet)."""
    batch_norm: bool | None
    """BatchNorm after each convolution of a fire module (SqueezeNet)."""
    squeeze_ratio: float | None
    """Squeeze filters by expand filters (SqueezeNet)."""
    pct_3x3: float | None
    """Share of 3x3 among the expand filters (SqueezeNet)."""
    base: str | None
    """timm's name of the plain net, such as seresnet50 (deform_resnet)."""
    deform: int | None
    """How many of the last 3x3 convolutions are deformable (deformable ResNet)."""
    dg: int | None
    """Groups of channels with offsets of their own (deformable ResNet)."""
    output_stride: int | None
    """32, 16 or 8: stages that would reduce further are dilated (ResNet)."""


TIMM_WORDS = {
    "groups": "cardinality",
    "width_per_group": "base_width",
    "drop_path": "drop_path_rate",
    "dropout": "drop_rate",
}
"""The papers' words where timm's own nets have others."""
