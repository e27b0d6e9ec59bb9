import pytest

from cnnlab.config import fit
from cnnlab.config.definitions import find

LAB = {
    "mylab/__init__.py": """\
        class Task:
            tasks = ("classification",)
            logs = ("val/loss", "val/top1", "val/top1/*")
        class Quiet: ...
        class Watcher:
            logs = ("time/step",)
        class Photos:
            tasks = ("classification", "multilabel")
        class Boxes:
            tasks = ("detection",)
        class Scenes:
            tasks = ("classification", "detection")
        """
}


def faults(task, choice, monitor, parts, callbacks=None):
    plain = {"task": {"_target_": f"mylab.{task}", "monitor": monitor}}
    plain |= {name: {"_target_": f"mylab.{target}"} for name, target in parts.items()}
    plain["callbacks"] = callbacks
    nodes = {k: v for k, v in plain.items() if k != "callbacks"}
    nodes |= {f"callbacks.{k}": v for k, v in (callbacks or {}).items() if v}
    definitions = {key: find(node["_target_"]) for key, node in nodes.items()}
    return list(fit.faults(plain, {"task": choice, "data": "boxes"}, definitions))


@pytest.mark.parametrize(
    ("choice", "parts", "said"),
    [
        ("classification", {"data": "Photos", "head": "Quiet"}, []),
        ("mine", {"data": "Photos"}, []),  # derived from a task that is one for classification
        (
            "classification",
            {"data": "Boxes"},
            ["data=boxes: does not fit task=classification; it serves detection"],
        ),
        (
            "mine",
            {"head": "Boxes", "loss": "Boxes"},
            # A head brings its loss along: one mistake, one line.
            ["head=mylab.Boxes: does not fit task=mine; it serves detection"],
        ),
        (
            "mine",
            {"loss": "Boxes"},
            ["loss=mylab.Boxes: does not fit task=mine; it serves detection"],
        ),
        (
            "classification",
            {"data": "Scenes", "head": "Boxes"},
            [
                "head=mylab.Boxes: does not fit task=classification; it serves detection, and so "
                "does data=boxes: add task=detection"
            ],
        ),
    ],
)
def test_tasks(lab, choice, parts, said):
    lab(LAB)
    assert faults("Task", choice, "val/loss", parts) == said


@pytest.mark.parametrize("monitor", ["val/top1", "val/top1/cat", "time/step"])
def test_monitors_that_are_logged(lab, monitor):
    lab(LAB)
    callbacks = {"watch": {"_target_": "mylab.Watcher", "monitor": monitor}, "off": None}
    assert faults("Task", "classification", monitor, {}, callbacks) == []


def test_monitors_that_nothing_logs(lab):
    lab(LAB)
    callbacks = {"stop": {"_target_": "mylab.Quiet", "monitor": "val/acc"}}
    said = faults("Task", "classification", "val/topl", {}, callbacks)
    logs = "task=classification logs val/loss, val/top1, val/top1/*"
    assert said == [
        f"task.monitor=val/topl: {logs}; did you mean 'val/top1'?",
        f"callbacks.stop.monitor=val/acc: {logs}",
    ]


def test_a_class_that_says_nothing_is_not_judged(lab):
    lab(LAB)
    assert faults("Quiet", "mine", "val/anything", {"data": "Quiet"}) == []
