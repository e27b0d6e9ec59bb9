"""What a config's net costs, before there is a run of it."""

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cnnlab.config import compose, to_plain
from cnnlab.errors import UserError

if TYPE_CHECKING:  # torch is imported where it is needed: a plan's mistakes need not wait for it
    from omegaconf import DictConfig
    from torch import nn

    from cnnlab.complexity.count import Cost

Counted = Literal["params", "macs", "activations"]
Quantity = Literal["params", "macs", "activations", "latency"]

GUESSED_CLASSES = 20
"""Of a dense head whose data set is not there, as many as Pascal VOC has."""


class Shape(NamedTuple):
    """What the data say to the net."""

    num_classes: int | None
    """None: as many as the net has by itself."""
    channels: int
    image_size: tuple[int, int] | None
    """None: those that the net is made for."""


class Costs:
    """Costs of configs, each net counted once, each data set read once at most.

    Make one for a plan and drop it with the plan: nothing is kept on disk, where it could outlive
    the code that it was counted with.

    The net is the run's own: with the head, the number of classes, the channels and the image size
    of the config's data. Sets that are the same everywhere, masks with `data.values` and boxes with
    `data.classes` say that without their files. Of other sets the files are read; where they are
    not there, the count is a guess and `notes` says so. Weights are not read: they change no cost.

    Attributes:
        notes: lines for the user, one a data set whose classes had to be guessed.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._shapes: dict[str, Shape] = {}
        self._counted: dict[str, Cost] = {}
        self._params: dict[str, int] = {}

    def config(self, words: list[str]) -> "DictConfig":
        """The config of `words`, composed once; a copy.

        Raises:
            UserError: as `compose`.
        """
        key = tuple(words)
        if key not in self._composed:
            self._composed[key] = compose(words).cfg
        return self._composed[key].copy()

    def of(self, cfg: "DictConfig") -> "Cost":
        """Parameters, MACs and activations at the size that training sees, without the layers.

        Raises:
            UserError: the net cannot be built, or not run at that size.
        """
        from cnnlab.complexity.count import count

        key = self._key(cfg)
        if key not in self._counted:
            net, size = self.net(cfg, meta=True)
            self._counted[key] = count(net, size, by_layer=False)
            self._params[key] = self._counted[key].params
        return self._counted[key]

    def params(self, cfg: "DictConfig") -> int:
        """Parameters alone, in a third of the time: the net is built and not run."""
        from cnnlab.complexity.count import parameters

        key = self._key(cfg)
        if key not in self._params:
            self._params[key] = parameters(self.net(cfg, meta=True)[0])
        return self._params[key]

    def _key(self, cfg: "DictConfig") -> str:
        plain = to_plain(cfg)
        return _text([_without(plain["model"], _NO_COST), plain["head"], self.shape(cfg)])

    def net(self, cfg: "DictConfig", *, meta: bool) -> "tuple[nn.Module, tuple[int, int, int]]":
        """The net of a run of `cfg`, untrained, and the (C, H, W) of what it sees.

        Args:
            cfg: composed and checked.
            meta: without storage, for a count.
        """
        import torch

        shape = self.shape(cfg)
        without = cfg.copy()
        without.model.weights = None
        make, head = _instantiate(without.model), _instantiate(without.head)
        with torch.device("meta") if meta else nullcontext():
            net = head(make, shape.num_classes, shape.channels)
        height, width = shape.image_size or net.backbone.pretrained_cfg["input_size"][1:]
        return net, (shape.channels, height, width)

    def shape(self, cfg: "DictConfig") -> Shape:
        """Classes, channels and image size of the config's data."""
        plain = to_plain(cfg)
        key = _text([_without(plain["data"], _NO_SHAPE), plain["task"]["_target_"]])
        if key not in self._shapes:
            self._shapes[key] = self._read(cfg)
        return self._shapes[key]

    def _read(self, cfg: "DictConfig") -> Shape:
        from hydra.utils import get_class

        data = _instantiate(cfg.data)
        task: Any = get_class(cfg.task._target_)
        tasks = task.tasks
        data.serve(tasks)
        missing = ""
        if data.outline() is None:
            try:
                data.setup()
            except UserError as error:
                missing = str(error)
        outline = data.outline()
        if outline is not None:
            return Shape(*outline)
        classifies = "classification" in tasks or "multilabel" in tasks
        classes = None if classifies else GUESSED_CLASSES
        guess = "the net's own number of" if classifies else str(GUESSED_CLASSES)
        note = f"costs are counted for {guess} classes, a guess: {missing}"
        if note not in self.notes:
            self.notes.append(note)
        # What is not in memory is in files, whose images are read in colour.
        size = cfg.data.image_size
        sides = (size, size) if isinstance(size, int) else size
        return Shape(classes, 3, None if sides is None else (sides[0], sides[1]))


_NO_COST = ("weights", "seed")
_NO_SHAPE = ("seed", "batch_size", "eval_batch_size", "workers", "augment")
"""Keys of the nodes `model` and `data` that may differ where the cost does not."""


def _without(node: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in names}


def _text(values: list[Any]) -> str:
    return json.dumps(values, sort_keys=True, default=str)


def _instantiate(node: "DictConfig") -> Any:
    """What the node's `_target_` makes of it; its own errors not as Hydra wraps them."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        raise
