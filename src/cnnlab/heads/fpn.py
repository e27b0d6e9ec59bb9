"""Feature pyramid: every map with the same channels, coarser ones added (Lin et al. 2017)."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock


class Continued(ExtraFPNBlock):
    """Coarser levels by 3x3 convolutions of stride 2, the first from the pyramid's coarsest.

    As RetinaNet's P6 and P7 (Lin et al. 2017, section 4) with a ReLU before all but the first;
    from the pyramid and not from the backbone's map, as torchvision has it.

    Args:
        width: channels.
        count: of levels to add.
    """

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_halving(width) for _ in range(count))

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        for i, conv in enumerate(self.convs):
            results.append(conv(results[-1] if i == 0 else F.relu(results[-1])))
            names.append(f"continued{i}")
        return results, names


def _halving(width: int) -> nn.Conv2d:
    conv = nn.Conv2d(width, width, 3, 2, 1)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


class FPN(nn.Module):
    """Maps of any channels to `levels` maps of `width` channels.

    A finer map gets the next coarser one, enlarged to its size by nearest neighbours, whatever the
    factor; a 3x3 convolution smooths each sum.

    Args:
        channels: of the maps, the finest first.
        width: of the result.
        levels: how many maps come out, at least as many as go in.
    """

    def __init__(self, channels: Sequence[int], width: int, levels: int) -> None:
        super().__init__()
        more = levels - len(channels)
        extra = Continued(width, more) if more > 0 else None
        self.pyramid = FeaturePyramidNetwork(list(channels), width, extra)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        named = OrderedDict((str(i), x) for i, x in enumerate(maps))
        return list(self.pyramid(named).values())
