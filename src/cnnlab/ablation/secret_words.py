"""Words with secrets, kept out of the files of a shared disk: they travel by the environment."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cnnlab.errors import UserError
from cnnlab.tracking.redact import Redactor, is_secret

VARIABLE = "CNNLAB_SECRET_WORDS"
"""A JSON list; SLURM keeps the environment of a submission, and gives it to the job."""
_BEGIN, _END = "<secret word ", ">"


def hidden(words: Sequence[str], secret: list[str]) -> list[str]:
    """`words`, for each with a secret its place in `secret`, which grows by the new ones."""
    redactor = Redactor({}, words, os.environ)
    found = []
    for word in words:
        named = re.findall(r"([\w.-]+)\s*[=:]", word)  # tags.api_key=... and tags={api_key: ...}
        if any(map(is_secret, named)) or redactor.text(word) != word:
            if word not in secret:
                secret.append(word)
            word = f"{_BEGIN}{secret.index(word)}{_END}"
        found.append(word)
    return found


@contextmanager
def told(secret: Sequence[str]) -> Iterator[None]:
    """A context whose child processes can reveal what was hidden."""
    os.environ[VARIABLE] = json.dumps(list(secret))
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def revealed(words: Sequence[str]) -> list[str]:
    """The words that `hidden` took.

    Raises:
        UserError: the environment did not come along.
    """
    places = [_place(word) for word in words]
    if all(place is None for place in places):
        return list(words)
    try:
        secret = json.loads(os.environ[VARIABLE])
    except KeyError:
        raise UserError(
            "a word holds a secret, and the environment of the command did not reach the node "
            "(sbatch --export, SBATCH_EXPORT); set the secret as a variable there, such as "
            "WANDB_API_KEY"
        ) from None
    return [
        word if place is None else secret[place] for word, place in zip(words, places, strict=True)
    ]


def _place(word: str) -> int | None:
    if not word.startswith(_BEGIN):
        return None
    return int(word.removeprefix(_BEGIN).removesuffix(_END))
