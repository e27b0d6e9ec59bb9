"""What a detector did wrong, in a line."""

from textwrap import wrap

from cnnlab.tasks.base import Task

_WIDTH = 100  # of a line, in characters


def error_lines(task: Task) -> list[str]:
    """`errors   localisation 12, confusion 3, ...`, of the last test; empty of other tasks."""
    counts = task.results.get("test/errors")
    if counts is None:
        return []
    objects = sum(task.results["test/objects_per_class"])
    entries = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    return wrap(
        f"{entries} (of {objects} objects, and of as many detections, the surest of each class)",
        _WIDTH,
        initial_indent="errors   ",
        subsequent_indent=" " * 9,
    )
