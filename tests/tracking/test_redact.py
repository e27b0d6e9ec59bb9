import pytest

from cnnlab.tracking.redact import MARK, Redactor, is_secret

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "name",
    ["WANDB_API_KEY", "api_key", "a.key", "hub.token", "HF_TOKEN", "dbPassword", "APIKey", "key2"],
)
def test_names_of_secrets(name):
    assert is_secret(name)


@pytest.mark.parametrize("name", ["key_dim", "num_tokens_max", "keypoints", "monitor", "tokenizer"])
def test_names_of_other_things(name):
    assert not is_secret(name)


def test_values_under_secret_names_are_replaced_wherever_they_occur():
    config = {
        "hub": {"token": "tiger-4711", "url": "x?y=tiger-4711"},
        "note": "uses $TOKEN swordfish!",
        "lr": 0.1,
        "auth": None,
        "class_token": True,
        "pin": {"password": 1234},
        "list": [{"secret": ["a", "b"]}],
    }
    redactor = Redactor(config, ["+x.key=hunter2hunter2"], {"MY_TOKEN": "swordfish"})
    assert redactor.config(config) == {
        "hub": {"token": MARK, "url": f"x?y={MARK}"},
        "note": f"uses $TOKEN {MARK}!",
        "lr": 0.1,
        "auth": None,
        "class_token": True,
        "pin": {"password": MARK},
        "list": [{"secret": [MARK, MARK]}],
    }
    assert redactor.text("+x.key=hunter2hunter2") == f"+x.key={MARK}"
    assert redactor.text("hub={token: tiger-4711}") == f"hub={{token: {MARK}}}"
    assert redactor.facts({"key": 0.5, "error": "at hunter2hunter2"}) == {
        "key": 0.5,  # the accuracy of a class of that name
        "error": f"at {MARK}",
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://joe:pw@git.example/r.git", f"https://{MARK}@git.example/r.git"),
        ("https://ghp_abcdefgh@git.example/r", f"https://{MARK}@git.example/r"),
        ("ssh://git@git.example/r", "ssh://git@git.example/r"),
        ("git@git.example:r", "git@git.example:r"),
        ("https://x/?api_key=abc&n=1", f"https://x/?api_key={MARK}&n=1"),
        ("hf_" + "a1B2" * 8, MARK),
        (f"key is {SHA}.", f"key is {MARK}."),
        ("local-" + SHA, MARK),
        ("wandb_v1_" + "Ab_1" * 10, MARK),
        (SHA + SHA[:24], SHA + SHA[:24]),  # a sha256 is no W&B key
        ("model.weights=timm", "model.weights=timm"),
        ("tags={api_key: abc, n: 1}", f"tags={{api_key: {MARK}, n: 1}}"),
        ("a={b: {'token': x, c: 'a b'}}", f"a={{b: {{'token': {MARK}, c: 'a b'}}}}"),
        ("+tags.note='x api_key=abc y=2'", f"+tags.note='x api_key={MARK} y=2'"),
        ("optimizer={lr: 0.1}", "optimizer={lr: 0.1}"),
    ],
)
def test_forms_of_secrets(text, clean):
    assert Redactor({}, [], {}).text(text) == clean


def test_what_a_dict_or_quotes_hold_is_hunted_for_elsewhere():
    redactor = Redactor({}, ["tags={api_key: tiger-4711}", "note='x token=lion-0815'"], {})
    assert redactor.text("tiger-4711 lion-0815") == f"{MARK} {MARK}"


def test_a_commit_id_stays_in_facts():
    assert Redactor({}, [], {}).facts({"commit": SHA}) == {"commit": SHA}


def test_short_values_are_not_hunted_for():
    redactor = Redactor({"key": "val"}, [], {"A_KEY": "1"})
    assert redactor.config({"key": "val", "monitor": "val/top1"}) == {
        "key": MARK,
        "monitor": "val/top1",
    }
