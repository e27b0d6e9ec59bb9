"""Jobs as processes of this machine, each in a session of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from cnnlab.ablation.attempt import Order
from cnnlab.ablation.job import Job
from cnnlab.ablation.job_process import STOPS

AT_ONCE = "CNNLAB_JOBS"
"""The variable that tells a job how many share its machine: times measured there mean nothing."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Running:
    job: Job
    slot: int
    process: subprocess.Popen[str]


class LocalPool:
    """At most `jobs` at a time; they share cores evenly, and GPUs in turn.

    Each is led by a process (job_process.py) that dies with this one, and takes its session along.
    """

    look_s = 0.05
    """How often it is worth asking which have ended."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._gpus = _gpus()
        self._running: list[_Running] = []

    @property
    def free(self) -> int:
        """How many can start now."""
        return self._jobs - len(self._running)

    @property
    def running(self) -> list[Job]:
        """Those that have not ended, in the order in which they started."""
        return [one.job for one in self._running]

    def start(self, orders: Sequence[Order]) -> None:
        """Start all of `orders`; as many must be `free`."""
        for order in orders:
            slot = min(set(range(self._jobs)) - {one.slot for one in self._running})
            order = replace(order, variables=order.variables | self._variables(order.job, slot))
            # A signal between start and readiness waits in the new process until it can be told.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
            try:
                process = subprocess.Popen(
                    [sys.executable, "-m", "cnnlab.ablation.job_process"],
                    stdin=subprocess.PIPE,
                    start_new_session=True,
                    text=True,
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._running.append(_Running(order.job, slot, process))
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # died at once: its exit code will tell
                process.stdin.write(order.to_json() + "\n")
                process.stdin.flush()  # and stays open: its end is this process's death

    def ended(self) -> list[tuple[Job, int]]:
        """Those that ended since the last call, with their exit codes."""
        over = [one for one in self._running if one.process.poll() is not None]
        for one in over:
            self._running.remove(one)
            _kill(one.process)  # loader workers that a killed training left
            with suppress(BrokenPipeError):
                one.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        return [(one.job, one.process.returncode) for one in over]

    def stop(self) -> None:
        """Tell all, once, to stop as Ctrl-C does; they end when their record is written."""
        for one in self._running:
            one.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End all at once; each goes on from its last checkpoint when the command is repeated."""
        for one in self._running:
            _kill(one.process)

    def _variables(self, job: Job, slot: int) -> dict[str, str]:
        variables = {name: str(self._threads(job)) for name in _THREADS}
        # Threads that wait must not spin: they would take the cores of the other jobs.
        variables["OMP_WAIT_POLICY"] = "PASSIVE"
        variables[AT_ONCE] = str(self._jobs)
        if self._jobs > 1 and self._gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return variables

    def _threads(self, job: Job) -> int:
        words = [word for word in job.words if word.startswith("trainer.threads=")]
        given = words[-1].partition("=")[2] if words else ""
        return int(given) if given.isdigit() else max(1, _cores() // self._jobs)


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # all gone; macOS: only zombies left
        os.killpg(process.pid, signal.SIGKILL)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    granted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if granted is not None:
        return [name for name in granted.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return [str(i) for i, _ in enumerate(filter(_is_gpu, listed.stdout.splitlines()))]


def _is_gpu(line: str) -> bool:
    return line.startswith("GPU ")  # MIG slices are indented
