"""BatchNorm folded into the layer before it (deck 2): the same function with fewer operations.

In evaluation BatchNorm is y -> p y + q with p = alpha / sigma and q = beta - alpha mu / sigma, so
a convolution w, b followed by it is the convolution p w, p b + q.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from timm.layers import FrozenBatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary
from torchvision.ops import FrozenBatchNorm2d

from cnnlab.complexity.timing import Latency, latency_ms

MAX_DIFFERENCE = 1e-4
"""Of the largest output: what rounding in float32 may do to a deep net; a mistake does more."""
_BATCH_NORMS = (_BatchNorm, FrozenBatchNorm2d, FrozenBatchNormAct2d)


@dataclass(frozen=True)
class FoldReport:
    """What became of each BatchNorm. `str()` is one line a fact.

    Attributes:
        folded: BatchNorm -> the layer that it was folded into.
        kept: BatchNorm -> why it stands where it stood.
    """

    folded: dict[str, str]
    kept: dict[str, str]

    def __str__(self) -> str:
        total = len(self.folded) + len(self.kept)
        lines = [f"{len(self.folded)} of {total} BatchNorm layers folded"]
        return "\n".join([*lines, *(f"{name}: {why}" for name, why in self.kept.items())])


@dataclass(frozen=True)
class Effect:
    """What a rewrite did to a net.

    Attributes:
        difference: the largest difference of an output element, as a share of the largest output.
        before: time of one forward.
        after: of the rewritten net.
    """

    difference: float
    before: Latency
    after: Latency


def fold(net: nn.Module, input_size: tuple[int, int, int]) -> tuple[nn.Module, FoldReport]:
    """A copy of `net` in evaluation mode, without the BatchNorm layers that follow a linear map.

    The net is run once on noise of `input_size` (C, H, W) to see what feeds what; names and order
    of registration do not matter. A BatchNorm is folded where, in every call, it alone reads the
    output of a layer with a weight (convolution of any kind, linear), and where that layer with
    folded weights gives the same numbers. An activation inside of BatchNorm (timm) stays.
    """
    with torch.no_grad():
        return _fold(copy.deepcopy(net).eval(), input_size)


def _fold(twin: nn.Module, input_size: tuple[int, int, int]) -> tuple[nn.Module, FoldReport]:
    names = {module: name for name, module in twin.named_modules()}
    with _Run(twin) as run:
        run.start(_noise(twin, input_size))
    folded, kept = dict[str, str](), dict[str, str]()
    for norm, name in names.items():
        if isinstance(norm, _BATCH_NORMS):
            why = run.obstacle(norm, names)
            if why is None:
                layer = run.source[norm]
                folded[name] = names[layer]
                layer.weight, layer.bias = _folded_weights(layer, norm)
            else:
                kept[name] = why
    for parent in list(twin.modules()):
        for child, module in list(parent._modules.items()):  # with all names that a module has
            if module is not None and names.get(module) in folded:
                setattr(parent, child, _rest_of(module))
    return twin, FoldReport(folded, kept)


def vary_statistics(net: nn.Module) -> None:
    """Give every BatchNorm values as after training, none 0 or 1: else folding changes nothing.

    A fresh net's BatchNorm is nearly the identity, and a comparison of outputs would prove nothing.
    """
    generator = torch.Generator().manual_seed(0)
    for norm in net.modules():
        if isinstance(norm, _BATCH_NORMS):
            for tensor, low, high in (
                (norm.running_mean, -0.5, 0.5),
                (norm.running_var, 0.5, 2.0),
                (norm.weight, 0.5, 1.5),
                (norm.bias, -0.5, 0.5),
            ):
                if isinstance(tensor, Tensor):
                    values = torch.empty(tensor.shape).uniform_(low, high, generator=generator)
                    tensor.data.copy_(values)


def effect(
    before: nn.Module,
    after: nn.Module,
    input_size: tuple[int, int, int],
    threads: int | None = None,
) -> Effect:
    """Compare two nets in evaluation mode, each where its parameters are: outputs and time."""
    device = _noise(before, input_size).device
    times = [latency_ms(net, input_size, device, threads=threads) for net in (before, after)]
    return Effect(difference(before, after, input_size), *times)


def difference(before: nn.Module, after: nn.Module, input_size: tuple[int, int, int]) -> float:
    """`Effect.difference` of two nets in evaluation mode, on noise; the nets stay as they are."""
    twins = [copy.deepcopy(net).eval() for net in (before, after)]
    image = _noise(before, input_size)
    with torch.inference_mode():
        outputs = [[t for t in tree_leaves(twin(image.clone())) if _is_float(t)] for twin in twins]
    largest = _largest(outputs[0])
    apart = _largest([a - b for a, b in zip(*outputs, strict=True)])
    return apart / largest if largest else apart


def _largest(tensors: list[Tensor]) -> float:
    """The largest absolute value; NaN if there is one."""
    return torch.stack([tensor.abs().max() for tensor in tensors]).max().item()


def _noise(net: nn.Module, input_size: tuple[int, int, int]) -> Tensor:
    """Two images, from a generator of their own."""
    like = next((p for p in net.parameters() if _is_float(p)), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *input_size, generator=generator).to(like.device, like.dtype)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _folded_weights(layer: Any, norm: Any) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight and bias of `layer` followed by `norm`."""
    weight = layer.weight
    transposed = isinstance(layer, _ConvTransposeNd)
    if transposed:  # (C_in, C_out / groups, ...): bring C_out to the front
        per_group = weight.unflatten(0, (layer.groups, -1)).transpose(1, 2)
        weight = per_group.flatten(0, 1)
    statistics = norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    weight, bias = fuse_conv_bn_weights(weight, layer.bias, *statistics)
    if transposed:
        back = weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1)
        weight = nn.Parameter(back.contiguous(), weight.requires_grad)
    return weight, bias


