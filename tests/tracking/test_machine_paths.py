import re

import pytest

from cnnlab.tracking.machine_paths import MachinePaths, restore


def test_absolute_paths_are_taken_out_and_put_back():
    value = {
        "root": "/data/a b/c",
        "runs": "runs",
        "words": ["data.root=/data/x", "x=[/data/x,/data/y]", "file:/data/x/mlflow"],
        "url": "https://a.b/c",
        "key": "val/top1",
        "text": "a 1/2 share, and/or more",
        "number": 3,
    }
    paths = MachinePaths()
    taken = paths.take(value)
    assert "/data" not in str(taken)
    assert taken["words"][0] == "data.root=$PATH2"
    assert {k: taken[k] for k in ("runs", "url", "key", "text", "number")} == {
        k: value[k] for k in ("runs", "url", "key", "text", "number")
    }
    assert restore(taken, paths.table) == value


@pytest.mark.parametrize(
    "text",
    [
        "/home/Carol Smith/x",
        "data.root=/home/Carol Smith/x y/z.txt",
        "+data.root='/home/Carol Smith/x'",
        'open("/home/Carol Smith/x") and "/home/Carol Smith/y"',
        "/home/Carol Smith (lab)/x",
        "/home/Carol/a --out=/home/Carol/b",
        "/home/Carol/x.pt: all loaded",
    ],
)
def test_a_path_may_hold_blanks(text):
    paths = MachinePaths()
    taken = paths.take({"key": text})
    assert not re.search("home|Carol|Smith|lab", str(taken))
    assert restore(taken, paths.table) == {"key": text}


def test_what_follows_a_path_stays():
    assert MachinePaths().take("/home/x.pt: all loaded") == "$PATH1: all loaded"
    assert MachinePaths().take("not found: /home/x y") == "not found: $PATH1 y"  # which, none knows
