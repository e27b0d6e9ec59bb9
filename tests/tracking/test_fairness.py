import re

import pytest

from cnnlab.config.folder import CONF
from cnnlab.tracking.fairness import covered, ranges, unfair
from cnnlab.tracking.grouping import group
from cnnlab.tracking.reading import History


def lines(runs, *, timed=False, purpose=None, metric="test/top1", by=None):
    return unfair(group(runs, [], by), metric=metric, timed=timed, purpose=purpose)


def two(made_run, **second):
    """Two nets that differ in groups; `second`: fields of the second."""
    return [made_run({"model.groups": 1}), made_run({"model.groups": 4}, **second)]


def test_what_is_asked_about_is_not_unfair(made_run):
    assert lines(two(made_run)) == []
    assert lines([made_run({"optimizer.lr": lr}) for lr in (0.1, 0.2)]) == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"optimizer.lr": 0.2},
            "recipe: optimizer.lr 0.2 in groups=4; 0.1 in groups=1",
        ),
        ({"trainer.max_epochs": 9}, "length: trainer.max_epochs"),
        ({"trainer.precision": "bf16-mixed"}, "precision: trainer.precision"),
        ({"data.split_seed": 1}, "data: data.split_seed"),
        ({"data.batch_size": 8}, "recipe: data.batch_size"),
        ({"tested": "last"}, "tested checkpoint: tested"),
    ],
)
def test_keys_that_differ_besides(made_run, keys, said):
    (line,) = lines([made_run({"model.groups": 1}), made_run({"model.groups": 4} | keys)])
    assert line.startswith(said)
    assert "groups=1" in line
    assert "groups=4" in line


def test_what_the_arms_set_on_purpose_is_not_unfair(made_run):
    runs = [
        made_run({"trainer.max_epochs": 2, "optimizer.lr": 0.1}, arm="short"),
        made_run({"trainer.max_epochs": 9, "optimizer.lr": 0.2}, arm="long"),
    ]
    purpose = {"trainer.max_epochs"}
    assert lines(runs, purpose=purpose) == ["recipe: optimizer.lr 0.2 in long; 0.1 in short"]
    assert lines(runs, purpose=purpose | {"optimizer"}) == []
    assert lines(runs, purpose={"recipe"}) == []


def test_a_config_group_covers_what_its_files_set():
    assert covered("optimizer.lr", {"recipe"})
    assert covered("loss", {"head"})
    assert not covered("model.width", {"recipe"})
    assert not covered("head.depth", {"recipe"})
    assert not covered("model.groups_of_two", {"model.groups"})


def test_what_takes_its_value_from_the_recipe_is_covered_by_it():
    taking = [
        (f"{group}.{key}", source)
        for group in ("loss", "head")
        for file in (CONF / group).glob("*.yaml")
        for key, source in re.findall(r"^(\w+): \$\{(recipe\.\w+)\}", file.read_text(), re.M)
    ]
    assert len(taking) >= 2
    for key, source in taking:
        assert covered(key, {source})
        assert covered(key, {"recipe"})


def test_other_images(made_run):
    data = made_run().data
    data = data | {"digest": data["digest"] | {"test": "d" * 64}}
    (line,) = lines(two(made_run, data=data))
    assert line == (
        "data: other images: Toy (100/20/20 images, digests aaaaaa/bbbbbb/dddddd) in groups=4; "
        "Toy (100/20/20 images, digests aaaaaa/bbbbbb/cccccc) in groups=1"
    )
    data["digest"] = made_run().data["digest"] | {"train": "d" * 64}
    runs = [made_run({"data.fraction": 1.0}, data=data), made_run({"data.fraction": 0.1})]
    assert lines(runs) == []  # asked about


def test_by_hand_two_data_sets_are_no_fair_question(made_run):
    data = {"name": "Other", "sizes": {"test": 9}, "digest": {"test": "e" * 64}}
    runs = [made_run(overrides=["data=toy"]), made_run({"data.values": 3}, data=data)]
    runs[1].overrides[:], runs[1].choices["data"] = ["data=other"], "other"
    (line,) = lines(runs)
    assert line == (
        "data: other test images: Toy (20 images, digest cccccc) in data=toy; "
        "Other (9 images, digest eeeeee) in data=other"
    )
    assert lines(runs, purpose={"data"}) == []  # an ablation of data sets says so


@pytest.mark.parametrize("key", ["data.image_size", "data.mean"])
def test_another_size_of_the_images_is_no_other_set_of_them(made_run, key):
    """data.image_size=32,64 on purpose: that one of the arms had other images still counts."""
    data = made_run().data
    data = data | {"digest": data["digest"] | {"train": "d" * 64}}
    runs = [made_run({key: 32}, arm="s"), made_run({key: 64}, arm="l", data=data)]
    (line,) = lines(runs, purpose={key})
    assert line.startswith("data: other images")
    short = {"val/top1": History([16], [0], [1.0], [0.9])}
    runs = [made_run({key: 32}, arm="s"), made_run({key: 64}, arm="l", history=short)]
    assert lines(runs, purpose={key}) == ["length: 16 steps in l; 32 steps in s"]


def test_within_a_group_images_and_steps_are_the_same_whatever_the_question(made_run):
    data = made_run().data
    data = data | {"digest": data["digest"] | {"train": "d" * 64}}
    short = {"val/top1": History([16], [0], [1.0], [0.9])}
    runs = [made_run({"data.fraction": f}, arm=f"f{f}", seed=s) for f in (1, 2) for s in (0, 1)]
    assert lines(runs, purpose={"data.fraction"}) == []
    runs[1].data, runs[3].history = data, short
    images, steps = lines(runs, purpose={"data.fraction"})
    assert images.startswith("data: other images: ")
    assert images.count("in f1") == 2
    assert "f2" not in images
    assert steps == "length: 16 steps in f2; 32 steps in f2"
    # Early stopping on purpose ends runs of one group at other steps.
    stops = {"data.fraction", "callbacks.early_stopping"}
    assert len(lines(runs, purpose=stops)) == 1


