"""Copies records to be shared: what was measured and how, without whose machine it was."""

import dataclasses
import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.atomic import write_bytes, write_json
from cnnlab.errors import UserError
from cnnlab.tracking.environment import user
from cnnlab.tracking.machine_paths import change_texts, label_paths, restore
from cnnlab.tracking.metrics_file import Row, file_text
from cnnlab.tracking.naming import some
from cnnlab.tracking.reading import SCHEMA, RunData, read_run

_BESIDE = ("ablation.json", "plan.json", "tuned.json")
"""Of the multirun that a run belongs to."""
_FREE_TEXT = ("name", "tags", "runs", "resume")
"""Top keys of a config under which people write what they like; they change no result."""
_LEFT_OUT = ("logger", "slurm")
"""Top keys of a config that are about an account; they change no result."""
_NO_PERSON = {"root", "user", "users", "ubuntu", "admin", "runner", "nobody", "localhost"}


def collect(runs: Sequence[RunData], into: Path, warn: Callable[[str], None]) -> list[Path]:
    """Write finished runs as records that name no machine, person or absolute path.

    A run goes to `into/FOLDER`, as its own folder is called (`<arm>-s<seed>`), or to
    `into/PARENT/FOLDER` where the runs come from folders of several names; ablation.json,
    plan.json and tuned.json go beside them, cleaned in the same way, and so is the name PARENT. A
    run that only W&B knows goes to `GROUP/ID`.
    `find` reads the records, and a multirun in a folder that holds them takes them for finished.

    Left out: `machine`, results.json, the git remote and branch, the config of loggers and SLURM.
    Absolute paths below the run's working folder become relative, others a label that tells them
    apart.

    Args:
        runs: as `find` gives them.
        into: a folder; made if need be.
        warn: is told which runs are left out, and where a name may have been left.

    Returns:
        The folders written, in the order of `runs`.

    Raises:
        UserError: two runs, or one and what is there, would be one folder; nothing is written.
    """
    finished = [run for run in runs if run.status == "finished"]
    if len(finished) < len(runs):
        warn(f"{len(runs) - len(finished)} runs are not finished and are not collected")
    unsigned = [run.name for run in finished if run.machine and "user" not in run.machine]
    if unsigned:  # by an older cnnlab
        warn(
            f"{some(unsigned)}: the record does not say who made it; a name that no path under "
            "/home tells is not found"
        )
    targets = _targets(finished, into)
    beside = _beside(finished, targets)
    written = []
    for run in finished:
        target, cleaner = targets[id(run)], _Cleaner(run.machine, [run.machine])
        write_bytes(target / "metrics.csv", _metrics(run).encode())
        record = cleaner.record(run)
        write_json(target / "run.json", record, indent=2)  # last: it makes the folder a run
        _say_what_is_left(cleaner, record, target / "run.json", warn)
        for _, name in cleaner.left(target.name):
            warn(
                f"{target}: the folder's name holds '{name}', which may be a person's or machine's"
            )
        written.append(target)
    for file, (value, cleaner) in beside.items():
        write_json(file, value, indent=2)
        _say_what_is_left(cleaner, value, file, warn)
    return written


def _say_what_is_left(
    cleaner: "_Cleaner", value: Any, file: Path, warn: Callable[[str], None]
) -> None:
    for key, name in dict.fromkeys(cleaner.left(value)):
        warn(f"{file}: {key} holds '{name}', which may be a person's or machine's")


