import json

import pytest

from cnnlab.config.resuming import MARK, with_first_words
from cnnlab.errors import UserError
from cnnlab.tracking import redact


def record(folder, overrides, paths=None):
    text = {"overrides": overrides, "machine": {"paths": paths or {}}}
    (folder / "run.json").write_text(json.dumps(text))


def test_first_words_come_before_those_typed_now(tmp_path):
    record(tmp_path, ["seed=3", "data.root=$PATH1/x"], {"$PATH1": "/sets"})
    words = with_first_words([f"resume={tmp_path}", "logger=none"])
    assert words == ["seed=3", "data.root=/sets/x", f"resume={tmp_path}", "logger=none"]


def test_a_secret_must_be_typed_again(tmp_path):
    record(tmp_path, ["seed=3", f"hub.token={MARK}"])
    with pytest.raises(UserError, match=r"hub\.token=\.\.\. must be typed again"):
        with_first_words([f"resume={tmp_path}"])
    words = with_first_words([f"resume={tmp_path}", "hub.token=abc"])
    assert words == ["seed=3", f"resume={tmp_path}", "hub.token=abc"]
    assert redact.MARK == MARK


@pytest.mark.parametrize("words", [["seed=3"], ["resume=null"], []])
def test_nothing_to_resume_changes_nothing(words):
    assert with_first_words(words) == words


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_no_run_there_is_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError, match="not a run folder"):
        with_first_words([f"resume={tmp_path}"])
