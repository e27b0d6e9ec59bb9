"""`resume=FOLDER` alone continues a run with the words of its first start."""

import json
import re
from pathlib import Path

from cnnlab.errors import UserError


def with_first_words(words: list[str]) -> list[str]:
    """`words`, preceded by those the run in `resume=FOLDER` was started with.

    Words typed again must mean the same: the record refuses a config that differs.

    Raises:
        UserError: FOLDER holds no run.
    """
    folders = [word.partition("=")[2] for word in words if word.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return words
    record = Path(folders[-1]) / "run.json"
    try:
        run = json.loads(record.read_text())
        paths = run["machine"]["paths"]  # the record keeps absolute paths apart
        first = [re.sub(r"\$PATH\d+", lambda m: paths[m[0]], word) for word in run["overrides"]]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"resume={folders[-1]}: not a run folder (no readable run.json)") from None
    return [*first, *words]
