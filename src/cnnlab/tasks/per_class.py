"""The figures of the classes, one by one, for the eye."""

from textwrap import wrap

from cnnlab.figure import figure
from cnnlab.tasks.base import Task

_WIDTH = 100  # of a line, in characters
_MOST = 30  # classes; more are read in results.json


def per_class_lines(task: Task) -> list[str]:
    """What `task.per_class` names, of the last test: `classes  sky 0.912  pole -`, wrapped.

    A class that does not occur has a dash. Empty where the task names none, and of many classes.
    """
    values = task.results.get(f"test/{task.per_class}")
    if values is None or len(values) > _MOST:
        return []
    # A class and its figure stay on one line: no-break spaces, until the lines are cut.
    entries = [
        f"{name} {figure(value, 3)}".replace(" ", "\xa0")
        for name, value in zip(task.classes, values, strict=True)
    ]
    lines = wrap(
        "  ".join(entries),
        _WIDTH,
        initial_indent="classes  ",
        subsequent_indent=" " * 9,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]
