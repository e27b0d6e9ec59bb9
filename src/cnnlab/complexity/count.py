"""What a net costs, layer by layer: parameters, multiply-adds, activations, receptive field.

The net is run once, without data (meta device), under torch's own FlopCounterMode.
"""

import copy
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import cnnlab.complexity.deform  # noqa: F401  (registers deformable convolution)
from cnnlab.complexity.receptive_field import ReceptiveFields
from cnnlab.complexity.whole import whole
from cnnlab.errors import UserError


@dataclass
class LayerCost:
    """One call of one module. What its children cost is in their rows, not in its own.

    Attributes:
        name: path in the net; empty for the net itself.
        type: class.
        output: shape of the (first) output for one image, without the batch; () if not called.
        params: its own parameters; 0 where a parameter stands in an earlier row.
        macs: multiply-adds.
        activations: outputs of convolution and linear operators, in elements.
        receptive_field: height and width in input pixels that one output element sees.
    """

    name: str
    type: str
    output: tuple[int, ...] = ()
    params: int = 0
    macs: int = 0
    activations: int = 0
    receptive_field: tuple[int, int] = (0, 0)


@dataclass
class Cost:
    """The cost of one forward of one image; each total is the sum over layers.

    Of a net of two stages with the second, see `whole`.

    Attributes:
        params: all parameters, also of parts that only training runs; no buffers.
        trainable_params: those that require a gradient.
        macs: multiply-adds of convolutions, linear layers and matrix products.
        activations: output elements of convolution and linear layers (Radosavovic et al. 2020).
        input_size: (C, H, W).
        layers: in order of execution, without those that only change values (activation functions,
            dropout); at the end, modules with parameters that were not called themselves.
    """

    params: int
    trainable_params: int
    macs: int
    activations: int
    input_size: tuple[int, int, int]
    layers: list[LayerCost] = field(repr=False)


def count(
    net: nn.Module,
    input_size: tuple[int, int, int],
    *,
    training: bool = False,
    by_layer: bool = True,
) -> Cost:
    """Count `net` at `input_size` (C, H, W). The net may be on any device, in any mode.

    A copy without storage is run, so the net, its statistics and torch's generators stay as they
    are. Hooks that are functions with a memory of their own are called, as in any forward. The
    forward is that of evaluation, or with `training` that of training, auxiliary heads included.
    Without `by_layer` there are only the totals, in about half the time, and no layers.

    Raises:
        UserError: the net cannot run at that size; says where it stopped, and why.
    """
    with torch.inference_mode(False), torch.no_grad():
        twin = _without_storage(net).train(training)
        dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
        image = torch.empty(1, *input_size, dtype=dtype, device="meta")
        with ExitStack() as modes:
            # The last mode sees an operator first, before the counter takes it apart.
            modes.enter_context(torch.device("meta"))
            flops = modes.enter_context(FlopCounterMode(display=False))
            activations = modes.enter_context(_Activations())
            ledger = None
            if by_layer:
                fields = modes.enter_context(ReceptiveFields())
                fields.start(image)
                ledger = _Ledger(twin, fields, flops, activations)
            try:
                whole(twin, image)
            except (RuntimeError, AssertionError, ValueError, IndexError) as error:
                raise _refusal(error, input_size, net) from error
    return Cost(
        params=parameters(net),
        trainable_params=sum(p.numel() for p in net.parameters() if p.requires_grad),
        macs=flops.get_total_flops() // 2,
        activations=activations.elements,
        input_size=input_size,
        layers=[] if ledger is None else list(ledger.rows()),
    )


def parameters(net: nn.Module) -> int:
    """What `Cost.params` is; nothing is run."""
    return sum(p.numel() for p in net.parameters()) + _frozen(net)


def _frozen(net: nn.Module) -> int:
    """Scale and shift of frozen normalisation: freezing changes no cost."""
    frozen = (m for m in net.modules() if type(m).__name__.startswith("FrozenBatchNorm"))
    # torch types a bias as maybe None.
    return sum(b.numel() for m in frozen for b in (m.weight, m.bias))  # type: ignore[misc, operator]


