"""A service that may hang is spoken to from a thread of its own, so that training never waits."""

import queue
import threading
from collections.abc import Callable

Work = Callable[[], object]


class Sender:
    """Does pieces of work one after another, in the order given, beside the thread that gives them.

    The first that raises is the last that is done. The thread ends with the program, even if it
    hangs.

    Args:
        most: how many pieces may wait; more means that the other side has stopped answering.
    """

    def __init__(self, most: int) -> None:
        self._waiting: queue.Queue[Work | None] = queue.Queue(most)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def give(self, work: Work) -> BaseException | None:
        """Have `work` done; returns what went wrong since, and then nothing more is accepted."""
        if self._error is None:
            try:
                self._waiting.put_nowait(work)
            except queue.Full:
                self._error = TimeoutError("no answer any more")
        return self._error

    def finish(self, timeout_s: float) -> BaseException | None:
        """Wait until all is done, at most `timeout_s`; returns what went wrong."""
        if self._error is None:
            try:
                self._waiting.put(None, timeout=timeout_s)
            except queue.Full:
                self._error = TimeoutError(f"no answer within {timeout_s:g} s")
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                self._error = self._error or TimeoutError(f"no answer within {timeout_s:g} s")
        return self._error

    def _serve(self) -> None:
        while (work := self._waiting.get()) is not None:
            try:
                work()
            except BaseException as error:
                self._error = error
                return
