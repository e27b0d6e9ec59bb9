import importlib
import inspect
from typing import Unpack, get_args, get_origin

import pytest

from cnnlab.config.definitions import find
from cnnlab.config.signature import attribute, fields, is_record, signature

LAB = {
    "mylab/__init__.py": """\
        from dataclasses import dataclass, field, KW_ONLY
        from typing import ClassVar, NotRequired, TypedDict
        from nothing import Unknown
        from torch import nn

        class Base:
            tasks: ClassVar[tuple[str, ...]] = ("classification",)
            logs = ("val/loss",)
            def __init__(self, net, *, root: str, size: int = 3): ...
        class Inherits(Base):
            logs = tuple(x for x in "ab")
        class Forwards(Base):
            tasks = ("detection", "multilabel")
            def __init__(self, *, more: float, **rest):
                super().__init__(None, size=4, **rest)
        class Sinks(Base):
            def __init__(self, *, more, **rest): ...
        class OfModule(nn.Module): ...
        class OfUnknown(Unknown): ...
        class Makes:
            def __new__(cls, a): ...
        @strange
        class Decorated: ...
        def function(a, b=1, /, c=2, *, d, e=3): ...
        @dataclass
        class Data:
            a: int
            b: list[int] = field(default_factory=list)
            c: int = field(init=False)
            shared: ClassVar[int] = 1
            _: KW_ONLY
        @dataclass(frozen=True)
        class MoreData(Data):
            d: str = ""
        class Typed(TypedDict):
            a: int
            b: NotRequired[int]
        """
}


@pytest.mark.parametrize(
    ("name", "positional", "keyword", "required", "is_open"),
    [
        ("Base", "net", "root size", "net root", False),
        ("Inherits", "net", "root size", "net root", False),
        ("Forwards", "", "more net root", "more net root", False),
        ("Sinks", "", "more", "more", True),
        ("OfModule", "", "", "", False),
        ("OfUnknown", "", "", "", True),
        ("Makes", "", "", "", True),
        ("Decorated", "", "", "", True),
        ("function", "a b c", "d e", "a d", False),
        ("Data", "", "a b", "a", False),
        ("MoreData", "", "a b d", "a", False),
    ],
)
def test_signature(lab, name, positional, keyword, required, is_open):
    lab(LAB)
    found = signature(find(f"mylab.{name}"))
    assert list(found.positional) == positional.split()
    assert list(found.keyword) == keyword.split()
    every = found.positional | found.keyword
    assert [k for k, parameter in every.items() if parameter.required] == required.split()
    assert found.is_open is is_open


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.SGD",
        "torch.optim.AdamW",
        "torch.nn.Conv2d",
        "torch.nn.CrossEntropyLoss",
        "timm.optim.create_optimizer_v2",
        "timm.optim.Lamb",
        "torchvision.transforms.v2.RandomResizedCrop",
        "lightning.pytorch.Trainer",
        "lightning.pytorch.callbacks.EarlyStopping",
        "lightning.pytorch.callbacks.ModelCheckpoint",
        "lightning.pytorch.loggers.MLFlowLogger",
        "segmentation_models_pytorch.Unet",
        "cnnlab.backbones.create",
        "cnnlab.data.digits.Digits",
        "cnnlab.tasks.classification.ClassificationTask",
    ],
)
def test_agrees_with_inspect(target):
    module, _, name = target.rpartition(".")
    real = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    found = signature(find(target))
    every = found.positional | found.keyword
    named = [p for p in real if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    rest = [p.annotation for p in real if p.kind == p.VAR_KEYWORD]
    unpacked = [
        key
        for of in rest
        if get_origin(of) is Unpack
        for record in get_args(of)
        for key in record.__annotations__
    ]
    assert list(every) == [p.name for p in named] + unpacked
    required = [p.default is p.empty for p in named] + [False] * len(unpacked)
    assert [p.required for p in every.values()] == required
    assert found.is_open == (bool(rest) and not unpacked)


@pytest.mark.parametrize(
    ("name", "tasks", "logs"),
    [
        ("Base", ("classification",), ("val/loss",)),
        ("Inherits", ("classification",), None),
        ("Forwards", ("detection", "multilabel"), ("val/loss",)),
        ("OfUnknown", None, None),
        ("function", None, None),
    ],
)
def test_attribute(lab, name, tasks, logs):
    lab(LAB)
    assert attribute(find(f"mylab.{name}"), "tasks") == tasks
    assert attribute(find(f"mylab.{name}"), "logs") == logs


def test_records(lab):
    lab(LAB)
    records = [
        name for name in ("Base", "Data", "MoreData", "Typed") if is_record(find(f"mylab.{name}"))
    ]
    assert records == ["Data", "MoreData", "Typed"]
    assert {k: p.required for k, p in fields(find("mylab.Typed")).items()} == {
        "a": True,
        "b": False,
    }