def _rest_of(norm: nn.Module) -> nn.Module:
    """What a BatchNorm does besides: nothing, or timm's activation."""
    parts = [getattr(norm, part, nn.Identity()) for part in ("drop", "act")]
    parts = [part for part in parts if not isinstance(part, nn.Identity)]
    if not parts:
        return nn.Identity()
    return parts[0] if len(parts) == 1 else nn.Sequential(*parts)


@dataclass
class _Output:
    """A tensor that some operator made; who made it and who read it."""

    maker: str
    layer: nn.Module | None = None  # whose output it is, if that has a matrix of weights
    readers: dict[nn.Module | None, str] = field(default_factory=dict)


class _Run(TorchDispatchMode):
    """Watches one forward: which module's output is read by which module, and by which operator.

    Within a BatchNorm's call its operators are its own; all others are read as strangers.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.hooked = {m for m in net.modules() if m._forward_hooks or m._forward_pre_hooks}
        self.outputs = WeakTensorKeyDictionary()
        self.inputs = WeakTensorKeyDictionary()  # of the layer, by its output
        self.source: dict[nn.Module, Any] = {}
        self.why: dict[nn.Module, str] = {}  # a BatchNorm that follows no layer is kept
        self.unequal = set[nn.Module]()  # those whose layer does not do their work
        self.calls: dict[nn.Module, list[_Output]] = {}  # of layers with a weight
        self.open: list[nn.Module] = []
        self.checking = False

    def start(self, image: Tensor) -> None:
        """Run the net on `image`."""
        handles = []
        for module in self.net.modules():
            handles.append(module.register_forward_pre_hook(self._enter, prepend=True))
            handles.append(module.register_forward_hook(self._leave))
        try:
            self.outputs[image] = _Output("the input")
            result = self.net(image)
        finally:
            for handle in handles:
                handle.remove()
        for tensor in tree_leaves(result):
            self._read(tensor, None, "the net's output")

    def obstacle(self, norm: nn.Module, names: dict[nn.Module, str]) -> str | None:
        """Why `norm` cannot be folded; None if it can."""
        if norm in self.why or norm not in self.source:
            return self.why.get(norm, "not run in evaluation")
        layer = self.source[norm]
        for output in self.calls[layer]:
            others = [how for reader, how in output.readers.items() if reader is not norm]
            if others or not output.readers:
                reader = others[0] if others else "nobody"
                return f"the output of {names[layer]} is also read by {reader}"
        if layer in self.hooked or norm in self.hooked:
            return "a hook watches it"
        if norm in self.unequal:
            return f"{names[layer]} ({type(layer).__name__}) does not take folded weights"
        return None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.checking:
            return out
        name = func._schema.name.rpartition("::")[2].strip("_")
        owner = next((m for m in reversed(self.open) if isinstance(m, _BATCH_NORMS)), None)
        for tensor in tree_leaves((args, kwargs)):
            self._read(tensor, owner, name)
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and not any(tensor is t for t in tree_leaves(args)):
                self.outputs[tensor] = _Output(name)
        return out

    def _read(self, tensor: Any, reader: nn.Module | None, how: str) -> None:
        if isinstance(tensor, Tensor) and tensor in self.outputs:
            self.outputs[tensor].readers.setdefault(reader, how)

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if self.checking:
            return
        self.open.append(module)
        if isinstance(module, _BATCH_NORMS) and module not in self.why:
            made = self.outputs.get(inputs[0]) if inputs else None
            layer = made.layer if made else None
            if module.running_mean is None:
                self.why[module] = "it uses the statistics of the batch"
            elif layer is None:
                self.why[module] = f"what it reads is made by {made.maker if made else 'nobody'}"
            elif self.source.setdefault(module, layer) is not layer:
                self.why[module] = "it reads the outputs of several layers"

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if self.checking:
            return
        self.open.pop()
        if isinstance(module, _BATCH_NORMS):
            if module not in self.why:
                self._check(module, inputs[0], output)
        elif isinstance(output, Tensor) and output in self.outputs:
            made = self.outputs[output]
            weight = module._parameters.get("weight")
            if weight is not None and weight.ndim > 1:
                made.layer = module
                self.inputs[output] = inputs
                self.calls.setdefault(module, []).append(made)
            if is_parametrized(module) or not list(module.children()):
                made.maker = type(module).__name__

    def _check(self, norm: nn.Module, read: Tensor, output: Tensor) -> None:
        """Whether the layer before, with folded weights, gives what `norm` gives.

        It does not where weights are computed from others at each call (weight standardisation),
        or where BatchNorm's channels are not the layer's.
        """
        layer: Any = copy.copy(self.outputs[read].layer)
        layer._parameters = dict(layer._parameters)
        layer._forward_hooks, layer._forward_pre_hooks = {}, {}
        self.checking = True
        try:
            layer.weight, layer.bias = _folded_weights(layer, norm)
            ours = _rest_of(norm)(layer(*self.inputs[read]))
            tolerance = max(1e-3, 8 * torch.finfo(output.dtype).eps)
            same = ours.shape == output.shape and bool(
                (ours - output).abs().max() <= tolerance * output.abs().max().clamp(min=1e-6)
            )
        except (RuntimeError, TypeError, AttributeError):
            same = False
        finally:
            self.checking = False
        if not same:
            self.unequal.add(norm)
