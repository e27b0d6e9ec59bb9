"""The errors a user can mend. Each is one line and ends the program with exit code 2."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(ValueError):
    """Something the user wrote or laid out wrongly; printed as one line, without a traceback.

    The text names the config key or file, the value, what is allowed and the nearest match.
    """


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``"; did you mean 'groups'?"`` for the allowed word `closest` to `word`, else ``""``."""
    close = closest(word, allowed)
    return "" if close is None else f"; did you mean '{close}'?"


def closest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that `word` may have been meant to be.

    Small and capital letters are alike, unless they are all that allowed words differ in.
    """
    alike: dict[str, list[str]] = {}
    for other in allowed:
        alike.setdefault(other.casefold(), []).append(other)
    close = get_close_matches(word.casefold(), alike, n=1, cutoff=0.6)
    return get_close_matches(word, alike[close[0]], n=1, cutoff=0.0)[0] if close else None


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn a `UserError`, also one that Hydra wrapped, into one line and exit code 2.

    Ctrl-C before anything runs that has its own say on it is one line, too, and exit code 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("\nstopped: Ctrl-C", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        print(f"error: {cause}", file=sys.stderr)
        sys.exit(2)