def _refusal(error: Exception, input_size: tuple[int, int, int], net: nn.Module) -> UserError:
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    line = said
    if not isinstance(error, UserError):  # the net's own says all
        line = (
            f"the net does not take an input of {'x'.join(map(str, input_size))}: {said} "
            f"({Path(place.filename).name}, line {place.lineno})"
        )
    made_for = getattr(getattr(net, "backbone", net), "pretrained_cfg", {}).get("input_size")
    if made_for is not None and input_size[1:] != made_for[1:]:
        line += f"; it is made for {made_for[1]}x{made_for[2]}: data.image_size={made_for[1]}"
    return UserError(line)


def _without_storage(net: nn.Module) -> nn.Module:
    """A deep copy, frozen, with parameters and buffers on the meta device; no values are copied."""
    memo: dict[int, Any] = {id(b): torch.empty_like(b, device="meta") for b in net.buffers()}
    for parameter in net.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(empty, requires_grad=False)
    return copy.deepcopy(net, memo)


class _Activations(TorchDispatchMode):
    """Counts output elements of convolution and linear operators."""

    operators = {"convolution", "deform_conv2d", "addmm", "mm"}

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name.rpartition("::")[2] in self.operators:
            self.elements += out.numel()
        return out


_NORMS_WITHOUT_PARAMETERS = (nn.LocalResponseNorm,)
"""Layers in the tables of papers, though they own nothing and keep the shape."""


class _Ledger:
    """Books what is counted between two borders of modules on the module in between."""

    def __init__(
        self,
        net: nn.Module,
        fields: ReceptiveFields,
        flops: FlopCounterMode,
        activations: _Activations,
    ) -> None:
        self.fields, self.flops, self.activations = fields, flops, activations
        self.called: list[LayerCost] = []
        self.open: list[LayerCost] = []
        self.plain: set[int] = set()  # calls that change neither shape nor field, or only contain
        self.unpaid: dict[nn.Module, LayerCost] = {}
        self.booked = (0, 0)
        seen = set[Tensor]()
        for name, module in net.named_modules():
            own = [p for p in module.parameters(recurse=False) if p not in seen]
            seen.update(own)
            params = sum(p.numel() for p in own)
            self.unpaid[module] = LayerCost(name, type(module).__name__, params=params)
            module.register_forward_pre_hook(self._enter, prepend=True)
            module.register_forward_hook(self._leave)

    def rows(self) -> Iterator[LayerCost]:
        """Calls that own or compute something or change shape or field; then what is left."""
        for row in self.called:
            if row.params or row.macs or id(row) not in self.plain:
                yield row
        yield from (row for row in self.unpaid.values() if row.params)

    def _book(self) -> None:
        now = self.flops.get_total_flops() // 2, self.activations.elements
        if self.open:
            self.open[-1].macs += now[0] - self.booked[0]
            self.open[-1].activations += now[1] - self.booked[1]
        self.booked = now

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._book()
        row = self.unpaid[module]
        # A module that is called again gets another row; its parameters are in the first.
        self.unpaid[module] = LayerCost(row.name, row.type)
        self.called.append(row)
        self.open.append(row)

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._book()
        row = self.open.pop()
        before, after = self._seen(inputs), self._seen(output)
        row.output, row.receptive_field = after
        changes = before != after or isinstance(module, _NORMS_WITHOUT_PARAMETERS)
        if not changes or any(True for _ in module.children()):
            self.plain.add(id(row))

    def _seen(self, values: Any) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Shape without the batch and receptive field of the first tensor."""
        tensors = [t for t in tree_leaves(values) if isinstance(t, Tensor)]
        if not tensors:
            return (), (0, 0)
        shape = tuple(tensors[0].shape)
        return shape[1:] if shape[:1] == (1,) else shape, self.fields.pixels(tensors[0])
