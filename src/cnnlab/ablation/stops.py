"""Signals that ask a multirun to stop: noted, and acted upon between two looks at its jobs."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

from cnnlab.ablation.job_process import STOPS

_APART_S = 0.5
"""`timeout` and some schedulers send the same signal twice at once; a person cannot."""


class Stops:
    """A context in which Ctrl-C, SIGTERM and SIGHUP are noted instead of acting.

    What the caller ignores (nohup, `&` in a script) stays ignored.

    Attributes:
        signum: the first that came; None: none.
        hard: a Ctrl-C came later: do not wait.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.hard = False
        self._first = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for one in STOPS:
            if signal.getsignal(one) is not signal.SIG_IGN:
                self._before[one] = signal.signal(one, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is None:
            self.signum, self._first = signum, time.monotonic()
        elif signum == signal.SIGINT and time.monotonic() > self._first + _APART_S:
            self.hard = True
