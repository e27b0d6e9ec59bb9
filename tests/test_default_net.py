from types import SimpleNamespace

import pytest

from cnnlab import default_net
from cnnlab.config import compose


def remark(size: tuple[int, int], *words: str) -> str:
    backbone = SimpleNamespace(pretrained_cfg={"input_size": (3, 32, 32)})
    task = SimpleNamespace(net=SimpleNamespace(backbone=backbone))
    return default_net.remark(compose(list(words)), task, size)


def test_a_net_that_nobody_chose_is_told_over_large_images() -> None:
    assert remark((480, 640), "data=bccd") == (
        "resnet20_cifar is the default, made for images of 32 x 32; these are 480 x 640: choose a "
        "net with model=NAME, such as resnet18"
    )


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((480, 640), ["data=bccd", "model=resnet20_cifar"]),
        ((480, 640), ["experiment=bccd_lite0"]),
        ((128, 128), ["data=bccd"]),
    ],
)
def test_else_nothing_is_said(size: tuple[int, int], words: list[str]) -> None:
    assert remark(size, *words) == ""
