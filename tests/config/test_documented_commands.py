"""The trainings that README and docs name: each is a config that could start."""

import re
import shlex
from pathlib import Path

import pytest

from cnnlab.config import check, compose
from cnnlab.errors import UserError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_OURS = re.compile(r"(-m|--\w.*|resume=.*|ablation=.*|model=NAME|.*\$.*)$")
"""Several runs, help, a run that must be there, and what the reader fills in."""
WRONG = "model=resnext50_32x4d model.grops=4"
"""The README shows what becomes of it."""


def documented() -> list[str]:
    """Words after `train.py`, each line once."""
    found = set[str]()
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"python train\.py( [^\n`]*)", text):
            words = shlex.split(line, comments=True)
            if not any(map(NOT_OURS.match, words)):
                found.add(shlex.join(words))
    return sorted(found - {"", WRONG})


def test_there_are_some():
    assert len(documented()) > 15


@pytest.mark.parametrize("line", documented())
def test_it_could_start(line: str):
    check(compose(shlex.split(line)))


def test_the_readme_shows_an_error_that_is_one():
    with pytest.raises(UserError, match=r"did you mean 'model\.groups'"):
        check(compose(WRONG.split()))
