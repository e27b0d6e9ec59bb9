from typing import Any

import pytest

from cnnlab.errors import UserError
from cnnlab.tracking.contrasts import Contrast
from cnnlab.tracking.published import PublishedEffect, check_published, published_effects

GROUPS = {
    "table": "T01_resnext_groups",
    "rows": {
        "g1": "ResNet-50|groups=1 group_width=64",
        "g2": "ResNeXt-50|groups=2 group_width=40",
        "g32": "ResNeXt-50|groups=32 group_width=4",
    },
}


def effect(
    published: dict[str, Any], weights: dict[str, float], metric: str = "test/top1", **rank: bool
) -> PublishedEffect:
    contrast = Contrast("c", weights, "positive", **rank)
    return published_effects(published, [contrast], metric)["c"]


def test_a_drop_in_error_is_a_gain_in_top1():
    # Xie et al. 2017, Table 3: 23.9 -> 22.2 % error.
    found = effect(GROUPS, {"g32": 1, "g1": -1})
    assert found.value == pytest.approx(0.017)
    assert (found.unit, found.metric, found.dataset) == ("%", "top1_error", "ImageNet-1k val")
    assert found.note == "paper Table 3 (single crop 224)"
    assert found.missing == ""


def test_an_accuracy_keeps_its_sign():
    published = {
        "table": "T11_squeezenet_compression",
        "rows": {
            "alexnet": "AlexNet|None (baseline); 32 bit",
            "squeezenet": "SqueezeNet|None; 32 bit",
        },
    }
    weights = {"squeezenet": 1, "alexnet": -1}
    assert effect(published, weights).value == pytest.approx(0.003)  # 57.5 against 57.2 %
    assert effect(published, weights, "val/top5").value == pytest.approx(0.0)
    assert effect(published, weights, "val/top5").metric == "top5_accuracy"


def test_a_difference_of_differences_is_that_of_the_printed_ones():
    # ShuffleNet v1, 1x: the table prints a gain by the shuffle of 5.2 points (8 groups), 1.9 (3).
    published = {
        "table": "T09_shuffle_ablation",
        "rows": {
            "g3": "ShuffleNet 1x (g=3)|shuffle",
            "g3_none": "ShuffleNet 1x (g=3)|no shuffle",
            "g8": "ShuffleNet 1x (g=8)|shuffle",
            "g8_none": "ShuffleNet 1x (g=8)|no shuffle",
        },
    }
    weights = {"g8": 1, "g8_none": -1, "g3": -1, "g3_none": 1}
    assert effect(published, weights).value == pytest.approx(0.052 - 0.019)


def test_a_rank_turns_with_the_direction():
    numbers = {"g1": 1, "g2": 2, "g32": 32}  # errors 23.9, 23.0, 22.2: accuracy rises with them
    assert effect(GROUPS, numbers, rank=True).value == pytest.approx(1.0)


def test_the_data_set_tells_rows_apart():
    rows = {arm: f"{model}|{setting}|CIFAR-100 test" for arm, model, setting in (
        ("wide", "WRN-16-8", "depth=16 k=8"), ("deep", "WRN-40-4", "depth=40 k=4"))}  # fmt: skip
    published = {"table": "T08_wrn", "rows": rows}
    assert effect(published, {"wide": 1, "deep": -1}).value == pytest.approx(0.2289 - 0.2207)
    check_published(published, "test/top1", "ablation.published")


def test_an_arm_without_a_row_leaves_no_effect_and_is_named():
    found = effect(GROUPS, {"g32": 1, "g64": -1})
    assert found == PublishedEffect(None, missing="g64: no row is named for it")
    assert effect(GROUPS, {"g32": 1, "g1": -1}).value is not None


def test_rows_of_two_data_sets_have_no_difference():
    published = {
        "table": "T02_ilsvrc",
        "rows": {"zf": "ILSVRC13", "vgg": "ILSVRC14"},
    }
    found = effect(published, {"vgg": 1, "zf": -1}, "test/top5")
    assert found.value is None
    assert "top5_error of ILSVRC14 test and top5_error of ILSVRC13 test" in found.missing


def test_another_quantity_is_not_taken_for_ours():
    found = effect(GROUPS, {"g32": 1, "g1": -1}, "test/top5")
    assert found.value is None
    assert "g1: T01_resnext_groups has top1_error of it, which is not test/top5" in found.missing
    assert "comparable with val/loss" in effect(GROUPS, {"g32": 1, "g1": -1}, "val/loss").missing


def test_nothing_published_is_nothing():
    assert published_effects(None, [Contrast("c", {"a": 1, "b": -1}, "positive")], "x") == {}


@pytest.mark.parametrize(
    ("table", "rows", "metric", "said"),
    [
        ("T01_resnext_group", {}, "test/top1",
         ".table=T01_resnext_group: one of .* mean 'T01_resnext_groups'"),
        ("T01_resnext_groups", {"g1": "groups=1 group_width=46"}, "test/top1",
         ".rows.g1=groups=1 group_width=46: .* no such row.* mean 'groups=1 group_width=64'"),
        ("T01_resnext_groups", {"g1": "groups=1 group_width=64"}, "test/top1",
         r".rows.g1=.*: several rows .* 'ResNet-50\|groups=1 group_width=64' or 'ResNet-101\|"),
        ("T08_wrn", {"w": "depth=16 k=8"}, "test/top1", "several .*CIFAR-10 test' or .*CIFAR-100"),
        ("T17_claims", {"a": "CIFAR"}, "test/top1", ".rows.a=CIFAR: T17_claims has no such row"),
        ("T12_convnext", {"a": "ConvNeXt-T|image size 224"}, "test/miou", "which is not test/miou"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_its_key(
    table: str, rows: dict[str, str], metric: str, said: str
):
    with pytest.raises(UserError, match=said) as error:
        check_published({"table": table, "rows": rows}, metric, "ablation.published")
    assert str(error.value).startswith("ablation.published.")
    assert "\n" not in str(error.value)


def test_the_tables_of_the_decks_pass():
    check_published(GROUPS, "test/top1", "ablation.published")
    plain = {"p": "plain-18|10-crop testing", "r": "ResNet (option A)-18|10-crop testing"}
    check_published({"table": "T06_plain_vs_resnet", "rows": plain}, "test/top1", "x")
    deform = {"none": "DeepLab ResNet-101|deformable: res5c (1)|VOC 2012 val"}
    check_published({"table": "T13_deformable", "rows": deform}, "test/miou", "x")
