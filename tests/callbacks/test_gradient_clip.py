import pytest
import torch
from torch import nn

from cnnlab.callbacks.gradient_clip import GradientClip


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(4, 2), nn.Linear(4, 4, bias=False)

    def get_classifier(self) -> nn.Module:
        return self.last


class Task(nn.Module):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net


def clipped(mode: str, value: float) -> Net:
    torch.manual_seed(0)
    net = Net()
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    GradientClip(value=value, mode=mode).on_before_optimizer_step(None, Task(net), None)
    return net


def test_norm_limits_the_global_norm():
    net = clipped("norm", 1.0)
    norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
    assert norm.item() == pytest.approx(1.0, abs=1e-4)


def test_value_limits_each_entry():
    assert all(p.grad.abs().max() == 0.5 for p in clipped("value", 0.5).parameters())


def test_agc_limits_each_filter_by_its_weight_and_leaves_the_last_layer():
    net = clipped("agc", 0.01)
    ratio = net.first.weight.grad.norm(dim=1) / net.first.weight.norm(dim=1)
    torch.testing.assert_close(ratio, torch.full((4,), 0.01))
    assert (net.last.weight.grad == 3.0).all()
