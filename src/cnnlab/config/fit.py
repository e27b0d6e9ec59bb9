"""Whether the parts of a config go together: task, data, head, loss, and what is monitored."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from cnnlab.config import keys, types
from cnnlab.config.allowed import under
from cnnlab.config.definitions import Definition, Unresolved, find
from cnnlab.config.signature import attribute, merged
from cnnlab.errors import nearest


def faults(
    plain: dict[str, Any], choices: dict[str, Any], definitions: dict[str, Definition]
) -> Iterator[str]:
    """One line for each part that serves other tasks, and each monitor that nothing logs.

    `definitions` holds the class of each node, by dotted key. What a class serves it says in the
    class attribute `tasks`, what it logs in `logs` (patterns are allowed); both are literal tuples,
    and a class that says nothing is not judged. Nor is a head that does not say what it `gives`, or
    a loss that does not say what it `takes`.
    """
    task = definitions.get("task")
    name = str(choices.get("task"))
    # A task that a lab derives from one of ours serves what that one serves.
    names = {name, *((attribute(task, "tasks") if task else None) or ())}
    serves = {
        group: attribute(definitions[group], "tasks") if group in definitions else None
        for group in ("data", "head", "loss")
    }
    for group, served in serves.items():
        if served and not names & set(served):
            choice = choices.get(group) or plain[group]["_target_"]
            line = f"{group}={choice}: does not fit task={name}; it serves {', '.join(served)}"
            common = [task for task in served if task in (serves["data"] or ())]
            if group == "head" and common:
                data = choices.get("data") or plain["data"]["_target_"]
                line += f", and so does data={data}: add task={common[0]}"
            yield line
            if group == "head":
                break  # it brought its loss along
    gives, takes = (
        attribute(definitions[group], name) if group in definitions else None
        for group, name in (("head", "gives"), ("loss", "takes"))
    )
    if gives and takes and gives not in takes:
        loss, head = choices.get("loss"), choices.get("head")
        yield f"loss={loss}: takes {' or '.join(takes)}, and head={head} gives {gives}"
    only = merged(definitions["data"], "only") if "data" in definitions else {}
    for key, value in only.items():
        given = keys.get(plain, f"data.{key}")
        if given != value:
            choice = choices.get("data") or plain["data"]["_target_"]
            yield f"data.{key}={given}: data={choice} takes {types.written(value)} only"
    smoothing = (plain.get("recipe") or {}).get("label_smoothing")
    if smoothing and not _has_key(plain.get("loss"), "label_smoothing"):
        loss = choices.get("loss")
        yield f"recipe.label_smoothing={smoothing}: loss={loss} has none; set it to 0"
    yield from _warmup(plain)
    chosen = choices.get("callbacks")
    names_ = chosen if isinstance(chosen, list) else [chosen]
    if chosen and "default" not in names_:
        more = ",".join(map(str, names_))
        yield (
            f"callbacks={more}: leaves out the checkpoints, progress and guards of 'default'; "
            f"write callbacks=[default,{more}]"
        )
    logs = attribute(task, "logs") if task else None
    if logs:
        for key, of in definitions.items():
            if key.startswith("callbacks."):
                logs = (*logs, *(attribute(of, "logs") or ()))
        logs = tuple(_named(logs, plain.get("loss"), definitions.get("loss")))
        for key in definitions:
            value = keys.get(plain, key).get("monitor")
            if isinstance(value, str) and not any(fnmatchcase(value, log) for log in logs):
                near = nearest(value, logs)
                yield f"{key}.monitor={value}: task={name} logs {', '.join(logs)}{near}"


def metric_fault(plain: dict[str, Any], metric: str) -> str:
    """What is wrong with a metric that a run is judged by, of a checked config; "" if nothing.

    Val logs what test does. A class that does not say what it logs is not judged.
    """
    split, _, name = metric.partition("/")
    try:
        task, loss = find(plain["task"]["_target_"]), find(plain["loss"]["_target_"])
    except Unresolved:  # third-party
        return ""
    logs = attribute(task, "logs")
    if not logs or split not in ("val", "test"):
        return ""
    known = [log.partition("/")[2] for log in _named(logs, plain["loss"], loss)]
    if any(fnmatchcase(name, log) for log in known):
        return ""
    there = [f"{split}/{log}" for log in known]
    return f"not logged{nearest(metric, there)}; there are {', '.join(there)}"


def _named(logs: tuple[str, ...], loss: Any, of: Definition | None) -> Iterator[str]:
    """`logs` with `*` replaced by the terms of the loss; a lab's own loss may have any.

    They are those of the config's `terms` or, of a loss that always has the same ones, of the class
    attribute `terms`, a literal tuple.
    """
    ours = isinstance(loss, dict) and under(str(loss.get("_target_")), ("cnnlab",))
    for log in logs:
        if ours and log.endswith("*"):
            terms = loss.get("terms") or (attribute(of, "terms") if of else None) or ()
            yield from (log[:-1] + str(term) for term in terms)
        else:
            yield log


def _has_key(node: Any, key: str) -> bool:
    """Whether a loss, or a term of it, has that key."""
    return isinstance(node, dict) and (
        key in node or any(_has_key(value, key) for value in node.values())
    )


def _warmup(plain: dict[str, Any]) -> Iterator[str]:
    warmup = (plain.get("scheduler") or {}).get("warmup_epochs")
    epochs = (plain.get("trainer") or {}).get("max_epochs")
    if isinstance(warmup, int | float) and isinstance(epochs, int) and 0 < epochs <= warmup:
        yield (
            f"scheduler.warmup_epochs={warmup}: must be shorter than the run "
            f"(trainer.max_epochs={epochs}); scheduler.warmup_epochs=0 leaves it out"
        )
