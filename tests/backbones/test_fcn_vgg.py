import timm
import torch
import torch.nn.functional as F

import cnnlab.backbones.fcn_vgg  # noqa: F401  (registers it)
from cnnlab.backbones.convert import convert


def build(name, **knobs):
    with torch.device("meta"):
        return timm.create_model(name, **knobs)


def test_is_vgg_16_of_a_padded_image():
    """99 rows of zeros around 26 pixels make 224: there VGG-16 has one place, and no pool rounds.

    The weights come over by `convert`, in order.
    """
    torch.manual_seed(0)
    theirs = build("vgg16").eval()
    state = {key: torch.empty(value.shape) for key, value in theirs.state_dict().items()}
    for value in state.values():
        # Of a variance that lets the image through sixteen layers; quicker than a normal one.
        torch.nn.init.uniform_(value, -1, 1).mul_((6 / max(1, value[0].numel())) ** 0.5)
    theirs.load_state_dict(state, assign=True)
    ours = build("fcn_vgg16").eval()
    ours.load_state_dict(convert(state, "fcn_vgg16"), assign=True)
    images = torch.rand(1, 3, 26, 26)
    with torch.no_grad():
        expected = theirs(F.pad(images, [99] * 4))
        assert expected.std() > 0.01
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-4)


def test_maps_of_the_released_net():
    """Of 500 pixels: 698, then halved and rounded up; fc6 takes six cells."""
    net = build("fcn_vgg16", features_only=True)
    maps = net(torch.empty(1, 3, 500, 375, device="meta"))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 349, 287),
        (128, 175, 144),
        (256, 88, 72),
        (512, 44, 36),
        (4096, 16, 12),
    ]


def test_dropout_is_a_knob():
    net = build("fcn_vgg16", dropout=0.25)
    rates = [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates.count(0.25) == 2
