import pytest

from cnnlab.errors import UserError
from cnnlab.tracking.grouping import group
from cnnlab.tracking.naming import differing


def names(sheaves):
    return [sheaf.name for sheaf in sheaves]


def test_seeds_and_what_changes_no_result_are_one_group(made_run):
    runs = [
        made_run(seed=0),
        made_run({"data.root": "/there", "trainer.devices": 2}, seed=1),
        made_run({"trainer.threads": 8}, seed=2),  # of the machine: checked with the hardware
    ]
    (sheaf,) = group(runs, [], None)
    assert [run.seed for run in sheaf.runs] == [0, 1, 2]
    assert sheaf.name == "toy-net"


def test_another_split_is_another_experiment(made_run):
    sheaves = group([made_run(), made_run({"data.split_seed": 1}, seed=1)], [], None)
    assert names(sheaves) == ["split_seed=0", "split_seed=1"]


def test_groups_are_in_the_order_of_their_numbers(made_run):
    runs = [made_run({"model.groups": g}, seed=s) for g in (32, 4, 1, 2) for s in (0, 1)]
    assert names(group(runs, [], None)) == ["groups=1", "groups=2", "groups=4", "groups=32"]


def test_names_are_no_longer_than_it_takes(made_run):
    solved = [made_run({"model.groups": g, "model.width": 64 // g}) for g in (1, 4)]
    assert names(group(solved, [], None)) == ["groups=1", "groups=4"]
    assert differing(group(solved, [], None)) == ["model.groups", "model.width"]
    grid = [
        made_run({"trainer.max_epochs": e, "model.groups": g}) for e in (1, 2) for g in (1, 4, 8)
    ]
    assert names(group(grid, [], None))[:2] == ["groups=1 max_epochs=1", "groups=1 max_epochs=2"]


def test_a_short_name_that_means_two_keys_is_written_out(made_run):
    runs = [made_run({"model.name": "a"}), made_run({"model.name": "b"})]
    assert names(group(runs, [], None)) == ["model.name=a", "model.name=b"]


def test_of_another_class_the_class_is_named(made_run):
    ema = {"callbacks.ema._target_": "EMA", "callbacks.ema.decay": 0.9}
    sheaves = group([made_run(), made_run(ema, overrides=["callbacks=ema"])], [], None)
    assert differing(sheaves) == ["callbacks.ema._target_"]


def test_a_chosen_file_stands_for_all_its_keys(made_run):
    other = {"model": "vgg", "data": "toy", "loss": "ce", "recipe": "fast", "optimizer": "sgd"}
    vgg = made_run({"model.depth": 16, "model.name": "vgg"}, choices=other, overrides=["model=vgg"])
    sheaves = group([made_run(overrides=["model=net"]), vgg], [], None)
    assert names(sheaves) == ["model=net", "model=vgg"]
    assert differing(sheaves) == ["model"]


def test_arms_name_groups_in_the_order_of_the_file(made_run):
    runs = [made_run({"model.groups": g}, arm=f"g{g}", seed=s) for g in (1, 4) for s in (0, 1)]
    assert names(group(runs, ["g4", "g1"], None)) == ["g4", "g1"]


def test_a_run_made_by_hand_joins_the_arm_of_its_config(made_run):
    runs = [made_run({"model.groups": 4}, arm="g4"), made_run({"model.groups": 4}, seed=1)]
    (sheaf,) = group(runs, ["g4"], None)
    assert (sheaf.name, len(sheaf.runs)) == ("g4", 2)


def test_an_arm_of_two_configs_is_two_groups(made_run):
    runs = [made_run(arm="a"), made_run({"trainer.max_epochs": 9}, arm="a", seed=1)]
    assert names(group(runs, ["a"], None)) == ["a (max_epochs=2)", "a (max_epochs=9)"]


def test_an_older_record_that_lacks_a_key_stays_in_its_arm(made_run):
    old = made_run(arm="a")
    del old.config["tested"]
    (sheaf,) = group([old, made_run(arm="a", seed=1)], ["a"], None)
    assert len(sheaf.runs) == 2


EMA = {"callbacks.ema._target_": "EMA", "callbacks.ema.decay": 0.999}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"callbacks.ema": None}, EMA),  # as conf/callbacks/default.yaml and ema.yaml have it
        (EMA, {"callbacks": {}}),
        ({"model.head": {"name": "mlp"}}, {"model.head": None}),
        ({}, {"model.drop_path": 0.2}),  # typed: no older cnnlab is the reason
    ],
)
def test_a_node_in_place_of_null_is_another_experiment(made_run, first, second):
    runs = [made_run(first, arm="a", seed=s, overrides=[]) for s in (0, 1, 2)]
    typed = ["callbacks=[default,ema]"] if first else [f"+{key}=x" for key in second]
    runs += [made_run(second, arm="a", seed=s, overrides=typed) for s in (3, 4)]
    sheaves = group(runs, ["a"], None)
    assert sorted(len(sheaf.runs) for sheaf in sheaves) == [2, 3]
    assert len({sheaf.name for sheaf in sheaves}) == 2
    assert all(name.startswith("a (") and name != "a ()" for name in names(sheaves))


def test_by_one_key_alone(made_run):
    runs = [made_run({"model.groups": g, "optimizer.lr": lr}) for g in (4, 1) for lr in (0.1, 0.2)]
    sheaves = group(runs, [], "groups")
    assert names(sheaves) == ["groups=1", "groups=4"]
    assert [sheaf.keys["optimizer.lr"] for sheaf in sheaves] == [[0.1, 0.2]] * 2


def test_by_a_config_group_and_by_a_key_that_some_lack(made_run):
    runs = [made_run(), made_run({"model.depth": 3}, choices={"model": "other"})]
    assert names(group(runs, [], "model")) == ["model=net", "model=other"]
    assert names(group(runs, [], "depth")) == ["no depth", "depth=3"]


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("name", "could be model.name, optimizer.name, recipe.name"),
        ("gruops", "did you mean 'groups'?"),
        ("nonsense", r"the runs differ in: model\.groups"),
        ("seed", "no such key"),
    ],
)
def test_by_a_key_that_is_none_or_several(made_run, by, said):
    with pytest.raises(UserError, match=said):
        group([made_run(), made_run({"model.groups": 2})], [], by)
