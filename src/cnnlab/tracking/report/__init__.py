"""A comparison as one self-contained HTML file."""

from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.tracking.comparison import Comparison


def write_report(comparison: Comparison, path: Path) -> None:
    """Write `comparison` to `path`.

    Raises:
        UserError: always; the page is not made yet.
    """
    raise UserError(f"--html {path}: not there yet; --markdown FILE has the same tables")
