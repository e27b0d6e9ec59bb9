import pytest
from omegaconf import OmegaConf

from cnnlab.config import to_plain
from cnnlab.errors import UserError


def test_to_plain_resolves(monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "here")
    cfg = OmegaConf.create({"a": "${b.1}", "b": [1, 2], "c": {"d": "${oc.env:SOMEWHERE}/x"}})
    assert to_plain(cfg) == {"a": 2, "b": [1, 2], "c": {"d": "here/x"}}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model": {"name": "???"}}, "model.name: a value is required: model.name=..."),
        ({"a": [{"b": "???"}]}, "a.0.b: a value is required"),
        ({"a": {"b": "${seeed}"}, "seed": 1}, "a.b=${seeed}: .*; did you mean 'seed'"),
        ({"a": [1, "${nothing}"]}, "a.1=${nothing}: Interpolation key 'nothing' not found"),
        ({"a": "${b}", "b": "${a}"}, "a=${b}: Recursive interpolation detected"),
        ({"a": {"b": "${a}"}}, "a.b=${a}: Interpolation to parent node detected"),
        ({"a": "${oc.env:NOT_SET_ANYWHERE}"}, "'NOT_SET_ANYWHERE' not found"),
        ({"a": "${no_resolver:1}"}, "a=${no_resolver:1}: Unsupported interpolation type"),
    ],
)
def test_what_cannot_be_resolved(config, said):
    with pytest.raises(UserError) as caught:
        to_plain(OmegaConf.create(config))
    first, _, last = said.partition(".*")
    assert first in str(caught.value)
    assert last in str(caught.value)
    assert "\n" not in str(caught.value)
