import random
from contextlib import contextmanager

import numpy as np
import pytest
import timm
import torch


def snapshot(net):
    return (
        {k: v.clone() for k, v in net.state_dict().items()},
        torch.get_rng_state(),
        [m.training for m in net.modules()],
        [(p.requires_grad, p.grad is None, p.device, p.dtype) for p in net.parameters()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in net.modules()],
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002 (the global state is the question)
    )


@pytest.fixture
def net_in_training():
    """With parts that measuring could disturb: statistics, dropout, freezing, a hook."""
    net = timm.create_model("resnet18", num_classes=10, drop_rate=0.5, drop_path_rate=0.5)
    net.bn1.eval()
    net.conv1.requires_grad_(False)
    net.layer1.register_forward_hook(lambda module, inputs, output: output * 1)
    return net.to(torch.bfloat16)


@pytest.fixture
def left_alone():
    """`with left_alone(net)`: afterwards net and generators are to the bit what they were."""

    @contextmanager
    def check(net):
        values, generator, *rest = snapshot(net)
        yield
        values_now, generator_now, *rest_now = snapshot(net)
        torch.testing.assert_close(values_now, values, rtol=0, atol=0)
        assert torch.equal(generator, generator_now)
        assert rest == rest_now

    return check