def test_typed_by_hand_length_precision_and_weights_are_not_the_question_along_with_more(made_run):
    two_keys = [{"trainer.max_epochs": 2, "trainer.precision": "32-true"}]
    two_keys.append({"trainer.max_epochs": 9, "trainer.precision": "bf16-mixed"})
    assert [line.partition(":")[0] for line in lines(list(map(made_run, two_keys)))] == [
        *("length", "precision"),
    ]
    nets = [{"model.groups": 1}, {"model.groups": 4, "model.weights": "timm"}]
    (line,) = lines(list(map(made_run, nets)))
    assert line.startswith("weights: model.weights timm in groups=4")
    # Alone, each of them is.
    for key, values in (("trainer.max_epochs", (2, 9)), ("model.weights", (None, "timm"))):
        assert lines([made_run({key: value}) for value in values]) == []


def test_a_commit_that_is_not_known_is_named(made_run):
    runs = two(made_run, git=None)
    assert lines(runs) == ["code: commit not known in groups=4"]
    parts = [{"commit": "1234567" + "0" * 33, "dirty": False}, {"commit": None, "dirty": None}]
    assert lines(two(made_run, time={"sessions": parts})) == ["code: commit not known in groups=4"]


def test_mixed_data_within_one_group(made_run):
    data = {"name": "Toy", "sizes": {"test": 20}, "digest": {"test": "d" * 64}}
    (line,) = lines([made_run(), made_run(seed=1, data=data)])
    assert line.count("in toy-net") == 2


def test_length_is_also_what_was_really_run(made_run):
    short = {"val/top1": History([16], [0], [1.0], [0.9])}
    (line,) = lines(two(made_run, history=short))
    assert line == "length: 16 steps in groups=4; 32 steps in groups=1"


def test_checkpoint_commit_dirty(made_run):
    git = {"commit": "abcdefg" + "1" * 33, "dirty": True}
    assert lines(two(made_run, tested="last", git=git)) == [
        "tested checkpoint: last in groups=4; best in groups=1",
        "code: abcdefg in groups=4; 1234567 in groups=1",
        "code: files differed from the commit (dirty) in groups=4",
    ]


def test_a_run_that_went_on_under_other_code(made_run):
    sessions = [{"commit": "a" * 40, "dirty": False}, {"commit": "b" * 40, "dirty": False}]
    (line,) = lines([made_run(), made_run(seed=1, time={"sessions": sessions})])
    assert "aaaaaaa, then bbbbbbb" in line


def test_threads_and_hardware_count_where_times_are_compared(made_run):
    runs = two(made_run, environment={"cpu": "Sliderule", "threads": 4, "gpus": []})
    assert lines(runs) == []
    assert lines(runs, timed=True) == [
        "threads: 4 in groups=4; 1 in groups=1",
        "hardware: Sliderule in groups=4; Abacus in groups=1",
    ]


def test_libraries_that_draw_compute_or_score(made_run):
    packages = {"torch": "2.15.0", "timm": "1.0.20", "wandb": "0.31"}
    runs = two(made_run, environment={"packages": packages | {"torch": "2.11.0", "wandb": "0.1"}})
    runs[0].environment["packages"] = packages
    assert lines(runs) == ["torch: 2.11.0 in groups=4; 2.15.0 in groups=1"]
    runs[0].environment["packages"] = {}  # an older record does not tell
    assert lines(runs) == []


def test_of_many_groups_the_exceptions_are_named(made_run):
    runs = [made_run({"model.groups": g}) for g in range(1, 9)]
    runs[2].tested = "last"
    assert lines(runs) == ["tested checkpoint: last in groups=3; best in the others"]


def test_what_only_wandb_knows_cannot_be_checked(made_run):
    foreign = made_run({"model.groups": 4}, data={}, tested=None, git=None, wandb={})
    (line,) = lines([made_run({"model.groups": 1}), foreign])
    assert line.startswith("no record: groups=4 known from W&B alone")


def test_by_one_key_other_keys_must_be_balanced(made_run):
    grid = [made_run({"model.groups": g, "optimizer.lr": lr}) for g in (1, 4) for lr in (0.1, 0.2)]
    assert lines(grid, by="groups", purpose={"model.groups"}) == []
    (line,) = lines(grid[:3], by="groups", purpose={"model.groups"})
    assert line == "recipe: optimizer.lr 0.1 in groups=4; [0.1,0.2] in groups=1"


def test_by_one_key_a_group_of_several_nets_is_named(made_run):
    nets = [(1, 2), (4, 2), (1, 9)]
    runs = [made_run({"model.groups": g, "trainer.max_epochs": n}) for g, n in nets]
    (line,) = lines(runs, purpose={"trainer.max_epochs"}, by="max_epochs")
    assert line == "net: model.groups 1 in max_epochs=9; [1,4] in max_epochs=2"


def test_what_an_older_record_lacks_is_not_unfair(made_run):
    old, new = two(made_run)
    del old.config["tested"], old.config["trainer"]["precision"]
    assert lines([old, new]) == []
    del old.config["optimizer"]["lr"]  # what only some optimizers have is a difference
    assert lines([old, new]) == ["recipe: optimizer.lr 0.1 in groups=4; not set in groups=1"]


def test_ranges_of_seeds():
    assert ranges([4, 0, 1, 2, 9]) == "0-2, 4, 9"
    assert ranges([1, "0 model.seed=1", 0]) == "0-1, 0 model.seed=1"
