from cnnlab.callbacks.detection_table import detection_table


def test_a_row_a_class():
    results = {
        "test/objects_per_class": [4, 0],
        "test/map_per_class": [0.25, float("nan")],
        "test/map50_per_class": [0.5, float("nan")],
        "test/errors_per_class": {"localisation": [1, 0], "missed": [2, 0]},
    }
    columns, rows = detection_table(results, ["cat", "dog"])
    assert columns == ["class", "objects", "map", "map50", "localisation", "missed"]
    assert rows == [["cat", 4, 0.25, 0.5, 1, 2], ["dog", 0, None, None, 0, 0]]
