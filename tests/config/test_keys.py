import pytest

from cnnlab.config import keys

PLAIN = {
    "hydra": {"verbose": False},
    "model": {"_target_": "x", "name": "resnext50_32x4d", "groups": 32, "knobs": {}},
    "data": {"batch_size": 64, "mean": [0.1, 0.2], "augment": {"flip": True}},
    "optimizer": {"lr": 0.1},
    "trainer": {"max_epochs": 10},
    "callbacks": {"ema": None},
    "tags": {},
    "seed": 0,
}


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("modle.groups", "model.groups"),
        ("model.grops", "model.groups"),
        ("data.agument.flop", "data.augment.flip"),
        ("lr", "optimizer.lr"),
        ("model.batch_size", "data.batch_size"),
        ("epochs", "trainer.max_epochs"),
        ("seeed", "seed"),
        ("hydra.verbos", "hydra.verbose"),
    ],
)
def test_the_key_that_was_meant(key, meant):
    assert keys.meant(PLAIN, key) == f"; did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("model.zzz", "; model has name, groups, knobs"),
        ("modle.zzz", ", nor is there 'model.zzz', if you meant that: model has name, groups"),
        ("seed.x", "; seed is 0, which has no keys"),
        ("zzz", "; there are model, data, optimizer, trainer, callbacks, tags, seed"),
    ],
)
def test_else_what_is_there(key, said):
    assert keys.meant(PLAIN, key).startswith(said)


def test_a_name_with_dots_is_not_what_was_meant():
    plain = PLAIN | {"ablation": {"tune": {"optimizer.momentum": [1]}, "arms": {"w1.0": []}}}
    assert keys.meant(plain, "ablation.tune.optimizer.lr") == "; did you mean 'optimizer.lr'?"
    assert keys.meant(plain, "ablation.arms.w1.1").startswith("; ablation.arms is")


def test_unknown_says_what_plus_is_for():
    said = str(keys.unknown(PLAIN, "model.grops", plus="+"))
    assert said.startswith(
        "+model.grops: no such config key ('+' adds only under tags, model.knobs"
    )
    assert "'model.groups'" in said
    assert "+tags.who" in str(keys.unknown(PLAIN, "tags.who"))


@pytest.mark.parametrize(
    ("key", "is_open"),
    [
        ("tags", True),
        ("tags.a.b", True),
        ("tagsx", False),
        ("model.knobs.stem", True),
        ("model", False),
        ("callbacks.ema", True),
        ("logger.mlflow", False),
        ("logger.wandb.notes", True),
    ],
)
def test_open_nodes(key, is_open):
    assert keys.is_open(key) is is_open


@pytest.mark.parametrize(
    ("key", "may"),
    [
        ("callbacks.pictures", True),
        ("logger.wandb", True),
        ("tags.a", True),
        ("callbacks", False),
        ("tags", False),
        ("model.groups", False),
        ("seed", False),
    ],
)
def test_what_may_be_deleted(key, may):
    assert keys.may_delete(key) is may


def test_get_reads_dicts_and_lists():
    assert keys.get(PLAIN, "data.mean.1") == 0.2
    assert not keys.exists(PLAIN, "data.mean.2")
    assert not keys.exists(PLAIN, "seed.x")
