"""Which code made a run: its commit and the state of uncommitted edits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cnnlab.tracking.environment import git


@dataclass(frozen=True)
class Code:
    """A version of the code.

    Attributes:
        commit: whole.
        diff: tells one state of uncommitted edits from another; "": none; None: a record of the
            time when it was not kept.
    """

    commit: str
    diff: str | None

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self | None:
        """Of `git` or a session in run.json; None where no commit stands there."""
        if not facts.get("commit"):
            return None
        return cls(facts["commit"], (facts["diff"] or "") if "diff" in facts else None)

    def differs(self, other: "Code") -> bool:
        """Whether it is known to be other code."""
        if self.commit != other.commit:
            return True
        return None not in (self.diff, other.diff) and self.diff != other.diff

    def __str__(self) -> str:
        return self.commit[:7] + (f"+{self.diff[:7]}" if self.diff else "")


def code_now() -> Code | None:
    """Of the code as it lies on the disk; None: no git."""
    return Code.read(git() or {})


def changed_since(launch: Code | None) -> str:
    """How the code differs from that of the launch, for a message; "" where it does not.

    Where either is unknown (no git) they count as the same.
    """
    now = code_now()
    if launch is None or now is None or not now.differs(launch):
        return ""
    if now.commit == launch.commit:
        return "uncommitted edits"
    return f"commit {launch} -> {now}"
