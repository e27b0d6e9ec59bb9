"""What a detector did wrong, in a line."""

from cnnlab.tasks.base import Task


def error_lines(task: Task) -> list[str]:
    """`errors   localisation 12, confusion 3, ...`, of the last test; empty of other tasks."""
    counts = task.results.get("test/errors")
    if counts is None:
        return []
    objects = sum(task.results["test/objects_per_class"])
    entries = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    return [f"errors   {entries} (of {objects} objects)"]
