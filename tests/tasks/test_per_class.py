from types import SimpleNamespace

from cnnlab.tasks.per_class import per_class_lines


def task(values, key="iou_per_class"):
    classes = [f"a traffic sign {i}" for i in range(len(values))]
    return SimpleNamespace(per_class=key, results={f"test/{key}": values}, classes=classes)


def test_lines_are_wrapped_between_classes():
    lines = per_class_lines(task([i / 30 for i in range(30)]))
    assert len(lines) > 3
    assert all(len(line) <= 100 for line in lines)
    assert [line[:9] for line in lines] == ["classes  "] + [" " * 9] * (len(lines) - 1)
    entries = [entry for line in lines for entry in line[9:].split("  ")]
    assert entries == [f"a traffic sign {i} {i / 30:.3f}" for i in range(30)]


def test_absent_classes_have_a_dash():
    lines = per_class_lines(task([0.5, float("nan")]))
    assert lines == ["classes  a traffic sign 0 0.500  a traffic sign 1 -"]


def test_many_classes_are_left_to_the_file():
    assert per_class_lines(task([0.0] * 31)) == []


def test_a_task_that_names_no_figures_shows_none():
    assert per_class_lines(SimpleNamespace(per_class=None, results={}, classes=["a"])) == []
