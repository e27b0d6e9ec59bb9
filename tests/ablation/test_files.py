"""The files of conf/ablation: each reads, and each of its arms is a run that could start.

The plan itself is made of every file at both scales, from words to solved knobs, without data.
"""

import importlib
import json
import math
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from cnnlab.ablation import definition
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.plan import Arm, Planned, plan
from cnnlab.complexity.count import Cost
from cnnlab.config import to_plain
from cnnlab.tracking.published import check_published

ROOT = Path(__file__).parents[2]
FILES = {file.stem: file for file in sorted((ROOT / "conf" / "ablation").glob("*.yaml"))}
# By hand: a file that goes missing would take its own test along.
CLAIMS = [
    "resnext_groups", "resnext_groups_101", "resnext_equation", "plain_vs_residual",
    "resnet_depth", "wrn_width", "preact", "stochastic_depth", "squeeze_excite",
    "shufflenet_shuffle", "shufflenet_vs_mobilenet", "mobilenet_multipliers",
    "depthwise_separable", "flops_vs_runtime", "small_kernels", "convnext_steps",
    "compound_scaling", "regnet_space", "batchnorm_free", "shift_vs_depthwise",
    "deformable_layers", "seg_loss", "unet_skips", "fcn_stride", "upsampling", "det_focal",
    "det_anchors", "alexnet_recipe", "bn_folding",
]  # fmt: skip
SCALES = ("small", "paper")
REAL = ("Cifar10", "FashionMnist", "DigitScenes", "Masks")  # Masks: the membranes of ISBI
HELD = (
    *("resnext_groups", "resnext_groups_101", "resnext_equation"),
    *("shift_vs_depthwise", "upsampling"),
)
"""Those that solve a knob."""


@cache
def written(name: str) -> Any:
    """The file, over the one that it begins with."""
    file: Any = OmegaConf.load(FILES[name])
    for default in file.defaults:
        if isinstance(default, str) and default != "_self_":
            file = OmegaConf.merge(written(default), file)
    return file


@cache
def read(name: str, scale: str) -> definition.Ablation:
    node: Any = OmegaConf.to_container(written(name).ablation, resolve=True)
    return definition.read(name, node, scale, {"tolerance": 0.05})


@pytest.fixture(autouse=True)
def without_data(tmp_path, monkeypatch):
    """No set lies where configs look for it, also on a machine that has some."""
    monkeypatch.setenv("CNNLAB_DATA", str(tmp_path / "none"))


@pytest.fixture(scope="module", autouse=True)
def folders_read_once() -> Iterator[None]:
    """Hydra reads the folders once for each choice of groups: that was half of a plan's time.

    Settings, which are what arms differ in most, are applied to copies.
    """
    module: Any = importlib.import_module("cnnlab.config.compose")
    load, loaded = module._load, {}

    def load_once(loader: Any, name: str, groups: list[Any]) -> Any:
        key = (name, *(override.input_line for override in groups))
        if key not in loaded:
            loaded[key] = load(loader, name, groups)
        return deepcopy(loaded[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_load", load_once)
        yield


_BUILT: set[str] = set()


@pytest.fixture
def built_once(monkeypatch):
    """Each net is built, without storage, for the first arm that has it; none is counted."""

    def of(costs: Costs, cfg: Any) -> Cost:
        plain = to_plain(cfg)
        model = {key: plain["model"][key] for key in plain["model"] if key not in _SAME_NET}
        net = json.dumps([model, plain["head"]], sort_keys=True)
        if net not in _BUILT:
            assert costs.params(cfg) > 0
            _BUILT.add(net)
        return Cost(1, 1, 1, 1, (3, 32, 32), [])

    monkeypatch.setattr(Costs, "of", of)


_SAME_NET = ("weights", "seed", "freeze")


def planned(name: str, scale: str, *words: str) -> Planned:
    return plan([f"ablation={name}", f"scale={scale}", *words])


def test_every_claim_whose_parts_exist_has_its_file():
    assert set(CLAIMS) == FILES.keys()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FILES)
def test_reads(name: str, scale: str):
    ablation = read(name, scale)
    assert len(ablation.seeds) >= 5  # with four the exact sign-flip p is 0.125 at best
    if ablation.published:
        published = {"table": ablation.published.table, "rows": ablation.published.rows}
        check_published(published, ablation.metric, "ablation.published")
    assert (ablation.hold is not None) == (name in HELD)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FILES)
