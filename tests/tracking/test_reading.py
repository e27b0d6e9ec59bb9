import json
import math
from pathlib import Path

import pytest

from cnnlab.errors import UserError
from cnnlab.tracking.metrics_file import MetricsFile
from cnnlab.tracking.reading import History, read_history, read_run


def test_history_is_ordered_and_the_later_of_two_counts(tmp_path):
    file = MetricsFile(tmp_path / "metrics.csv")
    file.append(10, 0, 1.0, {"a": 1.0, "b": math.nan})
    file.append(20, 1, 2.0, {"a": 2.0})
    file.append(10, 0, 3.0, {"a": 3.0})
    file.append(0, 0, 4.0, {"a": 4.0})
    file.close()
    history = read_history(file.path)
    assert history["a"] == History([0, 10, 20], [0, 0, 1], [4.0, 3.0, 2.0], [4.0, 3.0, 2.0])
    assert math.isnan(history["b"].values[0])


def test_quoted_keys_and_plain_ones_read_alike(tmp_path):
    """Keys with commas, quotes and line ends go through the csv module, the others do not."""
    odd = ["a,b", 'say "x"', "two\nlines", "plain"]
    for keys in (odd, odd[-1:]):
        folder = tmp_path / str(len(keys))
        folder.mkdir()
        file = MetricsFile(folder / "metrics.csv")
        for step in range(3):
            file.append(step, 0, 0.5, {key: step / 7 for key in keys})
        file.close()
        history = read_history(file.path)
        assert list(history) == keys
        assert all(one.values == [0, 1 / 7, 2 / 7] for one in history.values())


def test_no_file_and_an_empty_one(tmp_path):
    assert read_history(tmp_path / "metrics.csv") == {}
    (tmp_path / "metrics.csv").write_text("")
    assert read_history(tmp_path / "metrics.csv") == {}


@pytest.mark.parametrize("line", ["1,2,3", "x,0,0.1,a,1.0", "1,0,0.1,a,one", "", "<<<<<<< HEAD"])
def test_a_line_that_is_no_row(tmp_path, line):
    file = tmp_path / "metrics.csv"
    file.write_text(f"step,epoch,time_s,key,value\n1,0,0.1,a,1.0\n{line}\n2,0,0.2,a,1.0\n")
    with pytest.raises(UserError, match=r"metrics\.csv: "):
        read_history(file)
    file.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match=r"metrics\.csv: not text"):
        read_history(file)


@pytest.fixture
def stored(open_record) -> Path:
    with open_record() as record:
        record.log_metrics({"a": 1.0}, step=1)
    return record.folder / "run.json"


def change(file: Path, **fields) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_a_shared_record_has_no_machine(stored):
    record = json.loads(stored.read_text())
    del record["machine"]
    stored.write_text(json.dumps(record))
    run = read_run(stored.parent)
    assert (run.machine, run.seed, run.metrics) == ({}, 3, {"a": 1.0})
    assert run.config["runs"].startswith("$PATH")


def test_a_field_that_a_later_cnnlab_adds_is_passed_over(stored):
    change(stored, news=1, job={"name": "n", "arm": "a"})
    run = read_run(stored.parent)
    assert run.job == {"name": "n", "arm": "a"}
    assert not hasattr(run, "news")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\xff", "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "schema above 1"),
        ('{"schema": 1}', r"not a whole record \(status is missing\)"),
    ],
)
def test_what_is_no_record(stored, text, words):
    stored.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=rf"run\.json: {words}|run\.json: .*{words}"):
        read_run(stored.parent)


def test_a_field_of_another_kind(stored):
    change(stored, metrics=[1])
    with pytest.raises(UserError, match=r"run\.json: metrics is not a mapping"):
        read_run(stored.parent)
