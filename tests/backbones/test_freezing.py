import pytest
import torch

from cnnlab.backbones import create

BARE = {"weights": None, "seed": 0, "knobs": {}}


def features(name, freeze):
    return create(None, 3, True, name=name, freeze=freeze, **BARE)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    "name",
    ["lenet5_modern", "resnet20_cifar", "resnet18", "convnext_atto", "mobilenetv3_small_050"],
)
def test_frozen_is_what_computes_the_first_maps(name, stages):
    """Oracle: the parameters that a gradient from those maps reaches."""
    free, frozen = features(name, 0), features(name, stages)
    images = torch.rand(2, 3, 64, 64)
    sum(maps.square().sum() for maps in free(images)[:stages]).backward()
    reached = {key for key, p in free.named_parameters() if p.grad is not None}
    learns = {key for key, p in frozen.named_parameters() if p.requires_grad}
    assert reached
    assert learns == {key for key, _ in free.named_parameters()} - reached


@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet18", "mobilenetv3_small_050"])
def test_statistics_stay_in_training(name):
    net = create(10, 3, name=name, freeze=2, **BARE).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net(5 * torch.rand(4, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = {
        key for key, value in net.state_dict().items() if not torch.equal(value, before[key])
    }
    first, last = (net.feature_info[index]["module"] for index in (1, -1))
    frozen = (first, "stem", "conv1", "conv_stem", "bn1", "layer1")
    assert not [key for key in changed if key.startswith(frozen)]
    assert any("running_mean" in key for key in changed)
    assert any(key.startswith(last) for key in changed)


@pytest.mark.parametrize("features_only", [False, True])
def test_frozen_net_computes_the_same(features_only):
    """All frozen, training mode: what the free net computes in evaluation."""
    free, frozen = (
        create(None, 3, features_only, name="resnet18", freeze=f, **BARE) for f in (0, 5)
    )
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(frozen.train()(images), free.eval()(images))
