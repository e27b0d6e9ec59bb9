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
CLAIMS = """
resnext_groups resnext_equation plain_vs_residual resnet_depth wrn_width preact stochastic_depth
squeeze_excite shufflenet_shuffle shufflenet_vs_mobilenet mobilenet_multipliers depthwise_separable
flops_vs_runtime small_kernels convnext_steps compound_scaling batchnorm_free shift_vs_depthwise
deformable_layers seg_loss unet_skips fcn_stride upsampling det_focal det_anchors alexnet_recipe
""".split()
SCALES = ("small", "paper")


def read(name: str, scale: str) -> definition.Ablation:
    node: Any = OmegaConf.to_container(OmegaConf.load(FILES[name]), resolve=True)
    return definition.read(name, node["ablation"], scale, {"tolerance": 0.05})


def refuse(name: str, scale: str, arms: list[str]) -> Iterator[str]:
    """What is wrong with the runs of these arms."""
    ablation = read(name, scale)
    for arm in arms:
        try:
            composed = compose([*ablation.scales[scale], *ablation.arms[arm], "seed=0"])
            check(composed)
        except UserError as error:
            yield f"{arm}: {error}"


def test_every_claim_whose_parts_exist_has_its_file():
    assert set(CLAIMS) <= FILES.keys()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FILES)
def test_reads(name: str, scale: str):
    ablation = read(name, scale)
    assert len(ablation.seeds) >= 5  # with fewer the exact sign-flip p cannot fall below 0.125
    if ablation.published:
        published = {"table": ablation.published.table, "rows": ablation.published.rows}
        check_published(published, ablation.metric, "ablation.published")


@pytest.mark.parametrize("name", FILES)
def test_each_arm_of_the_small_scale_could_start(name: str):
    assert not list(refuse(name, "small", list(read(name, "small").arms)))


@pytest.mark.parametrize("name", FILES)
def test_the_first_and_last_arm_of_the_paper_scale_could_start(name: str):
    arms = list(read(name, "paper").arms)
    assert not list(refuse(name, "paper", [arms[0], arms[-1]]))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_each_arm_of_the_paper_scale_could_start(name: str):
    assert not list(refuse(name, "paper", list(read(name, "paper").arms)))


@pytest.mark.parametrize("name", FILES)
def test_small_sees_real_images_briefly_and_selects_nothing_on_val(name: str):
    ablation = read(name, "small")
    cfg = compose([*ablation.scales["small"], *next(iter(ablation.arms.values()))]).cfg
    sets = "Cifar10 FashionMnist DigitScenes Masks".split()
    assert cfg.data._target_.rpartition(".")[2] in sets
    assert cfg.trainer.validate_every == cfg.trainer.max_epochs


@pytest.mark.parametrize("name", FILES)
def test_begins_with_its_claim(name: str):
    first, second, *_ = FILES[name].read_text(encoding="utf-8").splitlines()
    assert first == "# @package _global_"
    assert re.match(r"# [A-Z]", second)


def test_docs_list_every_file():
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    assert {row for row in re.findall(r"^\| `(\w+)` \|", page, re.M)} == FILES.keys()
