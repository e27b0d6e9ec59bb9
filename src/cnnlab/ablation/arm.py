"""What an ablation or a grid compares: its arms, and how they are named."""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnlab.config import Composed
from cnnlab.errors import UserError

if TYPE_CHECKING:
    from cnnlab.ablation.hold import Solved


@dataclass(frozen=True)
class Arm:
    """Runs that differ in nothing but the seed.

    Attributes:
        name: of the ablation's arm; in a grid the values that tell it from the others.
        words: as typed after `train.py`, without the seed.
        composed: of these words and the first seed.
        cost: `cost/...` keys, counted.
        solved: the knob that holds the cost; None where nothing was solved.
    """

    name: str
    words: list[str]
    composed: Composed
    cost: dict[str, float]
    solved: "Solved | None"


def arm_names(arms: list[list[str]], varied: list[str]) -> list[str]:
    """`groups4` of model.groups=4, `resnet18` of model=resnet18; whole keys where that is alike."""
    for short in (True, False):
        names = ["-".join(_part(word, short) for word in _of(arm, varied)) for arm in arms]
        names = [_cut(name) or "run" for name in names]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"{', '.join(varied)}: values that a folder's name cannot tell apart")


def _of(arm: list[str], varied: list[str]) -> list[str]:
    return [word for word in arm if word.partition("=")[0] in varied]


def _part(word: str, short: bool) -> str:
    key, _, value = word.partition("=")
    prefix = key.rpartition(".")[2] if short else f"{key}_"
    return value if short and "." not in key else prefix + value


def _cut(name: str) -> str:
    clean = re.sub(r"[^\w.+-]+", "_", name).strip("_.-")
    return clean if len(clean) <= 80 else f"{clean[:71]}-{digest(name)}"


def digest(text: str) -> str:
    """Eight hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
