import sys

import pytest
import timm
import torch

from cnnlab.backbones import create
from cnnlab.backbones.convert import convert, main
from cnnlab.errors import UserError


@pytest.fixture
def net():
    torch.manual_seed(0)
    return timm.create_model("resnet20_cifar")


@pytest.fixture
def theirs(net):
    """The same tensors under another author's names."""
    return {
        f"_layer{i}.{key.rpartition('.')[2]}": value
        for i, (key, value) in enumerate(net.state_dict().items())
    }


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["convert", *map(str, words)])
    main()


def test_file_to_net(net, theirs, tmp_path, monkeypatch, capsys):
    source, out = tmp_path / "a.pth", tmp_path / "b.safetensors"
    torch.save(theirs, source)
    run(monkeypatch, source, "--name", "resnet20_cifar", "--out", out)
    assert "116 tensors for resnet20_cifar" in capsys.readouterr().out
    copy = create(10, 3, name="resnet20_cifar", weights=str(out), freeze=0, seed=9, knobs={})
    assert not copy.load_report.reinitialised
    for key, value in net.state_dict().items():
        assert torch.equal(copy.state_dict()[key], value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "b.safetensors"]


def test_order_is_checked_by_shape_and_word(theirs):
    keys = list(theirs)
    swapped = {key: theirs[key] for key in [keys[0], keys[2], keys[1], *keys[3:]]}
    with pytest.raises(UserError, match=r"_layer2\.bias \(16,\) beside stem\.1\.weight \(16,\)"):
        convert(swapped, "resnet20_cifar")
    with pytest.raises(UserError, match=r"first difference is _layer0\.weight \(16, 3, 3, 3\)"):
        convert(theirs, "lenet5_modern")
    with pytest.raises(UserError, match="first difference is _layer"):
        convert(theirs, "resnet32_cifar")
    del theirs[keys[-1]]
    with pytest.raises(UserError, match="has 116 tensors, the source 115"):
        convert(theirs, "resnet20_cifar")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.pth", "--name", "resnet20_cifar", "--out", "b"], "none.pth: no such file"),
        (["a.pth", "--name", "resnet20_cifr", "--out", "b"], "did you mean 'resnet20_cifar'"),
        (["a.pth", "--name", "resnet20_cifar", "--out", "no/b"], "--out no/b: no such folder"),
        (["html", "--name", "resnet20_cifar", "--out", "b"], "html: this is a web page"),
    ],
)
def test_errors_are_one_line(words, message, theirs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.save(theirs, "a.pth")
    (tmp_path / "html").write_text("<html>")
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *words)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "b").exists()
