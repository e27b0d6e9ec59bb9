"""A comparison as one self-contained HTML file: no network, readable without JS."""

from pathlib import Path

from cnnlab.atomic import write_bytes
from cnnlab.tracking.comparison import Comparison
from cnnlab.tracking.report.page import page

__all__ = ["write_report"]


def write_report(comparison: Comparison, path: Path) -> None:
    """Write `comparison` to `path`, whole or not at all.

    Raises:
        UserError: the disk is full.
    """
    # A name may hold half of a surrogate pair, which JSON allows and UTF-8 does not.
    write_bytes(path, page(comparison).encode("utf-8", "replace"))
