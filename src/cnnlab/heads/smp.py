"""The decoders of segmentation_models_pytorch (smp, Iakubovskii 2019) over any backbone.

Each decoder's file under conf/head names its paper.
"""

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cnnlab.errors import UserError, nearest
from cnnlab.heads.segmentation import SegmentationHead

Architecture = Literal[
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "pan", "deeplabv3",
    "deeplabv3plus", "upernet", "segformer",
]  # fmt: skip


class SmpDecoder(SegmentationHead):
    """smp's decoder and scores over the backbone's maps of strides 2, 4, 8, ...

    smp wants strides that double from 1, 2 or 4 on, each decoder with limits of its own. A net of
    others is adapted, by the first of these that the decoder takes: the last map enlarged to
    stride 16 (DeepLab over a net that is not dilated; `+model.knobs.output_stride=16` dilates those
    of timm that can), further maps by 3x3 convolutions of stride 2 (nets of small images), each map
    resized to the stride that doubles (ViTs; dilated nets under `fpn`).

    As in smp, a missing finer map is one without channels, and a map of stride 1 is read by `fpn`
    alone. Images are padded with zeros, right and below, to a multiple of the last stride (for
    `pan` to 8 times it at least, since it halves the last map three times), and the logits cropped.

    smp's `dpt` is left out: it reads the class token of a ViT, which is in no map.

    Args:
        backbone: makes the net, see `SegmentationHead`.
        num_classes: K.
        in_chans: image channels.
        decoder: smp's architecture.
        depth: maps used, from the finest on; None: all that the backbone has.
        arguments: those of smp's class that begin with `decoder_` or `psp_`. The default of
            `decoder_channels` gives each stride the same width at any depth.

    Raises:
        UserError: maps that this decoder cannot be given; an unknown argument, or a value that smp
            refuses. When learning: one image a batch, where a BatchNorm comes after a pooling to
            one pixel.
    """

    def __init__(
        self,
        backbone: Callable[..., nn.Module],
        num_classes: int,
        in_chans: int,
        *,
        decoder: Architecture,
        depth: int | None,
        arguments: dict[str, Any],
    ) -> None:
        super().__init__(backbone, num_classes, in_chans, depth)
        self.architecture = decoder
        allowed = _parameters(decoder)
        for key, value in arguments.items():
            if key not in allowed:
                near = nearest(key, allowed) or f"; allowed: {', '.join(allowed) or 'none'}"
                raise UserError(f"head.arguments.{key}={value}: {decoder} has no such one{near}")
        self.strides = self._strides(arguments)
        width = self.channels[-1]
        more = len(self.strides) - len(self.channels)
        self.further = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(more))
        # These two names are smp's, so that its weights fit.
        self.decoder, self.segmentation_head = _build(
            decoder, [*self.channels, *[width] * more], self.strides, num_classes, arguments
        )

    def _strides(self, arguments: dict[str, Any]) -> list[int]:
        """Of the maps that the decoder gets; more than the net has: made by `further`."""
        own, reasons = self.reductions, []
        for strides in _candidates(own):
            channels = [*self.channels, *self.channels[-1:] * (len(strides) - len(own))]
            why = _refusal(self.architecture, channels, strides, arguments)
            if not why:
                return strides
            if arguments and not _refusal(self.architecture, channels, strides, {}):
                raise UserError(f"head.arguments={arguments}: {self.architecture} refuses: {why}")
            reasons.append(why)
        raise UserError(
            f"head.decoder={self.architecture}: does not work over maps of strides "
            f"{', '.join(map(str, own))}: {reasons[0]}; our own heads (unet, fcn) take any"
        )

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        last = self.strides[-1]
        least = 8 * last if self.architecture == "pan" else last
        below, right = (max(least - side, -side % last) for side in (height, width))
        padded = F.pad(images, (0, right, 0, below))
        size = padded.shape[-2:]
        try:
            maps = self.maps(padded)
            for further in self.further:
                maps = [*maps, further(maps[-1])]
            fitted = [
                _fitted(x, (size[0] // stride, size[1] // stride))
                for x, stride in zip(maps, self.strides, strict=True)
            ]
            x = self.decode(fitted)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise UserError(
                f"head.decoder={self.architecture}: learns from 2 images a batch or more "
                f"(BatchNorm over maps of 1x1), got {len(images)} of {height}x{width}"
            ) from error
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bilinear", align_corners=True)  # as smp does
        return x[..., :height, :width]

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return (self.segmentation_head,)

    def decode(self, maps: list[Tensor]) -> Tensor:
        finest, stride = maps[0], self.strides[0]
        height, width = (side * stride for side in finest.shape[-2:])
        missing = [
            finest.new_empty(len(finest), 0, height // finer, width // finer)
            for finer in _missing(stride)
        ]
        logits: Tensor = self.segmentation_head(self.decoder([*missing, *maps]))
        return logits


def _candidates(own: list[int]) -> Iterator[list[int]]:
    """Strides to try, the net's own first."""
    doubling = [min(own[0], 4) * 2**level for level in range(len(own))]
    if own[0] in (1, 2, 4) and own == [min(stride, own[-1]) for stride in doubling]:
        yield own
        if own[-1] > 16:
            yield [*own[:-1], 16]
    if own == doubling:
        for more in range(1, 5):
            yield [own[0] * 2**level for level in range(len(own) + more)]
    else:
        yield doubling


class _Encoder(nn.Module):
    """What smp's classes ask an encoder while they build the decoder: the maps' channels."""

    def __init__(self, out_channels: Sequence[int], depth: int, output_stride: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def set_in_channels(self, in_channels: int, pretrained: bool) -> None:
        """Nothing: our net has them."""

    def make_dilated(self, output_stride: int) -> None:
        """Nothing: our net has the strides that it has."""


def _fitted(x: Tensor, size: tuple[int, int]) -> Tensor:
    """`x` at `size`: not every net ends at side / stride where that is whole (AlexNet)."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear")


def _missing(first_stride: int) -> list[int]:
    """The strides, from 1 on, that smp counts and the net has no map of."""
    return [stride for stride in (1, 2) if stride < first_stride]


def _parameters(decoder: str) -> dict[str, Any]:
    """The arguments of smp's class that are for the user to give, and their defaults."""
    parameters = inspect.signature(smp.MODEL_ARCHITECTURES_MAPPING[decoder].__init__).parameters
    return {n: p.default for n, p in parameters.items() if n.startswith(("decoder_", "psp_"))}


def _build(
    decoder: str,
    channels: Sequence[int],
    strides: Sequence[int],
    num_classes: int,
    arguments: dict[str, Any],
) -> tuple[nn.Module, nn.Module]:
    """Decoder and head of scores as smp builds them; the scores are not enlarged."""
    make = smp.MODEL_ARCHITECTURES_MAPPING[decoder]
    out_channels = [*(0 for _ in _missing(strides[0])), *channels]
    depth = len(out_channels) - 1
    known = inspect.signature(make.__init__).parameters
    own: dict[str, Any] = {"encoder_output_stride": strides[-1], "upsampling": 1}
    given = {key: value for key, value in own.items() if key in known}
    widths = _parameters(decoder).get("decoder_channels")
    if isinstance(widths, tuple):
        given["decoder_channels"] = widths[-depth:]
    # smp's classes know which of their arguments are their decoder's, so they build it, and take
    # encoders by name only: ours is in smp's table as long as that takes.
    name = "cnnlab"

    def encoder(depth: int, output_stride: int) -> nn.Module:
        return _Encoder(out_channels, depth, output_stride)

    smp.encoders.encoders[name] = {"encoder": encoder, "params": {}}
    try:
        net = make(
            encoder_name=name,
            encoder_weights=None,
            encoder_depth=depth,
            classes=num_classes,
            **(given | arguments),
        )
    finally:
        del smp.encoders.encoders[name]
    return net.decoder, net.segmentation_head


def _refusal(
    decoder: str, channels: Sequence[int], strides: Sequence[int], arguments: dict[str, Any]
) -> str:
    """Why this decoder does not work over such maps; empty where it does.

    smp checks little when it builds, so the decoder is run once, on the meta device.
    """
    side = 8 * strides[-1]  # the least that pan takes
    levels = [
        *((0, stride) for stride in _missing(strides[0])),
        *zip(channels, strides, strict=True),
    ]
    # smp initialises weights without elements with a warning; they are refused here.
    with torch.device("meta"), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            net = nn.Sequential(*_build(decoder, channels, strides, 2, arguments)).eval()
            if any(parameter.numel() == 0 for parameter in net.parameters()):
                return "it needs finer maps"
            net([torch.empty(1, width, side // stride, side // stride) for width, stride in levels])
        except Exception as error:  # smp raises many kinds, its layers more
            if type(error) is RuntimeError and strides[-1] in strides[:-1]:
                return "it wants no equal strides"  # torch tells of sizes only
            return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
    return ""
