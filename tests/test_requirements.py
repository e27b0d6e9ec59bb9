"""The locked versions are those of requirements.txt, and all carry hashes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"^([A-Za-z0-9][\w.-]*)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_locked():
    wanted = {normal(name) for name in NAME.findall((ROOT / "requirements.txt").read_text())}
    lock = (ROOT / "requirements.lock").read_text()
    locked = {
        normal(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.M)
    }
    assert len(wanted) > 8
    assert wanted <= locked.keys()
    assert lock.count("==") <= lock.count("--hash=sha256:")
