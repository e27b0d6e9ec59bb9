"""Jobs as an array of SLURM's, submitted by submitit; the run folders are on a shared disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cnnlab.ablation.attempt import CODE_CHANGED, Attempt, Order
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.local_pool import AT_ONCE
from cnnlab.ablation.secret_words import hidden, told
from cnnlab.errors import UserError, nearest

KEYS = {
    "partition": "slurm_partition",
    "account": "slurm_account",
    "qos": "slurm_qos",
    "constraint": "slurm_constraint",
    "exclude": "slurm_exclude",
    "setup": "slurm_setup",  # shell lines before the job, such as `module load cuda`
    "time": "timeout_min",  # minutes
    "gpus": "gpus_per_node",
    "cpus": "cpus_per_task",
    "memory_gb": "mem_gb",
    "exclusive": "slurm_exclusive",  # no other job on the node, so that times mean something
}
"""Keys of the config's `slurm` and submitit's word for each."""
CLUSTERS = ("slurm", "local")
"""Values of `slurm.cluster`; `local` runs the same on this machine, to try it."""
_PATIENCE_S = 60.0
"""SLURM gives 90 s between its word and the kill."""
_TIMEOUTS = 100
"""Times a job is queued again when its time is up; then one that gets nowhere is given up."""
_ALL = 256
"""submitit's own limit of an array's jobs at a time."""


class NodeAttempt:
    """What a node runs. Before its time is up, or for a more urgent job, it stops and requeues."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._attempt: Attempt | None = None

    def __call__(self) -> int:
        """The exit code of `train.py`, `ELSEWHERE` or `CODE_CHANGED`."""
        if self._order.code_changed():  # it may have waited for days
            return CODE_CHANGED
        self._attempt = Attempt(self._order)
        return self._attempt.run()

    def checkpoint(self) -> Any:
        """The submission that goes on later; submitit calls this from its signal handler."""
        from submitit.core.utils import DelayedSubmission

        if self._attempt is not None:
            self._attempt.stop_and_wait(_PATIENCE_S)
        return DelayedSubmission(NodeAttempt(self._order))


class SlurmPool:
    """All jobs at once; the scheduler decides when each runs.

    A second launcher may submit the same jobs: on the node each is claimed, and what is finished
    by then is left alone.

    Args:
        plan: where submitit keeps its own files: `runs/<name>/.slurm`.
        jobs: how many may run at a time, where it is more than 1.
        options: the config's `slurm`; see `KEYS` and `CLUSTERS`.

    Raises:
        UserError: submitit is not installed, or an option is none or of the wrong kind.
    """

    def __init__(self, plan: Plan, jobs: int, options: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise UserError("slurm: needs submitit; pip install -e '.[slurm]'") from error
        allowed = ["cluster", *KEYS]
        for key in options:
            if key not in allowed:
                listed = ", ".join(allowed)
                raise UserError(f"slurm.{key}: allowed: {listed}{nearest(key, allowed)}")
        if "time" not in options:  # submitit's own is 5 minutes
            raise UserError("slurm.time: missing; the minutes that one run may take at most")
        cluster = options.get("cluster", "slurm")
        if cluster not in CLUSTERS:
            raise UserError(f"slurm.cluster={cluster}: allowed: {', '.join(CLUSTERS)}")
        given = {KEYS[key]: value for key, value in options.items() if key != "cluster"}
        if "slurm_setup" in given:
            given["slurm_setup"] = list(given["slurm_setup"])  # submitit adds it to a list
        try:
            self._executor = submitit.AutoExecutor(
                plan.folder / ".slurm", cluster=cluster, slurm_max_num_timeout=_TIMEOUTS
            )
            self._executor.update_parameters(
                name=plan.name, slurm_array_parallelism=jobs if jobs > 1 else _ALL, **given
            )
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"slurm: {str(error).partition(chr(10))[0]}") from error
        alone = bool(options.get("exclusive")) and cluster == "slurm"
        self._variables = {AT_ONCE: "1" if alone else str(_ALL)}  # as many as there may be
        self._secret: list[str] = []
        self._running: list[tuple[Job, Any]] = []

    look_s = 1.0
    """How often a shared disk is asked."""

    @property
    def free(self) -> int:
        """All that are left go at once."""
        return _ALL**2

    @property
    def running(self) -> list[Job]:
        """Submitted and not ended."""
        return [job for job, _ in self._running]

    def start(self, orders: Sequence[Order]) -> None:
        """Submit `orders` as one array.

        Raises:
            UserError: the scheduler takes no such array.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        attempts = [NodeAttempt(self._for_node(order)) for order in orders]
        try:
            with told(self._secret):
                submitted = self._executor.submit_array(attempts)
        except (FailedJobError, FailedSubmissionError) as error:
            said = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
            raise UserError(
                f"slurm: an array of {len(orders)} jobs was not taken: {said}"
            ) from error
        self._running += list(zip([order.job for order in orders], submitted, strict=True))

    def _for_node(self, order: Order) -> Order:
        """What submitit writes to the shared disk."""
        job = replace(order.job, words=hidden(order.job.words, self._secret))
        return replace(order, job=job, variables=order.variables | self._variables)

    def ended(self) -> list[tuple[Job, int]]:
        """Those that ended since the last call, with their exit codes."""
        over = [(job, task) for job, task in self._running if task.done()]
        self._running = [pair for pair in self._running if pair not in over]
        return [(job, _code(task)) for job, task in over]

    def stop(self) -> None:
        """Cancel what is queued; what runs is told to stop, and killed by SLURM if it does not."""
        for _, task in self._running:
            task.cancel(check=False)  # it may be over by now

    def kill(self) -> None:
        """As `stop`: the scheduler kills."""
        self.stop()


def _code(task: Any) -> int:
    """1 for a job that the scheduler ended; its folder and SLURM's own log tell more."""
    from submitit.core.utils import UncompletedJobError  # FailedJobError is one

    try:
        return int(task.result())
    except UncompletedJobError:
        return 1
