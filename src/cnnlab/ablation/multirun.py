"""The jobs of a plan on their way: who waits, who runs, who is with another launcher."""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from cnnlab.ablation.attempt import CODE_CHANGED, ELSEWHERE, Order
from cnnlab.ablation.claim import is_claimed
from cnnlab.ablation.display import Lines, Row
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.job_state import LOG, JobState, read_progress, read_state
from cnnlab.ablation.stops import Stops
from cnnlab.ablation.summary import clock, metric_of, reason_of
from cnnlab.errors import UserError

_SHOW_S = 1.0
_ELSEWHERE_S = 1.0
OTHER_CONFIG = "another config was run here meanwhile; repeat the command to see what differs"
OTHER_CODE = "made by other code than that of the launch; stale=keep counts it"


class Pool(Protocol):
    """Where jobs run; `LocalPool` and `SlurmPool`."""

    look_s: float

    @property
    def free(self) -> int: ...
    @property
    def running(self) -> list[Job]: ...
    def start(self, orders: Sequence[Order]) -> None: ...
    def ended(self) -> list[tuple[Job, int]]: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Multirun:
    """Brings every job of a plan to an end once.

    Args:
        plan: the multirun.
        pool: where its jobs run.
        orders: by job name.
        finished: those to skip, by job name.
        shown: where events and progress go.

    Attributes:
        states: by job name, as last read.
    """

    def __init__(
        self,
        plan: Plan,
        pool: Pool,
        orders: Mapping[str, Order],
        finished: Mapping[str, JobState],
        shown: Lines,
    ) -> None:
        self.states = dict(finished)
        self._plan = plan
        self._pool = pool
        self._orders = orders
        self._shown = shown
        self._waiting = [job for job in plan.jobs if job.name not in finished]
        self._elsewhere: list[Job] = []
        self._stopping = False
        self._code_changed = ""
        self._started: dict[str, float] = {}
        self._took_s: list[float] = []
        self._next_show = self._next_look = 0.0

    def run(self, stops: Stops) -> None:
        """Until all ended, or those under way were stopped."""
        killing = False
        while self._pool.running or (self._has_more and not self._stopping):
            if stops.signum is not None and not self._stopping:
                self._stopping = True
                self._stop()
            if stops.hard and not killing:
                killing = True
                self._pool.kill()
            for job, code in self._pool.ended():
                self._end(job, code)
            # Not a job more after a signal; it may have come just now.
            count = min(self._pool.free, len(self._waiting))
            if count and stops.signum is None and self._may_start():
                batch, self._waiting = self._waiting[:count], self._waiting[count:]
                self._start(batch)
            elif self._elsewhere and self._pool.free and time.monotonic() > self._next_look:
                self._look_elsewhere()
                self._next_look = time.monotonic() + _ELSEWHERE_S
            if self._shown.live and time.monotonic() > self._next_show:
                self._show()
                self._next_show = time.monotonic() + _SHOW_S
            time.sleep(self._pool.look_s)
        if self._code_changed:
            self._shown.say(
                f"stopped   code changed since the launch ({self._code_changed}): "
                f"{len(self._waiting)} jobs not started; stale=keep to go on"
            )

    @property
    def _has_more(self) -> bool:
        return bool(self._elsewhere or (self._waiting and not self._code_changed))

    def _may_start(self) -> bool:
        """Whether the code is still that of the launch; a job imports what lies on the disk."""
        if not self._code_changed:
            self._code_changed = self._orders[self._waiting[0].name].code_changed()
        return not self._code_changed

    def _start(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._started[job.name] = time.monotonic()
            if not self._shown.live:
                self._shown.say(f"start     {job.name}, output in {job.folder / LOG}")
        try:
            self._pool.start([self._orders[job.name] for job in jobs])
        except OSError as error:  # no more processes, or no memory for one: the others go on
            running = {job.name for job in self._pool.running}
            left = [job for job in jobs if job.name not in running]
            for job in left[:1]:
                reason = f"its process could not be started: {error}"
                self._settle(job, JobState("failed", reason))
            self._waiting = left[1:] + self._waiting

    def _stop(self) -> None:
        if names := ", ".join(job.name for job in self._pool.running):
            self._shown.say(f"stopping  {names}; each writes its record. Ctrl-C again kills")
        self._pool.stop()

    def _end(self, job: Job, code: int) -> None:
        if code == ELSEWHERE:
            self._elsewhere.append(job)
            del self._started[job.name]
            self._say(job, "elsewhere", "another process runs it; waited for at the end")
            return
        if code == CODE_CHANGED:
            self._waiting.append(job)
            del self._started[job.name]
            # It may have been changed back since.
            self._code_changed = self._orders[job.name].code_changed() or "for a while"
            return
        state = self._read(job)
        if state.status == "new" and code and not self._stopping:
            reason = f"nothing was written before it ended with exit code {code}"
            state = JobState("failed", reason)
        self._settle(job, state)

    def _look_elsewhere(self) -> None:
        for job in [one for one in self._elsewhere if not is_claimed(one.folder)]:
            self._elsewhere.remove(job)
            state = self._read(job)
            if self._orders[job.name].settled(state):
                self._settle(job, state)
            else:  # whoever ran it was stopped or killed
                self._waiting.append(job)

    def _settle(self, job: Job, state: JobState) -> None:
        order = self._orders[job.name]
        if order.refuses(state) or (state.status == "finished" and not order.counts(state)):
            state = JobState("failed", OTHER_CONFIG if state.other_config(job) else OTHER_CODE)
        self.states[job.name] = state
        if state.status == "finished":
            if job.name in self._started:
                self._took_s.append(time.monotonic() - self._started[job.name])
            if not self._shown.live:
                words = [self._value(state.values), self._ahead()]
                self._say(job, "finished", ", ".join(word for word in words if word))
        else:
            self._say(job, state.status, f"{reason_of(state)} ({job.folder / LOG})")

    def _say(self, job: Job, event: str, about: str) -> None:
        self._shown.say(f"{event:9} {job.name}: {about}")

    @staticmethod
    def _read(job: Job) -> JobState:
        """A folder that cannot be read is one failed job, and none of the others' business."""
        try:
            return read_state(job.folder)
        except UserError as error:
            return JobState("failed", str(error))

    # How far all are ---------------------------------------------------------------------------

    def _show(self) -> None:
        running = {job.name for job in self._pool.running}
        elsewhere = {job.name for job in self._elsewhere}
        rows = []
        for job in self._plan.jobs:
            if job.name in running | elsewhere:
                rows.append(self._under_way(job, "running" if job.name in running else "elsewhere"))
            elif state := self.states.get(job.name):
                kind = "stopped" if state.status == "half-done" else state.status
                rows.append(Row(job.arm, job.seed, kind, metric=self._cell(state.values)))
            else:
                rows.append(Row(job.arm, job.seed, "waiting"))
        done = sum(state.status == "finished" for state in self.states.values())
        caption = [f"{done} of {len(rows)} finished", self._ahead()]
        caption = [word for word in caption if word]
        self._shown.show(rows, self._metric or "", ", ".join(caption))

    def _under_way(self, job: Job, kind: str) -> Row:
        state, progress = self._read(job), read_progress(job.folder)
        mean, share = self._mean_s(), progress.share(state)
        epochs = f"{share * state.epochs:.3g}/{state.epochs}" if state.epochs else ""
        left = clock(mean * (1 - share)) if mean is not None else ""
        return Row(job.arm, job.seed, kind, epochs, self._cell(dict(progress.metrics)), left)

    def _ahead(self) -> str:
        """The time that is left, if those to come take as long as those that finished."""
        mean = self._mean_s()
        running = self._pool.running
        count = len(self._waiting) + len(running)
        if mean is None or not count:
            return ""
        share = sum(read_progress(job.folder).share(self._read(job)) for job in running)
        at_once = min(count, len(running) + max(self._pool.free, 0))
        return f"about {clock(mean * (count - share) / max(at_once, 1))} left"

    def _mean_s(self) -> float | None:
        """Of a finished job, start to end; else of earlier ones what their record says."""
        if self._took_s:
            return sum(self._took_s) / len(self._took_s)
        known = [s.seconds for s in self.states.values() if s.status == "finished" and s.seconds]
        return sum(known) / len(known) if known else None

    @property
    def _metric(self) -> str | None:
        return metric_of(self._plan, list(self.states.values()))

    def _value(self, metrics: Mapping[str, float | None]) -> str:
        """The metric, or while there is none its counterpart on val."""
        key = self._metric or ""
        keys = [key, key.replace("test/", "val/", 1)]
        found = [(one, value) for one in keys if (value := metrics.get(one)) is not None]
        return f"{found[0][0]} {found[0][1]:.4f}" if found else ""

    def _cell(self, metrics: Mapping[str, float | None]) -> str:
        """As `_value`, under a heading that names the metric."""
        return self._value(metrics).removeprefix(f"{self._metric} ")