def test_is_planned(name: str, scale: str, built_once):
    """All arms, and their nets; costs are held below and counted in a slow test."""
    names = list(read(name, scale).arms)
    found = planned(name, scale, "hold.cost=null", "seed=0")
    assert [arm.name for arm in found.arms] == names
    assert len({job.identity for job in found.plan.jobs}) == len(found.plan.jobs) == len(names)
    for arm in found.arms:
        cfg = arm.composed.cfg
        if scale == "small":
            assert cfg.data._target_.rpartition(".")[2] in REAL
            # Nothing is selected on val.
            assert cfg.trainer.validate_every == cfg.trainer.max_epochs
            assert cfg.tested == "last"


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", FILES)
def test_every_arm_has_a_reason(name: str, scale: str):
    """It is in a contrast, or the baseline, or the file's head says why it is in no contrast."""
    ablation = read(name, scale)
    compared = {arm for contrast in ablation.contrasts for arm in contrast.weights}
    told = " ".join(s for s in sentences(name) if "in no contrast" in s.lower())
    for arm in ablation.arms.keys() - compared - {ablation.baseline}:
        assert re.search(rf"(?<![\w.-]){re.escape(arm)}(?![\w-])", told), f"{arm}: why is it run?"


def sentences(name: str) -> list[str]:
    """Of the comment at the head of a file."""
    lines = FILES[name].read_text(encoding="utf-8").splitlines()
    head = [line.removeprefix("#").strip() for line in takewhile(lambda s: s[0] == "#", lines)]
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(head))


# What is held -----------------------------------------------------------------------------------


@cache
def arms_of(name: str, scale: str) -> dict[str, Arm]:
    """All arms with their solved knobs: planning refuses one that is out of tolerance."""
    return {arm.name: arm for arm in planned(name, scale, "seed=0").arms}


def root(groups: int, width: int) -> float:
    """c of 9 G c^2 + 8 G C c - 17 C^2 = 0 (deck 0), here C = `width`."""
    a, b, c = 9 * groups, 8 * groups * width, -17 * width**2
    return (-b + math.sqrt(b * b - 4 * a * c)) / (2 * a)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("resnext_groups", "small"),
        ("resnext_groups_101", "small"),
        # At 224 pixels; test_hold.py solves the nets of 50 layers with the same tolerance.
        pytest.param("resnext_groups", "paper", marks=pytest.mark.slow),
        pytest.param("resnext_groups_101", "paper", marks=pytest.mark.slow),
        pytest.param("resnext_equation", "small", marks=pytest.mark.slow),
        pytest.param("resnext_equation", "paper", marks=pytest.mark.slow),
        ("shift_vs_depthwise", "small"),  # the nets of both scales are the same
        ("upsampling", "small"),
        pytest.param("upsampling", "paper", marks=pytest.mark.slow),
    ],
)
def test_the_solved_knobs_hold_the_cost(name: str, scale: str):
    arms, hold = arms_of(name, scale), read(name, scale).hold
    held = arms[read(name, scale).baseline].cost["cost/params_m"]
    for arm in arms.values():
        assert arm.cost["cost/params_m"] == pytest.approx(held, rel=hold.tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("resnext_equation", "small"),
        ("resnext_groups", "paper"),
        ("resnext_equation", "paper"),
        ("resnext_groups_101", "paper"),
    ],
)
def test_the_equation_and_the_solver_agree(name: str, scale: str):
    """Nearest whole roots, and for 1 to 32 groups the published 64, 40, 24, 14, 4."""
    widths = {}
    for arm in arms_of(name, scale).values():
        model = to_plain(arm.composed.cfg)["model"]
        widths[model["groups"]] = model["width_per_group"]
    assert widths == {groups: round(root(groups, 64)) for groups in widths}
    assert list(widths.values())[:5] == [64, 40, 24, 14, 4]


# What is counted --------------------------------------------------------------------------------


@pytest.mark.slow  # some 300 nets
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [name for name in FILES if name not in HELD])
def test_each_arm_could_start(name: str, scale: str):
    found = planned(name, scale)
    assert [arm.name for arm in found.arms] == list(read(name, scale).arms)
    assert all(arm.cost["cost/gmacs"] > 0 for arm in found.arms)


