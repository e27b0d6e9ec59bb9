import pytest
import timm
import torch
import torchvision

from cnnlab.complexity.count import count


def stacked(layers):
    """r_l = r_(l-1) + (k_l - 1) * product of the strides before (deck 2)."""
    seen, jump = 1, 1
    for kernel, stride in layers:
        seen, jump = seen + (kernel - 1) * jump, jump * stride
    return seen


VGG16 = [layer for n in (2, 2, 3, 3, 3) for layer in [(3, 1)] * n + [(2, 2)]]
ALEXNET = [(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)]


def bottlenecks(depths, stride_in_3x3):
    layers = [(7, 2), (3, 2)]
    for stage, depth in enumerate(depths):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            layers += [(1, 1), (3, stride)] if stride_in_3x3 else [(1, stride), (3, 1)]
    return layers


@pytest.mark.parametrize(
    ("name", "layer", "layers", "published"),
    [
        ("vgg16", "features.30", VGG16, 212),
        ("alexnet", "features.12", ALEXNET, 195),  # Araujo et al. 2019
        ("resnet50", "layer4.2.conv2", bottlenecks((3, 4, 6, 3), True), 427),
        ("resnet101", "layer4.2.conv2", bottlenecks((3, 4, 23, 3), True), 971),
    ],
)
def test_known_nets(name, layer, layers, published):
    with torch.device("meta"):
        net = torchvision.models.get_model(name, weights=None)
    seen = {row.name: row.receptive_field for row in count(net, (3, 224, 224)).layers}
    assert seen[layer] == (published, published)
    assert stacked(layers) == published


def test_resnet50_with_the_papers_stride():
    """The stride on the first 1x1 of a stage: 483 (Araujo et al. 2019)."""
    with torch.device("meta"):
        net = torchvision.models.resnet50()
    for stage in (net.layer2, net.layer3, net.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    seen = {row.name: row.receptive_field for row in count(net, (3, 224, 224)).layers}
    assert seen["layer4.2.conv3"] == (483, 483)
    assert stacked(bottlenecks((3, 4, 6, 3), False)) == 483


def test_does_not_depend_on_the_input_size():
    """Also where maps are one pixel wide, with linear layers between convolutions."""
    with torch.device("meta"):
        net = timm.create_model("convnext_atto", num_classes=10)
    stage4 = [
        [
            row.receptive_field
            for row in count(net, (3, size, size)).layers
            if "stages.3" in row.name
        ]
        for size in (32, 256)
    ]
    assert stage4[0] == stage4[1]
    # Patches of 4, then 2, 2, 6, 2 blocks of 7x7 with a 2x2 of stride 2 between.
    layers = [(4, 4)] + [(7, 1)] * 2 + [(2, 2)] + [(7, 1)] * 2 + [(2, 2)]
    layers += [(7, 1)] * 6 + [(2, 2)] + [(7, 1)] * 2
    assert stage4[0][-1] == (stacked(layers),) * 2


def test_global_pooling_sees_the_image():
    with torch.device("meta"):
        net = timm.create_model("seresnet18")
    rows = {row.name: row.receptive_field for row in count(net, (3, 96, 64)).layers}
    assert rows["layer1.0.conv2"] == (27, 27)
    assert rows["layer1.1.conv1"][0] >= 96  # scaled by squeeze-and-excitation
    assert rows["fc"] == (96, 64)
