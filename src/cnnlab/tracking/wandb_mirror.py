"""Weights & Biases as a mirror of the run record."""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnnlab.errors import UserError
from cnnlab.tracking.machine_paths import MachinePaths
from cnnlab.tracking.mirror import Mirror
from cnnlab.tracking.sender import Sender
from cnnlab.tracking.wandb_access import answers, first_line, has_key, settings, within

if TYPE_CHECKING:
    from cnnlab.tracking.record import RunRecord

STEP = "trainer/global_step"
"""Our own axis: W&B's counter starts anew where an offline run is continued, and drops points."""


def _environ(folder: Path) -> dict[str, str]:
    return {
        "WANDB_DATA_DIR": str(folder / "data"),  # else W&B fills the home folder
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_ERROR_REPORTING": "false",  # W&B's reports on its own errors name our users' files
    }


class WandbMirror(Mirror):
    """Repeats metrics, config, pictures and outcome; never stops a run, unless asked for `online`.

    Everything lies in the run folder's `wandb/`. What W&B would collect by itself (command line,
    program, host, git remote, packages, console) is switched off: the record holds what may be
    known of it.

    Args:
        project: of W&B.
        entity: account or team; None: the account's default.
        group: None: `<data>-<model>`.
        job_type: what kind of run it is.
        mode: `auto` goes offline where it must; `online` fails there; `offline`; `disabled`.
            The variable WANDB_MODE decides where this is `auto`.
        timeout_s: how long W&B may take to answer at the start.
        notes: free text: the question asked.
        tags: beside those of the config's `tags`.
    """

    finish_timeout_s = 120.0
    """How long the rest may take to upload; what is left lies in the folder for `wandb sync`."""
    grace_s = 10.0
    """How much longer W&B's own process may take before it counts as hung."""
    most_waiting = 1000
    """Rows that may wait for W&B's process before it counts as hung."""

    def __init__(
        self,
        *,
        project: str,
        entity: str | None,
        group: str | None,
        job_type: str,
        mode: Literal["auto", "online", "offline", "disabled"],
        timeout_s: float,
        notes: str | None = None,
        tags: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.timeout_s = timeout_s
        self._mode = mode
        self._given = {
            "project": project,
            "entity": entity,
            "group": group,
            "job_type": job_type,
            "notes": notes,
        }
        self._tags = tags or []
        self._run: Any = None
        self._sender: Sender | None = None
        self._folder: Path | None = None
        self._environ: dict[str, str] = {}
        self._fields: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        return str(self._given["project"])

    @property
    def version(self) -> str | None:
        return self._run.id if self._run is not None else None

    # The start ---------------------------------------------------------------------------------

    def bind(self, record: "RunRecord") -> None:
        """Start the W&B run, or continue the one that `record` knows.

        Raises:
            UserError: mode `online`, but not logged in, or no answer within `timeout_s`.
        """
        mode = self._mode
        if mode == "auto" and os.environ.get("WANDB_MODE") in ("online", "offline", "disabled"):
            # One of the three, by the line above.
            mode = os.environ["WANDB_MODE"]  # type: ignore[assignment]
        if mode == "disabled":
            return
        deadline = time.monotonic() + self.timeout_s
        assert record.folder is not None
        self._folder = record.folder.resolve()
        wanted = _environ(self._folder / "wandb")
        self._environ = {k: v for k, v in wanted.items() if k not in os.environ}
        os.environ |= self._environ
        arguments = self._arguments(record)
        if mode != "offline":
            problem = self._try_online(arguments, deadline)
            if problem is None:
                _say(self._run.url)
                return
            if mode == "online":
                self._tear_down()
                raise UserError(f"logger.wandb.mode=online: {problem}; allowed here: auto, offline")
            _say(
                f"{problem}, so this run is mirrored to disk only; "
                f"later: wandb login, then wandb sync {record.folder}/wandb/offline-*"
            )
        problem = self._try(lambda: self._init("offline", arguments, 30.0))
        if problem is not None:
            _say(f"does not start ({problem}), so only the local record is written")
            self._tear_down()

    def _try_online(self, arguments: dict[str, Any], deadline: float) -> str | None:
        """Start online; else why not, in words."""
        import wandb

        try:
            known = settings()
        except UserError as error:
            return str(error)
        base_url = known.base_url
        if not has_key(base_url, known.api_key):
            return "not logged in"
        if not answers(base_url, min(5.0, self.timeout_s)):
            return f"{base_url} does not answer"
        left = max(deadline - time.monotonic() - 1.0, 1.0)  # a second for going offline
        before = self._run_folders()
        problem = self._try(lambda: self._init("online", arguments, left))
        if problem is not None:
            within(self.grace_s, wandb.teardown)  # frees the id
            for folder in self._run_folders() - before:
                shutil.rmtree(folder, ignore_errors=True)
            return f"{base_url} does not take the run ({problem})"
        return None

    def _arguments(self, record: "RunRecord") -> dict[str, Any]:
        fields = self._fields = record.fields
        if record.wandb_id is None:
            record.wandb_id = _id_of_sweep() or secrets.token_hex(4)
        tags = [f"{k}={v}"[:64] for k, v in (record.config.get("tags") or {}).items()]
        config = record.config | {
            "identity": fields["identity"],
            "choices": fields["choices"],
            "overrides": MachinePaths().take(fields["overrides"]),
            "git": {k: v for k, v in (fields["git"] or {}).items() if k in ("commit", "dirty")},
            "environment": fields["environment"],
            "record": self._of_record(),
        }
        return self._given | {
            "id": record.wandb_id,
            "name": record.name,
            "group": self._given["group"] or record.group,
            "tags": [*tags, *self._tags],
            "config": config,
            "resume": "allow",
        }

    def _of_record(self) -> dict[str, Any]:
        """What compare needs to know of the run besides; some of it only when it ends."""
        known: dict[str, Any] = MachinePaths().take(
            {key: self._fields.get(key) for key in ("job", "tested", "best")}
        )
        return known

    def _init(self, mode: str, arguments: dict[str, Any], timeout_s: float) -> None:
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        assert self._folder is not None
        run = wandb.init(
            **arguments,
            mode=mode,  # type: ignore[arg-type]  # one of the four by the config check
            settings=wandb.Settings(
                root_dir=str(self._folder),
                silent=True,
                quiet=True,
                console="off",
                symlink=False,
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                init_timeout=timeout_s,
                finish_timeout=self.finish_timeout_s,
            ),
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        self._run, self._sender = run, Sender(self.most_waiting)

    # During the run ----------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Send one row; without `step` it has no place on the step axis."""
        if self._run is not None:
            row = dict(metrics) if step is None else {**metrics, STEP: step}
            self._send(lambda run: run.log(row))

    def log_images(
        self, key: str, images: Sequence[Path], captions: Sequence[str], step: int
    ) -> None:
        if self._run is None:
            return
        import wandb

        def send(run: Any) -> None:
            shown = [
                wandb.Image(str(image), caption=caption)
                for image, caption in zip(images, captions, strict=True)
            ]
            run.log({key: shown, STEP: step})

        self._send(send)

    def log_table(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        if self._run is None:
            return
        import wandb

        table = wandb.Table(columns=list(columns), data=[list(row) for row in rows])
        self._send(lambda run: run.log({key: table, STEP: step}))

    # The end -----------------------------------------------------------------------------------

    def close(self, status: str) -> None:
        """Finish with exit code 0, or 1 unless `status` is finished; at most `finish_timeout_s`."""
        known = {"record": self._of_record()}
        if self._run is not None:
            self._send(lambda run: run.config.update(known, allow_val_change=True))
        if self._run is None:
            return
        run, self._run = self._run, None
        assert self._sender is not None
        deadline = time.monotonic() + self.finish_timeout_s + self.grace_s
        problem = self._sender.finish(self.finish_timeout_s)
        if problem is None:
            code = 0 if status == "finished" else 1
            left = deadline - time.monotonic()
            problem = within(left, lambda: run.finish(exit_code=code))
        if problem is not None:
            _say(f"did not finish ({first_line(problem)}); the local record is whole")
        self._tear_down()

    def _send(self, work: Callable[[Any], object]) -> None:
        """Give W&B something to do; a process of its own that died or hangs ends the mirroring."""
        run = self._run
        assert self._sender is not None
        problem = self._sender.give(lambda: work(run))
        if problem is not None:
            line = first_line(problem)
            _say(f"stopped working ({line}); training goes on, the local record is whole")
            self._run = None
            self._tear_down()

    @staticmethod
    def _try(work: Callable[[], object]) -> str | None:
        """Whatever W&B raises must not end a run."""
        try:
            work()
        except Exception as error:
            return first_line(error)
        return None

    def _tear_down(self) -> None:
        import wandb

        within(
            self.grace_s, wandb.teardown
        )  # ends wandb-core; W&B's own hook at exit can hang or shout
        for variable in self._environ:
            os.environ.pop(variable, None)
        self._environ = {}

    def _run_folders(self) -> set[Path]:
        assert self._folder is not None
        return set((self._folder / "wandb").glob("run-*"))


def _id_of_sweep() -> str | None:
    """The id that a sweep's agent gave this run: W&B then heeds no other."""
    return os.environ.get("WANDB_RUN_ID") if os.environ.get("WANDB_SWEEP_ID") else None


def _say(text: str) -> None:
    print(f"W&B: {text}", file=sys.stderr, flush=True)
