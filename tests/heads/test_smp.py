from functools import partial
from typing import get_args

import pytest
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional as F

from cnnlab.backbones import create
from cnnlab.complexity.count import count
from cnnlab.errors import UserError
from cnnlab.heads.smp import Architecture, SmpDecoder

DECODERS = get_args(Architecture)
OWN_STRIDE = {"deeplabv3": 8, "deeplabv3plus": 16, "pan": 16}
"""The strides to which these dilate their encoder in smp."""


def head(net, decoder, num_classes=5, in_chans=3, *, depth=None, arguments=(), freeze=0, **knobs):
    backbone = partial(create, weights=None, freeze=freeze, seed=0, name=net, knobs=knobs)
    return SmpDecoder(
        backbone, num_classes, in_chans, decoder=decoder, depth=depth, arguments=dict(arguments)
    )


def refusal(net, decoder, **given):
    with pytest.raises(UserError) as caught, torch.device("meta"):
        head(net, decoder, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def both(decoder, net="resnet18", in_chans=3, depth=None, arguments=(), **told):
    """Our head over a net, and smp's model of the same, `told` more, with the same weights."""
    stride = {"output_stride": OWN_STRIDE[decoder]} if decoder in OWN_STRIDE else {}
    ours = head(net, decoder, in_chans=in_chans, depth=depth, arguments=arguments, **stride)
    theirs = smp.create_model(decoder, f"tu-{net}", None, in_chans, 5, **dict(arguments), **told)
    state = theirs.state_dict()
    ours.load_state_dict({k.replace("encoder.model.", "backbone."): v for k, v in state.items()})
    return ours.eval(), theirs.eval()


@pytest.mark.parametrize("decoder", DECODERS)
def test_equals_smp_with_equal_weights(decoder):
    # smp's own default for pspnet is three maps.
    ours, theirs = both(decoder, depth=3 if decoder == "pspnet" else None)
    images = torch.rand(2, 3, 128 if decoder == "pan" else 64, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("decoder", "given"),
    [
        # Strides 4, 8, 16, 32: none of 2.
        ("upernet", {"net": "convnext_atto", "arguments": {"decoder_channels": 32}}),
        ("linknet", {"net": "convnext_atto"}),
        ("unetplusplus", {"net": "convnext_atto"}),
        # Strides 1, 2, 4; smp has to be told the widths.
        ("manet", {"net": "resnet20_cifar", "encoder_depth": 2, "decoder_channels": (32, 16)}),
        ("segformer", {"in_chans": 2, "depth": 4, "encoder_depth": 4}),
        # The finest level has stride 2; smp has to be told by how much to enlarge.
        ("fpn", {"depth": 4, "encoder_depth": 4, "upsampling": 2}),
    ],
)
def test_equals_smp_over_other_nets(decoder, given):
    ours, theirs = both(decoder, **given)
    images = torch.rand(2, given.get("in_chans", 3), 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_an_odd_size_is_padded_below_and_right_with_zeros():
    ours, theirs = both("fpn")
    images = torch.rand(2, 3, 65, 83)
    with torch.no_grad():
        want = theirs(F.pad(images, (0, 13, 0, 31)))[..., :65, :83]
        torch.testing.assert_close(ours(images), want)


@pytest.mark.parametrize(
    ("net", "decoder", "knobs", "strides"),
    [
        ("resnet18", "fpn", {}, [2, 4, 8, 16, 32]),  # as it is
        ("resnet18", "deeplabv3plus", {}, [2, 4, 8, 16, 16]),  # enlarged
        ("resnet18", "deeplabv3plus", {"output_stride": 16}, [2, 4, 8, 16, 16]),
        ("resnet18", "fpn", {"output_stride": 16}, [2, 4, 8, 16, 32]),  # resized
        ("resnet20_cifar", "unet", {}, [1, 2, 4]),
        ("resnet20_cifar", "fpn", {}, [1, 2, 4, 8]),  # continued
        ("resnet20_cifar", "deeplabv3", {}, [1, 2, 4, 8]),
        ("alexnet", "fpn", {}, [4, 8, 16, 32]),
        ("vit_tiny_patch16_224", "upernet", {}, [4, 8, 16]),
    ],
)
def test_maps_are_adapted_to_what_the_decoder_takes(net, decoder, knobs, strides):
    with torch.device("meta"):
        made = head(net, decoder, **knobs)
        assert made.strides == strides
        assert made(torch.empty(2, 3, 224, 224)).shape == (2, 5, 224, 224)
    assert len(made.further) == len(strides) - len(made.channels)


def test_every_parameter_of_further_maps_learns():
    net = head("resnet20_cifar", "fpn")
    net(torch.rand(2, 3, 65, 83)).square().mean().backward()
    assert len(net.further) == 1
    assert all(p.grad.any() for p in net.further.parameters())


@pytest.mark.parametrize("decoder", DECODERS)
def test_maps_that_do_not_have_the_quotients_size(decoder):
    """AlexNet pads no border: (224 - 11) // 4 + 1 = 54, not 56, and pooled (54 - 3) // 2 + 1."""
    with torch.device("meta"):
        net = head("alexnet", decoder)
        assert [x.shape[-1] for x in net.maps(torch.empty(1, 3, 224, 224))] == [54, 26, 12]
        assert net(torch.empty(2, 3, 224, 220)).shape == (2, 5, 224, 220)


@pytest.mark.parametrize("decoder", ["fpn", "unet", "segformer", "upernet"])
def test_a_net_with_channels_last(decoder):
    with torch.device("meta"):
        net = head("swin_tiny_patch4_window7_224", decoder)
        assert net(torch.empty(2, 3, 224, 224)).shape == (2, 5, 224, 224)


def test_knobs_and_freezing_of_the_backbone_hold():
    net = head("resnet18", "fpn", freeze=2, layers=[1, 1, 1, 1])
    assert not any(p.requires_grad for p in net.backbone.layer1.parameters())
    assert len(net.backbone.layer1) == 1
    assert all(p.requires_grad for p in net.decoder.parameters())


def test_smp_is_left_as_it_was():
    before = dict(smp.encoders.encoders)
    head("resnet20_cifar", "unet")
    refusal("vit_tiny_patch16_224", "fpn", depth=1)
    assert smp.encoders.encoders == before


def test_arguments_reach_the_decoder():
    net = head("resnet18", "fpn", arguments={"decoder_pyramid_channels": 32})
    assert net.decoder.p5.out_channels == 32


def test_a_shallower_unet_has_the_widths_of_its_strides():
    deep, flat = head("resnet18", "unet"), head("resnet18", "unet", depth=3)
    widths = [block.conv2[0].out_channels for block in deep.decoder.blocks]
    assert widths == [256, 128, 64, 32, 16]
    assert [block.conv2[0].out_channels for block in flat.decoder.blocks] == widths[2:]


@pytest.mark.parametrize(
    ("decoder", "arguments", "said"),
    [
        (
            "fpn",
            {"decoder_pyramid_chanels": 128},
            "head.arguments.decoder_pyramid_chanels=128: fpn has no such one; "
            "did you mean 'decoder_pyramid_channels'?",
        ),
        # These are the program's to give.
        ("fpn", {"encoder_depth": 3}, "head.arguments.encoder_depth=3"),
        ("fpn", {"activation": "softmax"}, "head.arguments.activation=softmax"),
        ("fpn", {"decoder_merge_policy": "mean"}, "`merge_policy` must be one of: ['add', 'cat']"),
        ("fpn", {"decoder_interpolation": "best"}, "head.arguments={'decoder_interpolation': 'be"),
        ("unet", {"decoder_channels": [64, 32]}, "but you provide `decoder_channels` for 2 blocks"),
        ("upernet", {"decoder_channels": "wide"}, "upernet refuses: "),
    ],
)
def test_wrong_arguments(decoder, arguments, said):
    assert said in refusal("resnet18", decoder, arguments=arguments)


def test_maps_that_no_adapting_makes_fit():
    said = refusal("vit_tiny_patch16_224", "fpn", depth=1)
    assert "does not work over maps of strides 16: " in said
    assert "our own heads (unet, fcn) take any" in said


@pytest.mark.parametrize("decoder", ["deeplabv3plus", "pan"])
def test_one_image_a_batch(decoder):
    net = head("resnet18", decoder, output_stride=16)
    images = torch.rand(1, 3, 64, 64)
    with pytest.raises(UserError, match="learns from 2 images a batch or more") as caught:
        net(images)
    assert "\n" not in str(caught.value)
    assert net.eval()(images).shape == (1, 5, 64, 64)


def test_cost_of_unet_over_resnet34():
    """smp's own Unet("resnet34", classes=21), counted outside of cnnlab."""
    with torch.device("meta"):
        cost = count(head("resnet34", "unet", 21), (3, 512, 512))
    assert (cost.params, cost.macs) == (24_439_269, 32_010_928_128)
