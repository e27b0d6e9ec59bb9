import pytest
import timm
import torch
from omegaconf import OmegaConf

from cnnlab.backbones import create
from cnnlab.errors import UserError

BARE = {"weights": None, "freeze": 0, "seed": 0, "knobs": {}}


def make(name, num_classes=10, in_chans=3, **arguments):
    return create(num_classes, in_chans, name=name, **(BARE | arguments))


def test_initial_weights_are_a_function_of_the_seed_alone():
    torch.manual_seed(1)
    first = make("resnet20_cifar", seed=3).state_dict()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = make("resnet20_cifar", seed=3).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], second[key]) for key in first)
    third = make("resnet20_cifar", seed=4).state_dict()
    assert not torch.equal(first["stem.0.weight"], third["stem.0.weight"])


def test_papers_words_become_timms():
    """The deck's row ResNeXt-50 2x40d: 25,425,000 parameters (Xie et al. 2017, Table 3)."""
    with torch.device("meta"):
        net = make("resnet50", 1000, groups=2, width_per_group=40, drop_path=0.2, dropout=0.3)
        theirs = timm.create_model("resnet50", cardinality=2, base_width=40)
    assert sum(p.numel() for p in net.parameters()) == 25_425_000
    shapes = [{key: v.shape for key, v in n.state_dict().items()} for n in (net, theirs)]
    assert shapes[0] == shapes[1]
    assert net.drop_rate == 0.3
    assert net.layer4[2].drop_path.drop_prob == pytest.approx(0.2)


def test_our_nets_keep_the_papers_words():
    with torch.device("meta"):
        net = make("resnet_cifar", depth=26, width=8, shortcut="B", drop_path=0.1)
    assert len(net.stage3) == 4
    assert net.stage3[3].drop_path.drop_prob == pytest.approx(0.1)
    assert net.num_features == 32


def test_knobs_reach_the_net_as_plain_values():
    config = OmegaConf.create({"layers": [1, 1, 1, 1], "block_args": {"attn_layer": "se"}})
    with torch.device("meta"):
        net = make("resnet18", layers=config.layers, knobs={"block_args": config.block_args})
    assert net.layer1[0].se is not None
    assert [type(value) for value in net._model_args.values() if not isinstance(value, int)] == [
        list,
        dict,
    ]


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "efficientnet_scaled"])
def test_the_size_a_net_is_made_for_can_be_said(name):
    with torch.device("meta"):
        assert make(name, image_size=160).pretrained_cfg["input_size"] == (3, 160, 160)


def test_a_net_with_positions_is_built_for_the_size():
    with torch.device("meta"):
        net = make("vit_base_patch16_224", image_size=160)
        assert net(torch.empty(1, 3, 160, 160)).shape == (1, 10)
    assert net.pos_embed.shape[1] == 1 + 10 * 10


def test_features():
    arguments = BARE | {"name": "resnet18"}
    with torch.device("meta"):
        net = create(None, 1, True, **arguments)
        maps = net(torch.empty(1, 1, 64, 64))
        two = create(None, 3, True, (1, 4), **arguments)
    assert [m.shape[1] for m in maps] == net.feature_info.channels() == [64, 64, 128, 256, 512]
    assert two.feature_info.reduction() == [4, 32]


@pytest.mark.parametrize("timm_name", ["resnet50.a1_in1k", "resnet18"])
def test_defaults_are_the_nets_own(timm_name):
    with torch.device("meta"):
        assert create(name=timm_name, **BARE).num_classes == 1000
        assert create(name="lenet5_modern", **BARE).num_classes == 10


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet5", {}, r"model\.name=resnet5: no such net in timm or here; did you mean 'resnet5"),
        ("resnet50.a9", {}, r"model\.name=resnet50\.a9: no such weights.*resnet50\.a1_in1k"),
        ("hf-hub:x/y", {}, r"model\.name=hf-hub:x/y: no such net"),
        ("resnet18", {"depth": 20}, r"model\.depth: resnet18 has no such argument"),
        ("vgg11", {"drop_path": 0.1}, r"model\.drop_path: vgg11 has no such argument"),
        ("resnet20_cifar", {"depth": 26}, r"model\.depth: the name resnet20_cifar fixes it"),
        ("resnet_cifar", {"depth": 21}, r"model\.depth=21: must be 6n \+ 2"),
        ("resnet18", {"groups": 3}, r"resnet18 refuses model\.groups=3: BasicBlock only supports"),
        ("resnet20_cifar", {"freeze": 4}, r"model\.freeze=4: this net has 3 stages"),
        (
            "resnet50",
            {"knobs": {"cardnality": 2}},
            r"model\.knobs\.cardnality: resnet50 has no such .*; did you mean 'cardinality'",
        ),
        (
            "resnet50",
            {"groups": 2, "knobs": {"cardinality": 2}},
            r"model\.knobs\.cardinality=2: this is for model\.groups to say",
        ),
        (
            "resnet50",
            {"knobs": {"in_chans": 2}},
            r"model\.knobs\.in_chans=2: this is for the data and the head to say",
        ),
        (
            "resnet50",
            {"knobs": {"checkpoint_path": "x"}},
            r"model\.knobs\.checkpoint_path=x: this is for model\.weights to say",
        ),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(name, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        make(name, **arguments)
    assert "\n" not in str(caught.value)


def test_every_knob_of_timms_sinks_is_checked_too():
    """Nets of timm whose constructors take **kwargs."""
    for name in ("regnetx_002", "hrnet_w18_small", "nf_resnet26", "gernet_s", "poolformer_s12"):
        with pytest.raises(UserError, match=f"model.knobs.widht: {name} has no such argument"):
            make(name, knobs={"widht": 4})
