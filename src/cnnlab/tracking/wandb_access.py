"""Whether Weights & Biases can be used from here: logged in, and does its server answer?"""

import netrc
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cnnlab.errors import UserError


def has_key(base_url: str, settings_key: str | None) -> bool:
    """Whether there are credentials: environment, W&B's own settings, or netrc.

    Args:
        base_url: of the server.
        settings_key: the key that W&B's settings hold.
    """
    if (
        settings_key
        or os.environ.get("WANDB_API_KEY")
        or os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    ):
        return True
    named = os.environ.get("NETRC")
    files = [Path(named)] if named else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for file in files:
        try:
            if netrc.netrc(file).authenticators(urlsplit(base_url).netloc):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def settings() -> Any:
    """W&B's own, of its variables and files.

    Raises:
        UserError: W&B does not take them, such as WANDB_MODE=oflline.
    """
    import wandb

    try:
        return wandb.setup(wandb.Settings(silent=True)).settings
    except Exception as error:  # pydantic's, over several lines
        words = " ".join(str(error).split())[:160]
        raise UserError(
            f"W&B does not take its WANDB_... variables or settings ({words})"
        ) from error


def unusable(timeout_s: float = 5.0) -> str | None:
    """Why W&B's server cannot be asked anything, in words; None where it can.

    To be called first: W&B itself would ask for a key at the terminal, and wait long for an answer.
    """
    try:
        known = settings()
    except UserError as error:
        return str(error)
    if not has_key(known.base_url, known.api_key):
        return "not logged in to W&B; wandb login, or set WANDB_API_KEY"
    if not answers(known.base_url, timeout_s):
        return f"{known.base_url} does not answer"
    return None


def first_line(error: BaseException) -> str:
    """What W&B raised, in at most 160 characters."""
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:160]


def answers(base_url: str, timeout_s: float) -> bool:
    """Whether any HTTP answer, an error too, comes back in time; proxies are honoured."""

    def ask() -> None:
        with suppress(urllib.error.HTTPError):  # an answer as well
            urllib.request.urlopen(base_url, timeout=timeout_s).close()

    return within(timeout_s, ask) is None


def within(timeout_s: float, work: Callable[[], object]) -> BaseException | None:
    """Do `work` beside this thread; what it raised, or `TimeoutError` if it takes longer.

    Name look-ups and hung services know no timeout of their own.
    """
    raised: list[BaseException | None] = [TimeoutError(f"no answer within {timeout_s:g} s")]

    def body() -> None:
        try:
            work()
            raised[0] = None
        except BaseException as error:
            raised[0] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(timeout_s)
    return raised[0]