def _targets(runs: Sequence[RunData], into: Path) -> dict[int, Path]:
    places = [_place(run) for run in runs]
    flat = len({parent for parent, _ in places}) <= 1
    taken: dict[Path, RunData] = {}
    for run, (parent, name) in zip(runs, places, strict=True):
        if not flat:  # a multirun is named by whoever started it; FOLDER stands in its plan.json
            parent = re.sub("[<>]", "", _Cleaner(run.machine, [run.machine]).names(parent))
        target = into / name if flat else into / parent / name
        if target in taken:
            raise UserError(
                f"{run.folder} and {taken[target].folder} would both be collected as {target}; "
                "collect them into two folders"
            )
        if target.resolve() == run.folder.resolve():
            raise UserError(f"{into}: holds the runs themselves; collect them elsewhere")
        if (target / "run.json").exists() and not _same(read_run(target), run):
            raise UserError(f"{target}: another run is there; collect {run.folder} elsewhere")
        taken[target] = run
    return {id(run): target for target, run in taken.items()}


def _place(run: RunData) -> tuple[str, str]:
    if (run.folder / "run.json").is_file():
        folder = run.folder.resolve()
        return folder.parent.name, folder.name
    known = run.wandb or {}
    words = (known.get("group") or known.get("project") or "wandb", run.wandb_id or run.name)
    parent, name = (re.sub(r"[^\w.+-]+", "_", str(word)) for word in words)
    return parent, name


def _same(one: RunData, other: RunData) -> bool:
    return (one.identity, one.wandb_id, one.seed, one.time.get("started")) == (
        *(other.identity, other.wandb_id, other.seed),
        other.time.get("started"),
    )


def _beside(
    runs: Sequence[RunData], targets: Mapping[int, Path]
) -> "dict[Path, tuple[Any, _Cleaner]]":
    """What else to write, by file, and what cleaned it."""
    found: dict[Path, tuple[Any, _Cleaner]] = {}
    read = set()
    for run in runs:
        for name in _BESIDE:
            source, target = run.folder.parent / name, targets[id(run)].parent / name
            if (source, target) in read or not source.is_file():
                continue
            read.add((source, target))
            try:
                stored = json.loads(source.read_bytes())
            except ValueError as error:
                raise UserError(f"{source}: not JSON ({error})") from None
            if not isinstance(stored, dict):
                raise UserError(f"{source}: not a JSON object")
            machines = [own.machine for own in runs if own.folder.parent == run.folder.parent]
            cleaner = _Cleaner(run.machine, [*machines, stored.get("machine") or {}])
            value = cleaner.beside(stored)
            if found.setdefault(target, (value, cleaner))[0] != value:
                raise UserError(
                    f"{source}: differs from the {name} of other runs; "
                    "collect the multiruns into two folders"
                )
    return found


def _metrics(run: RunData) -> str:
    file = run.folder / "metrics.csv"
    if file.is_file():
        text = file.read_text()
        return text[: text.rfind("\n") + 1]  # less a line torn by a kill
    rows = [
        Row(step, epoch, time_s, key, value)
        for key, one in run.history.items()
        for step, epoch, time_s, value in zip(
            one.steps, one.epochs, one.times_s, one.values, strict=True
        )
    ]
    return file_text(sorted(rows, key=lambda row: row.step))


