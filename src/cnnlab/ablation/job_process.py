"""`python -m cnnlab.ablation.job_process`: one job in a session of its own, started by `launch`.

It stands between launcher and training, and imports neither torch nor Hydra. Its standard input is
a pipe from the launcher: the order is one line, and its end is the launcher's death, however that
came about. Then all processes of the job are killed; whoever repeats the command goes on from the
last checkpoint.
"""

import os
import signal
import sys
import threading
from types import FrameType

from cnnlab.ablation.attempt import Attempt, Order

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Attempt the job; exit with `train.py`'s code."""
    order = sys.stdin.readline()
    if not order:
        sys.exit(1)  # the launcher died
    attempt = Attempt(Order.from_json(order))

    def stop(signum: int, frame: FrameType | None) -> None:
        attempt.stop()

    for one in STOPS:
        signal.signal(one, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # the launcher held them back until now
    threading.Thread(target=_die_with_launcher, daemon=True).start()
    code = attempt.run()
    sys.exit(code if code >= 0 else 128 - code)


def _die_with_launcher() -> None:
    while os.read(0, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
