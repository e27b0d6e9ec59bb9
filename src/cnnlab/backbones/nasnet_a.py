"""NASNet: a net of two searched cells (Zoph et al. 2018, arXiv:1707.07012; decks 0, 1, 4).

A genotype, plain data, says what the normal and the reduction cell compute, so other cells plug in.
Stages 1-5 reduce the image by 2, 4, 8, 16, 32; those of the net for 32x32 images by 1, 2, 4.
"""

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import torch
from timm.layers import ClassifierHead, DropPath
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import Tensor, nn

from cnnlab.backbones.default_cfgs import CIFAR_CFG, IMAGENET_CFG
from cnnlab.backbones.nasnet_operations import (
    OPERATIONS,
    FactorizedReduction,
    batch_norm,
    relu_conv_bn,
)
from cnnlab.backbones.staged import StagedNet
from cnnlab.errors import UserError

__all__ = ["NASNet"]

default_cfgs = generate_default_cfgs(
    {
        "nasnet_a_mobile": IMAGENET_CFG | {"first_conv": "stage1.0.0"},
        "nasnet_a_large": IMAGENET_CFG | {"input_size": (3, 331, 331), "first_conv": "stage1.0.0"},
        "nasnet_a_cifar": CIFAR_CFG,
    }
)

NASNET_A: dict[str, dict[str, Any]] = {
    "normal": {
        "blocks": [
            [["sep_5x5", 0], ["sep_3x3", 1]],
            [["sep_5x5", 1], ["sep_3x3", 1]],
            [["avg_pool_3x3", 0], ["identity", 1]],
            [["avg_pool_3x3", 1], ["avg_pool_3x3", 1]],
            [["sep_3x3", 0], ["identity", 0]],
        ],
        "concat": [1, 2, 3, 4, 5, 6],
    },
    "reduction": {
        "blocks": [
            [["sep_5x5", 0], ["sep_7x7", 1]],
            [["max_pool_3x3", 0], ["sep_7x7", 1]],
            [["avg_pool_3x3", 0], ["sep_5x5", 1]],
            [["identity", 3], ["avg_pool_3x3", 2]],
            [["sep_3x3", 2], ["max_pool_3x3", 0]],
        ],
        "concat": [3, 4, 5, 6],
    },
}
"""The paper's cells (Fig. 4). A block is `[[operation, state], [operation, state]]`, added, or with
a third entry "concat" concatenated. State 0 is the previous cell's output, 1 that of the cell
before it, 2 the first block ... `concat` lists the states that make the output."""


Place = tuple[int, int]
"""Channels of a cell's input, and by how much it is smaller than the image."""


class Cell(nn.Module):
    """A normal (stride 1) or reduction (stride 2) cell; all blocks make `filters` channels.

    ((B, C, H, W), (B, C'', H'', W'') or None) -> (B, C', H/s, W/s). The second input is the output
    of the cell before the previous one; without it, the first input takes its place, as it is.
    The next cell's second input is this one's first, or with `skips` this one's second.
    """

    def __init__(
        self,
        genotype: Mapping[str, Any],
        here: Place,
        before: Place | None,
        filters: int,
        stride: int,
        drop_path: float,
        skips: bool,
    ) -> None:
        super().__init__()
        self.skips = skips
        self.here = relu_conv_bn((1, 1))(here[0], filters, 1)
        chans = [filters, filters if before else here[0]]
        self.before: nn.Module | None = None
        if before and before[1] < here[1]:
            self.before = FactorizedReduction(before[0], filters)
        elif before:
            self.before = relu_conv_bn((1, 1))(before[0], filters, 1)
        self.blocks = genotype["blocks"]
        self.left, self.right = nn.ModuleList(), nn.ModuleList()
        self.drop_path = DropPath(drop_path)
        for *pairs, how in map(_with_add, self.blocks):
            for side, (name, state) in zip((self.left, self.right), pairs, strict=True):
                step = stride if state < 2 else 1  # blocks' outputs are reduced already
                side.append(OPERATIONS[name](chans[state], filters, step))
            chans.append(2 * filters if how == "concat" else filters)
        self.outputs = list(genotype["concat"])
        self.reduce = nn.ModuleDict()
        if stride > 1:
            for state in {0, 1}.intersection(self.outputs):
                self.reduce[str(state)] = FactorizedReduction(chans[state], filters)
                chans[state] = filters
        self.out_chans = sum(chans[state] for state in self.outputs)

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        first = x if before is None or self.before is None else self.before(before)
        states = [self.here(x), first]
        for left, right, block in zip(self.left, self.right, self.blocks, strict=True):
            *pairs, how = _with_add(block)
            made = []
            for operation, (name, state) in zip((left, right), pairs, strict=True):
                y = operation(states[state])
                # As in the released code, a path without an operation is never dropped.
                made.append(y if name == "identity" else self.drop_path(y))
            states.append(torch.cat(made, dim=1) if how == "concat" else made[0] + made[1])
        for state, reduction in self.reduce.items():
            states[int(state)] = reduction(states[int(state)])
        return torch.cat([states[state] for state in self.outputs], dim=1)


