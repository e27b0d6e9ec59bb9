"""What a service that repeats the run record has to offer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers.logger import Logger

if TYPE_CHECKING:
    from cnnlab.tracking.record import RunRecord


class Mirror(Logger):
    """A Lightning logger that is told about the run before it starts and how it ended.

    The local record is the truth: a mirror that fails says so in one line and stops.
    """

    def bind(self, record: "RunRecord") -> None:
        """Start to repeat `record`; called in the first process only."""
        raise NotImplementedError(type(self).__name__)

    def log_images(
        self, key: str, images: Sequence[Path], captions: Sequence[str], step: int
    ) -> None:
        """Show picture files under `key`."""
        raise NotImplementedError(type(self).__name__)

    def log_table(
        self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
    ) -> None:
        """Show a table under `key`."""
        raise NotImplementedError(type(self).__name__)

    def close(self, status: str) -> None:
        """End: `status` is finished, failed or stopped."""
        raise NotImplementedError(type(self).__name__)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: `bind` gives the whole config."""