def test_arms_of_depthwise_separable_have_the_macs_that_its_head_says():
    """Three forms of one depth and width, and standard nets narrowed to the MACs of two."""
    names = ["standard", "grouped", "separable", "narrow-8.5", "narrow-5.0"]
    found = planned("depthwise_separable", "small", f"arms={','.join(names)}", "seed=0")
    macs = {arm.name: 1000 * arm.cost["cost/gmacs"] for arm in found.arms}
    shapes = {arm.name: arm.composed.cfg.model for arm in found.arms}
    for form in ("grouped", "separable"):
        assert shapes[form].depths == shapes["standard"].depths
        assert shapes[form].widths == shapes["standard"].widths
    assert [round(macs[form], 1) for form in names[:3]] == [19.1, 8.5, 5.0]
    assert macs["narrow-8.5"] == pytest.approx(macs["grouped"], rel=0.02)
    assert macs["narrow-5.0"] == pytest.approx(macs["separable"], rel=0.02)


@pytest.mark.slow  # ten nets at 224 pixels
def test_ranks_of_flops_vs_runtime_are_what_is_counted():
    arms = arms_of("flops_vs_runtime", "small")
    ranked = {c.name: c.weights for c in read("flops_vs_runtime", "small").contrasts if c.rank}
    keys = {"MACs": "gmacs", "parameters": "params_m", "activations": "activations_m"}
    assert ranked.keys() == {f"latency rises with {what}" for what in keys}
    for what, key in keys.items():
        weights = ranked[f"latency rises with {what}"]
        counted = {arm.name: arm.cost[f"cost/{key}"] for arm in arms.values()}
        # G MACs are of a thousand classes, these nets have ten: the order is what counts.
        assert sorted(weights, key=weights.__getitem__) == sorted(counted, key=counted.__getitem__)


# Run --------------------------------------------------------------------------------------------


SHORT = [
    *(f"trainer.limit_{part}_batches=1" for part in ("train", "val", "test")),
    *("data.batch_size=8", "data.eval_batch_size=8", "trainer.threads=1", "logger=none"),
    *("trainer.max_epochs=1", "trainer.validate_every=1", "scheduler.warmup_epochs=0.0"),
    *("callbacks.pictures=null", "seed=0"),
]


@pytest.mark.parametrize(
    ("name", "arms", "embedded"),
    [
        ("resnext_groups", "g1,g32", ["data=digits"]),
        ("seg_loss", "rare-dice,common-focal-2", ["data.scenes=10"]),
    ],
)
def test_runs(name: str, arms: str, embedded: list[str], tmp_path, monkeypatch):
    """From the command line to records, in this process; compare makes a table of them."""
    from cnnlab.ablation import command, launch
    from cnnlab.ablation.job import FOLDER, JOB
    from cnnlab.config import compose
    from cnnlab.tracking.reading import read_run
    from train import run

    jobs: list[Any] = []

    def in_process(given: Any, **_: Any) -> int:
        for job in given.jobs:
            monkeypatch.setenv(FOLDER, str(job.folder))
            monkeypatch.setenv(JOB, json.dumps({"name": given.name, "arm": job.arm}))
            metrics = run(compose(job.words))
            assert math.isfinite(metrics[given.metric])
            jobs.append(job)
        return 0

    monkeypatch.setattr(launch, "launch", in_process)
    words = [f"ablation={name}", f"arms={arms}", *embedded, *SHORT, f"runs={tmp_path}"]
    assert command.multirun(words) == 0
    assert [job.arm for job in jobs] == arms.split(",")
    for job in jobs:
        record = read_run(tmp_path / name / f"{job.arm}-s0")
        assert (record.status, record.tested) == ("finished", "last")
        assert record.job["arm"] == job.arm
        assert record.cost["cost/params_m"] == job.cost["cost/params_m"]


# On paper ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_begins_with_its_claim(name: str):
    first, second, *_ = FILES[name].read_text(encoding="utf-8").splitlines()
    assert first == "# @package _global_"
    assert re.match(r"# [A-Z]", second)


def test_docs_list_every_file():
    page = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    assert {row for row in re.findall(r"^\| `(\w+)` \|", page, re.M)} == FILES.keys()