def _with_add(block: list[Any]) -> list[Any]:
    """The block with its third entry."""
    return [*block, "add"][:3]


def check(genotype: Any) -> None:
    """Raise a UserError unless both cells can be built."""
    if not isinstance(genotype, Mapping) or set(genotype) != {"normal", "reduction"}:
        raise UserError("model.genotype: must have the cells normal and reduction")
    for name, cell in genotype.items():
        key = f"model.genotype.{name}"
        if not isinstance(cell, Mapping) or set(cell) != {"blocks", "concat"}:
            raise UserError(f"{key}: must have blocks and concat")
        if not all(isinstance(part, list | tuple) for part in cell.values()):
            raise UserError(f"{key}: blocks and concat must be lists")
        for index, block in enumerate(cell["blocks"]):
            at = f"{key}.blocks[{index}]={block}"
            if len(block) not in (2, 3) or _with_add(block)[2] not in ("add", "concat"):
                raise UserError(f"{at}: must be two pairs[, add or concat]")
            for pair in block[:2]:
                if len(pair) != 2 or pair[0] not in OPERATIONS:
                    raise UserError(f"{at}: must be pairs of a state and {', '.join(OPERATIONS)}")
                if pair[1] not in range(index + 2):
                    raise UserError(f"{at}: state must be 0 to {index + 1}")
        states = range(len(cell["blocks"]) + 2)
        used = list(cell["concat"])
        if not used or len(set(used)) < len(used) or any(state not in states for state in used):
            raise UserError(f"{key}.concat={used}: must be different states, 0 to {states[-1]}")


