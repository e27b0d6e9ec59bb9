"""Small sets in files that torchvision knows how to fetch."""

from pathlib import Path
from typing import Any, ClassVar

from torchvision import datasets

from cnnlab.data.in_memory import InMemory, MemorySource
from cnnlab.data.module import Splits
from cnnlab.errors import UserError


class Downloadable(InMemory):
    """Reads torchvision's layout below `root`. A subclass names its files and reads them."""

    torchvision_name: ClassVar[str]
    """Of the class in torchvision.datasets."""
    files: ClassVar[tuple[str, ...]]
    """What must exist, relative to `root`."""

    def __init__(self, *, root: str, download: bool, **common: Any) -> None:
        super().__init__(**common)
        self.root = Path(root).expanduser()
        self.download = download

    def read_files(self) -> tuple[MemorySource, MemorySource, list[str]]:
        """The train split, the test split and the class names; all of `files` exist.

        Raises:
            UserError: naming a file that does not hold what it should.
        """
        raise NotImplementedError(type(self).__name__)

    def read(self) -> Splits:
        if self.download and self._missing():
            self._download()
        if missing := self._missing():
            raise UserError(
                f"{self.root / missing[0]} not found ({len(missing)} of {len(self.files)} files "
                f"are missing below data.root={self.root}); data.download=true fetches them, or "
                "point data.root at a folder in torchvision's layout"
            )
        return self.in_memory(*self.read_files())

    def _missing(self) -> list[str]:
        return [name for name in self.files if not (self.root / name).is_file()]

    def _download(self) -> None:
        """Through torchvision, which checks md5 sums before anything is unpacked or opened."""
        name = self.torchvision_name
        try:
            getattr(datasets, name)(str(self.root), download=True)
        except (OSError, RuntimeError) as error:  # URLError is an OSError
            cause = " ".join(str(error).split())
            raise UserError(
                f"data.download=true: {name} cannot be fetched to data.root={self.root}: {cause}"
            ) from error
