import ast
import sys

from cnnlab.config import source


def test_finds_without_importing(lab):
    root = lab(
        {
            "mylab/__init__.py": "raise RuntimeError('imported')",
            "mylab/nets/deep.py": "x = 1",  # a folder without __init__.py
            "single.py": "y = 2",
        }
    )
    assert source.module("mylab").file == root / "mylab/__init__.py"
    assert source.module("mylab").is_package
    assert source.module("mylab.nets").is_package
    assert source.module("mylab.nets").bindings == {}
    assert source.module("mylab.nets.deep").file == root / "mylab/nets/deep.py"
    assert not source.module("mylab.nets.deep").is_package
    assert source.module("single").file == root / "single.py"
    assert "mylab" not in sys.modules


def test_what_is_no_file_of_python():
    for name in ("nothing_of_that_name", "sys", "cnnlab.nothing", "cnnlab.errors.nothing"):
        assert source.module(name) is None


def test_bindings(lab):
    lab(
        {
            "mylab/__init__.py": "",
            "mylab/a/__init__.py": "",
            "mylab/a/b.py": """\
                import os, torch.nn, torch.optim as optim
                from typing import TYPE_CHECKING
                from . import c
                from .c import One as Two
                from ..d import Three
                from x.y import *
                if TYPE_CHECKING:
                    from hidden import Hidden
                else:
                    from shown import Shown
                try:
                    from fast import f
                except ImportError:
                    f = None
                class Net: ...
                def make(): ...
                alias = Net
                size: int = 3
                one, (two, three) = parts
                Net.attribute = 3
                """,
        }
    )
    module = source.module("mylab.a.b")
    bound = {k: (b.module, b.name) for k, b in module.bindings.items() if b.node is None}
    assert bound == {
        "os": ("os", ""),
        "torch": ("torch", ""),
        "optim": ("torch.optim", ""),
        "TYPE_CHECKING": ("typing", "TYPE_CHECKING"),
        "c": ("mylab.a", "c"),
        "Two": ("mylab.a.c", "One"),
        "Three": ("mylab.d", "Three"),
        "Shown": ("shown", "Shown"),
    }
    assert isinstance(module.bindings["Net"].node, ast.ClassDef)
    assert isinstance(module.bindings["make"].node, ast.FunctionDef)
    assert ast.unparse(module.bindings["alias"].node) == "Net"
    assert {"one", "two", "three"} <= set(module.bindings)
    assert module.stars == ["x.y"]


def test_an_edited_file_is_read_again(lab):
    import os

    root = lab({"mylab/__init__.py": "", "mylab/a.py": "x = 1"})
    assert "x" in source.module("mylab.a").bindings
    (root / "mylab/a.py").write_text("y = 1")
    os.utime(root / "mylab/a.py", ns=(1, 1))
    assert "y" in source.module("mylab.a").bindings


def test_broken_and_dynamic_modules(lab):
    lab(
        {
            "mylab/__init__.py": "",
            "mylab/broken.py": "def (",
            "mylab/lazy.py": "def __getattr__(name): ...",
            "mylab/filled.py": "globals()['x'] = 1",
            "mylab/plain.py": "x = 1",
        }
    )
    assert source.module("mylab.broken").bindings == {}
    assert source.module("mylab.lazy").is_dynamic
    assert source.module("mylab.filled").is_dynamic
    assert not source.module("mylab.plain").is_dynamic
