import importlib

import pytest

from cnnlab.config.definitions import Missing, Refused, Unresolved, find, member

LAB = {
    "mylab/__init__.py": """\
        from .nets import Net, build
        from .nets import Net as Alias
        from os import system
        from cnnlab.backbones import create
        from os.path import join
        import os
        import mylab.nets as nets
        """,
    "mylab/nets.py": """\
        import sys
        from functools import partial
        from .stars import *
        class Base:
            def inherited(self): ...
        class Net(Base):
            def method(self): ...
            attribute = 3
        def build(): ...
        other = build
        made = partial(build)
        me = me2
        me2 = me
        """,
    "mylab/stars.py": "class Star: ...",
    "mylab/lazy.py": "def __getattr__(name): ...",
    "mylab/sub/__init__.py": "from . import deep",
    "mylab/sub/deep.py": "def f(): ...",
}


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("mylab.Net", "mylab.nets.Net"),
        ("mylab.Alias", "mylab.nets.Net"),
        ("mylab.nets.Net", "mylab.nets.Net"),
        ("mylab.nets.other", "mylab.nets.build"),
        ("mylab.nets.Star", "mylab.stars.Star"),
        ("mylab.Net.method", "mylab.nets.method"),
        ("mylab.Net.inherited", "mylab.nets.inherited"),
        ("mylab.create", "cnnlab.backbones.create.create"),
        ("mylab.sub.deep.f", "mylab.sub.deep.f"),
    ],
)
def test_finds(lab, target, found):
    lab(LAB)
    assert find(target).name == found


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("mylab.system", Refused, "only imports it from os"),
        ("mylab.join", Refused, "only imports it from os.path"),
        ("mylab.os.system", Refused, "'os' in mylab is the imported module os"),
        ("mylab.nets.sys.exit", Refused, "'sys' in mylab.nets is the imported module sys"),
        ("mylab.nets.partial", Refused, "only imports it from functools"),
        ("mylab.nets.made", Refused, "is a value"),
        ("mylab.nets", Refused, "module"),
        ("mylab.sub.deep", Refused, "module"),
        ("mylab.Net.attribute", Refused, "'attribute' is no method"),
        ("mylab.nets.Nett", Missing, "mylab.nets has no 'Nett'; did you mean 'Net'"),
        ("mylab.nothing.x", Missing, "mylab has no 'nothing'"),
        ("nothing_there.x", Missing, "no package 'nothing_there'"),
        ("mylab.lazy.x", Unresolved, ""),
        ("mylab.nets.me", Unresolved, ""),
        ("torch.nn.modules.module.torch.load", Refused, "the imported module torch"),
        ("torch.nn.functional", Refused, "the imported module"),
        ("torch.optim.swa_utils.deepcopy", Refused, "only imports it from copy"),
        ("torch.optim.SDG", Missing, "did you mean 'SGD'"),
        ("cnnlab.errors.sys.exit", Refused, "the imported module sys"),
        ("cnnlab.errors.get_close_matches", Refused, "only imports it from difflib"),
    ],
)
def test_refuses(lab, target, error, said):
    lab(LAB)
    with pytest.raises(error) as caught:
        find(target)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [
        "torch.optim.SGD",
        "torch.nn.Linear",
        "timm.optim.create_optimizer_v2",
        "timm.scheduler.CosineLRScheduler",
        "torchvision.transforms.v2.RandomResizedCrop",
        "torchvision.ops.sigmoid_focal_loss",
        "lightning.pytorch.Trainer",
        "lightning.pytorch.callbacks.EarlyStopping",
        "lightning.pytorch.loggers.CSVLogger",
        "lightning.pytorch.strategies.DDPStrategy",
        "torchmetrics.classification.MulticlassAccuracy",
        "segmentation_models_pytorch.Unet",
    ],
)
def test_agrees_with_an_import(target):
    module, _, name = target.rpartition(".")
    real = getattr(importlib.import_module(module), name)
    assert find(target).name == f"{real.__module__}.{real.__qualname__}"


def test_member_of_unknown_base(lab):
    lab({"mylab/__init__.py": "from nothing import Base\nclass Net(Base): ...\n"})
    with pytest.raises(Unresolved):
        member(find("mylab.Net"), "method")