class NASNet(StagedNet):
    """N normal cells three times, a reduction cell between, with F, 2F and 4F filters (Fig. 2).

    For ImageNet a 3x3 convolution of stride 2 without padding and two reduction cells, F/4 and F/2,
    come first. The auxiliary head of the released code is left out. Weights start as there: He,
    fan-out.

    `(B, in_chans, H, W) -> (B, num_classes)`

    Args:
        in_chans: channels of the image.
        num_classes: classes.
        genotype: what the two cells compute, as `NASNET_A`.
        cells: N. The paper names a net N @ 24F: 4 @ 1056, 6 @ 4032, 6 @ 768.
        filters: F, of the first normal cells.
        stem_width: channels of the first convolution.
        stem: `imagenet`, or `cifar`: a 3x3 convolution of stride 1 and no reduction cells.
        skip_reduction_input: the cell after a reduction cell takes as its second input not the
            reduction cell's own input but the output before that (so in the large net).
        drop_path: the last cell's probability to drop an operation, linear in depth (not in time).
        dropout: before the classifier.

    Raises UserError for a genotype that is no cell, and for too few cells or filters.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        genotype: Mapping[str, Any] | None = None,
        cells: int = 4,
        filters: int = 44,
        stem_width: int = 32,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        skip_reduction_input: bool = False,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(num_classes)
        genotype = NASNET_A if genotype is None else genotype
        check(genotype)
        for knob, value, least in (("cells", cells, 1), ("filters", filters, 4)):
            if value < least:
                raise UserError(f"model.{knob}={value}: must be at least {least}")
        if stem not in ("imagenet", "cifar"):
            raise UserError(f"model.stem={stem}: must be imagenet or cifar")
        self.stem_kind = stem
        reduction = 1 if stem == "cifar" else 2
        conv = nn.Conv2d(in_chans, stem_width, 3, reduction, 2 - reduction, bias=False)
        first = nn.Sequential(conv, batch_norm(stem_width))
        # The kind and the filters of each cell, stage by stage.
        row = [("normal", 1.0)] * cells
        plan = [row, [("reduction", 2.0)] + [("normal", 2.0)] * cells]
        plan.append([("reduction", 4.0)] + [("normal", 4.0)] * cells)
        if stem == "cifar":
            self.stem = first
        else:
            self.add_stage(nn.ModuleList([first]), stem_width, reduction)
            plan = [[("reduction", 0.25)], [("reduction", 0.5), *row], *plan[1:]]
        done = 0
        here: Place = (stem_width, reduction)
        before = here if stem == "cifar" else None  # see forward_features
        for stage_plan in plan:
            stage = nn.ModuleList()
            for kind, factor in stage_plan:
                done += 1
                stride = 2 if kind == "reduction" else 1
                # Not in the stem, whose reduction cells have no row of cells before them.
                skips = skip_reduction_input and stride == 2 and factor > 1
                width, drop = int(filters * factor), drop_path * done / sum(map(len, plan))
                layer = Cell(genotype[kind], here, before, width, stride, drop, skips)
                stage.append(layer)
                before = before if layer.skips else here
                here = (layer.out_chans, here[1] * stride)
            self.add_stage(stage, here[0], here[1])
        self.head = ClassifierHead(here[0], num_classes, drop_rate=dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels // module.groups * module.weight[0, 0].numel()
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)

    def add_stage(self, stage: nn.Module, channels: int, reduction: int) -> None:
        """Register the next stage; its feature is the output of its last cell, before any ReLU.

        The cells take two inputs, so they are run one by one and not the stage.
        """
        super().add_stage(stage, channels, reduction)
        assert isinstance(stage, nn.ModuleList)
        self.feature_info[-1]["module"] += f".{len(stage) - 1}"

    def forward_features(self, images: Tensor) -> Tensor:
        lists = (child if isinstance(child, nn.ModuleList) else [child] for child in self.trunk())
        first, *cells = itertools.chain(*lists)
        x = first(images)
        # The first normal cell of the CIFAR net takes the stem's output twice, each time projected.
        before = x if self.stem_kind == "cifar" else None
        for cell in cells:
            output = cell(x, before)
            before = before if cell.skips else x
            x = output
        return x.relu()


def _build(name: str, stages: range, pretrained: bool, **kwargs: Any) -> NASNet:
    # Hooks: cells take two inputs, so timm cannot replay the children.
    features = {"out_indices": tuple(stages), "feature_cls": "hook", "no_rewrite": True}
    return build_model_with_cfg(NASNet, name, pretrained, feature_cfg=features, **kwargs)


@register_model
def nasnet_a_mobile(pretrained: bool = False, **kwargs: Any) -> NASNet:
    """NASNet-A (4 @ 1056): 5.29 M parameters, 563.6 M MACs at 3x224x224."""
    return _build("nasnet_a_mobile", range(5), pretrained, **kwargs)


@register_model
def nasnet_a_large(pretrained: bool = False, **kwargs: Any) -> NASNet:
    """NASNet-A (6 @ 4032): 88.75 M parameters, 23.78 G MACs at 3x331x331."""
    own = {"cells": 6, "filters": 168, "stem_width": 96, "skip_reduction_input": True}
    return _build("nasnet_a_large", range(5), pretrained, **own | kwargs)


@register_model
def nasnet_a_cifar(pretrained: bool = False, **kwargs: Any) -> NASNet:
    """NASNet-A (6 @ 768): 3.33 M parameters, 525.8 M MACs at 3x32x32."""
    own = {"cells": 6, "filters": 32, "stem_width": 96, "stem": "cifar"}
    return _build("nasnet_a_cifar", range(3), pretrained, **own | kwargs)