class _Cleaner:
    """Takes out of a record what names its machine and people.

    Args:
        own: `machine` of the run: paths become relative to its folder.
        machines: of all whose names may stand in the record.
    """

    def __init__(self, own: Mapping[str, Any], machines: Sequence[Mapping[str, Any]]) -> None:
        self._base = own.get("folder")
        hosts = {socket.gethostname(), *(str(each.get("host") or "") for each in machines)}
        hosts |= {host.partition(".")[0] for host in hosts}
        users = {user(), *(str(each.get("user") or "") for each in machines)}
        users |= {name for each in machines for name in _homes(json.dumps(each))}
        names = {name: "<host>" for name in hosts} | {name: "<user>" for name in users}
        self._names = {
            name.lower(): mark
            for name, mark in names.items()
            if len(name) > 1 and name.lower() not in _NO_PERSON
        }
        longest_first = sorted(self._names, key=lambda name: (-len(name), name))
        self._named = re.compile(
            "|".join(rf"(?<![A-Za-z0-9]){re.escape(n)}(?![A-Za-z0-9])" for n in longest_first)
            or r"(?!)",
            re.IGNORECASE,
        )

    def record(self, run: RunData) -> dict[str, Any]:
        """What run.json is to hold."""
        left_out = ("folder", "results", "history", "machine")
        fields = {
            f.name: getattr(run, f.name)
            for f in dataclasses.fields(run)
            if f.name not in left_out and (f.name not in ("job", "wandb") or getattr(run, f.name))
        }
        fields = self.paths(fields)
        if run.git:
            fields["git"] = {
                key: run.git[key] for key in ("commit", "dirty", "diff") if key in run.git
            }
        if "platform" in fields["environment"]:
            fields["environment"]["platform"] = _system(fields["environment"]["platform"])
        if run.wandb:
            fields["wandb"] = {k: v for k, v in fields["wandb"].items() if k != "entity"}
        if run.identity:  # the config is one of ours
            for key in _LEFT_OUT:
                fields["config"].pop(key, None)
            fields["overrides"] = [w for w in fields["overrides"] if _top(w) not in _LEFT_OUT]
        fields["overrides"] = self._words(fields["overrides"])
        fields["config"] |= {
            key: self.names(fields["config"][key]) for key in _FREE_TEXT if key in fields["config"]
        }
        for key in ("name", "reason", "weights", "parent", "wandb"):
            if key in fields:
                fields[key] = self.names(fields[key])
        if "job" in fields:
            fields["job"] = self._named_anew(fields["job"])
        return {"schema": SCHEMA} | fields

    def beside(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What ablation.json, plan.json or tuned.json is to hold."""
        paths = (stored.get("machine") or {}).get("paths") or {}
        kept = {key: value for key, value in stored.items() if key != "machine"}
        value = self._named_anew(self.paths(restore(kept, paths)))
        for job in value.get("jobs") or []:
            if "words" in job:
                words = [word for word in job["words"] if _top(word) not in _LEFT_OUT]
                job["words"] = self._words(words)
        return value

    def _words(self, words: Sequence[str]) -> list[str]:
        return [self.names(word) if _top(word) in _FREE_TEXT else word for word in words]

    def _named_anew(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """A multirun is named by whoever started it."""
        return {key: self.names(own) if key == "name" else own for key, own in value.items()}

    def paths(self, value: Any) -> Any:
        """Without absolute paths."""
        return label_paths(value, self._base)

    def names(self, value: Any) -> Any:
        """Without names of machines and people."""
        return change_texts(
            value, lambda text: self._named.sub(lambda m: self._names[m[0].lower()], text)
        )

    def left(self, value: Any, key: str = "") -> Iterator[tuple[str, str]]:
        """Where a name stands nevertheless: in what may change a result nothing is replaced."""
        if isinstance(value, Mapping):
            for name, item in value.items():
                yield from self.left(item, f"{key}.{name}" if key else str(name))
        elif isinstance(value, list):
            for item in value:
                yield from self.left(item, key)
        elif isinstance(value, str) and (match := self._named.search(value)):
            yield key, match[0]


def _system(platform: str) -> str:
    """`Linux-x86_64-with-glibc2.36`: a kernel's release may name a site."""
    return re.sub(r"^([^-]+)-.*?-(?=x86_64|aarch64|arm64|AMD64)", r"\1-", platform)


def _top(word: str) -> str:
    """The outermost key of an override."""
    return re.split(r"[.=/@]", word.lstrip("+~"), maxsplit=1)[0]


def _homes(text: str) -> set[str]:
    """The names of people's folders; of `/home/Carol Smith/x` the name and its parts."""
    found = set(re.findall(r"(?i)/(?:home|users)/([^/\s\\\"']+)", text))
    for name in re.findall(r"(?i)/(?:home|users)/(\w+ \w+)(?=/)", text):
        found |= {name, *name.split()}
    return found
