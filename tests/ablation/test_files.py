"""The files of conf/ablation: each reads, and each of its arms is a run that could start."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from cnnlab.ablation import definition
from cnnlab.config import check, compose
from cnnlab.errors import UserError
from cnnlab.tracking.published import check_published

ROOT = Path(__file__).parents[2]
FILES = {file.stem: file for file in sorted((ROOT / "conf" / "ablation").glob("*.yaml"))}
# By hand: a file that goes missing would take its own test along.
CLAIMS = [
    "resnext_groups", "resnext_equation", "plain_vs_residual", "resnet_depth", "wrn_width",
    "preact", "stochastic_depth", "squeeze_excite", "shufflenet_shuffle",
    "shufflenet_vs_mobilenet", "mobilenet_multipliers", "depthwise_separable", "flops_vs_runtime",
    "small_kernels", "convnext_steps", "compound_scaling", "batchnorm_free", "shift_vs_depthwise",
    "deformable_layers", "seg_loss", "unet_skips", "fcn_stride", "upsampling", "det_focal",
    "det_anchors", "alexnet_recipe",
]  # fmt: skip
SCALES = ("small", "paper")
REAL = ("Cifar10", "FashionMnist", "DigitScenes", "Masks")  # Masks: the membranes of ISBI


def read(name: str, scale: str) -> definition.Ablation:
    node: Any = OmegaConf.to_container(OmegaConf.load(FILES[name]), resolve=True)
    return definition.read(name, node["ablation"], scale, {"tolerance": 0.05})


def start(name: str, scale: str, arms: list[str]) -> Iterator[Any]:
    """The checked configs of these arms."""
    ablation = read(name, scale)
    for arm in arms:
        try:
            composed = compose([*ablation.scales[scale], *ablation.arms[arm], "seed=0"])
            check(composed)
        except UserError as error:
            pytest.fail(f"{arm}: {error}")
        yield composed.cfg


def test_every_claim_whose_parts_exist_has_its_file():
    assert set(CLAIMS) <= FILES.keys()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FILES)
def test_reads(name: str, scale: str):
    ablation = read(name, scale)
    assert len(ablation.seeds) >= 5  # with four the exact sign-flip p is 0.125 at best
    if ablation.published:
        published = {"table": ablation.published.table, "rows": ablation.published.rows}
        check_published(published, ablation.metric, "ablation.published")


@pytest.mark.parametrize("name", FILES)
def test_the_first_and_last_arm_of_the_small_scale_could_start_on_real_images(name: str):
    arms = list(read(name, "small").arms)
    for cfg in start(name, "small", [arms[0], arms[-1]]):
        assert cfg.data._target_.rpartition(".")[2] in REAL
        assert cfg.trainer.validate_every == cfg.trainer.max_epochs  # nothing is selected on val


@pytest.mark.parametrize("name", FILES)
def test_the_first_and_last_arm_of_the_paper_scale_could_start(name: str):
    arms = list(read(name, "paper").arms)
    assert len(list(start(name, "paper", [arms[0], arms[-1]]))) == 2


@pytest.mark.slow  # some 300 configs
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FILES)
def test_each_arm_could_start(name: str, scale: str):
    arms = list(read(name, scale).arms)
    assert len(list(start(name, scale, arms))) == len(arms)


@pytest.mark.parametrize("name", FILES)
def test_begins_with_its_claim(name: str):
    first, second, *_ = FILES[name].read_text(encoding="utf-8").splitlines()
    assert first == "# @package _global_"
    assert re.match(r"# [A-Z]", second)


def test_docs_list_every_file():
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    assert {row for row in re.findall(r"^\| `(\w+)` \|", page, re.M)} == FILES.keys()
