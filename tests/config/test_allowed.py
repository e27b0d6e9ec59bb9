import pytest

from cnnlab.config.allowed import is_allowed, refuse_target, refuse_targets, targets
from cnnlab.errors import UserError


@pytest.mark.parametrize(
    "name",
    [
        "cnnlab.backbones.create",
        "timm.optim.create_optimizer_v2",
        "torch.nn.Linear",
        "torchvision.transforms.v2.RandomErasing",
        "lightning.pytorch.Trainer",
        "lightning.pytorch.callbacks.EarlyStopping",
        "segmentation_models_pytorch.Unet",
        "torchmetrics.Accuracy",
    ],
)
def test_allowed(name):
    assert is_allowed(name)
    refuse_target("x._target_", name)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "eval",
        "torch.load",
        "torch.hub.load",
        "torchvision.datasets.ImageFolder",
        "lightning.pytorch.Trainers",
        "lightning.pytorch.trainer.Trainer",
        "cnnlabel.x.y",
        "torch.nnx.Linear",
        "cnnlab..os.system",
        "cnnlab.x.",
        ".cnnlab.x",
        "cnnlab.x y.z",
        "cnnlab",
        "torch.nn.Module.__init__.__globals__",
        "cnnlab._private.x",
        "mylab.nets.Net",
        "",
        3,
        None,
        ["cnnlab.x"],
        {"a": 1},
    ],
)
def test_refused(name):
    with pytest.raises(UserError, match=r"^model\._target_="):
        refuse_target("model._target_", name)


@pytest.mark.parametrize("value", ["mylab", "other, mylab", "mylab,"])
def test_a_lab_joins(monkeypatch, value):
    monkeypatch.setenv("CNNLAB_ALLOW", value)
    assert is_allowed("mylab.nets.Net")
    assert not is_allowed("mylabs.nets.Net")
    assert not is_allowed("os.system")


def test_targets_at_any_depth():
    node = {"a": [{"b": {"_target_": "x.y"}}], "_target_": "z.z"}
    assert dict(targets(node)) == {"a.0.b._target_": "x.y", "_target_": "z.z"}


@pytest.mark.parametrize(
    ("plain", "hydra", "key"),
    [
        ({"tags": {"x": [[{"_target_": "os.system"}]]}}, {}, "tags.x.0.0._target_"),
        ({"a": {"_target_": 3}}, {}, "a._target_"),
        ({}, {"launcher": {"_target_": "os.system"}}, "hydra.launcher._target_"),
        ({}, {"x": [{"_target_": "cnnlab.backbones.create"}]}, "hydra.x.0._target_"),
        ({}, {"x": {"_target_": "${model._target_}"}}, "hydra.x._target_"),
        ({}, {"callbacks": {"x": {"_target_": "cnnlab.a.b"}}}, "hydra.callbacks"),
        ({}, {"callbacks": {"x": 1}}, "hydra.callbacks"),
    ],
)
def test_refused_in_any_node(plain, hydra, key):
    with pytest.raises(UserError) as caught:
        refuse_targets(plain, hydra)
    assert str(caught.value).startswith(key)


def test_interpolated_targets_wait_and_plugins_pass():
    plugin = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}
    refuse_targets({"a": {"_target_": "${b}"}}, {"sweeper": plugin, "callbacks": {}})
