"""`resume=FOLDER` alone continues a run with the words of its first start."""

import json
import re
from pathlib import Path

from cnnlab.errors import UserError

MARK = "<redacted>"
"""What the record (cnnlab.tracking.redact) writes in place of a secret."""


def with_first_words(words: list[str]) -> list[str]:
    """`words`, preceded by those the run in `resume=FOLDER` was started with.

    Words typed again must mean the same: the record refuses a config that differs.

    Raises:
        UserError: FOLDER holds no run; a word of the first start was a secret.
    """
    folders = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return words
    record = Path(folders[-1]) / "run.json"
    try:
        run = json.loads(record.read_text())
        paths = run["machine"]["paths"]  # the record keeps absolute paths apart
        first = [re.sub(r"\$PATH\d+", lambda m: paths[m[0]], word) for word in run["overrides"]]
        hidden = [word.partition("=")[0] for word in first if MARK in word]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"resume={folders[-1]}: not a run folder (no readable run.json)") from None
    typed = {word.partition("=")[0] for word in words}
    if lacking := [key for key in hidden if key not in typed]:
        raise UserError(
            f"resume={folders[-1]}: {', '.join(f'{key}=...' for key in lacking)} must be typed "
            "again, since the record keeps no secrets"
        )
    return [*(word for word in first if MARK not in word), *words]
