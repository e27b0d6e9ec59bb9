from types import SimpleNamespace

from cnnlab.tasks.error_lines import error_lines


def test_errors_are_told_with_what_they_are_of():
    counts = {"localisation": 12, "confusion": 3, "duplicate": 0, "background": 5, "missed": 20}
    task = SimpleNamespace(results={"test/errors": counts, "test/objects_per_class": [200, 40]})
    (line,) = error_lines(task)
    kinds = "localisation 12, confusion 3, duplicate 0, background 5, missed 20"
    assert line == f"errors   {kinds} (of 240 objects)"


def test_other_tasks_have_none():
    assert error_lines(SimpleNamespace(results={"test/iou_per_class": [0.5]})) == []
