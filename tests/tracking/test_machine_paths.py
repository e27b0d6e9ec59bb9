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
