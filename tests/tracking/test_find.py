import json
import os
import shutil
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from cnnlab.errors import UserError
from cnnlab.tracking import find as finding
from cnnlab.tracking.find import find
from cnnlab.tracking.wandb_parts import Part
from tests.tracking.wandb_files import write_log


def refuse(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


@pytest.fixture
def runs(open_record, tmp_path) -> Path:
    """Three runs below `runs/toy-tiny`."""
    for value in (1.0, 2.0, 3.0):
        with open_record() as record:
            record.log_metrics({"a": value}, step=1)
    return tmp_path / "runs"


def session(
    root: Path,
    run_id: str,
    start: int,
    values: list[float],
    config: dict | None = None,
    project: str = "p",
) -> Path:
    """A folder of W&B: `values` logged as x on the axis `step` from `start` on."""
    run, axis = Record(), Record()
    run.run.run_id, run.run.project = run_id, project
    run.run.start_time.FromSeconds(1_700_000_000 + start)
    for key, value in (config or {}).items():
        item = run.run.config.update.add()
        item.key, item.value_json = key, json.dumps(value)
    axis.metric.glob_name, axis.metric.step_metric = "*", "step"
    rows = []
    for step, value in enumerate(values, start=start):
        row = Record()
        for key, one in (("step", step), ("x", value)):
            item = row.history.item.add()
            item.key, item.value_json = key, json.dumps(one)
        rows.append(row)
    folder = root / "wandb" / f"offline-run-20260101_{start:06}-{run_id}"
    folder.mkdir(parents=True)
    records = [record.SerializeToString() for record in (run, axis, *rows)]
    write_log(folder / f"run-{run_id}.wandb", *records)
    return folder


def names(found) -> list[str]:
    return [run.folder.name for run in found]


def test_a_run_a_folder_of_runs_and_a_folder_of_those(runs):
    all_ = ["001-s3", "002-s3", "003-s3"]
    assert names(find([runs / "toy-tiny" / "002-s3"], refuse)) == ["002-s3"]
    assert names(find([runs / "toy-tiny" / "002-s3" / "run.json"], refuse)) == ["002-s3"]
    assert names(find([runs / "toy-tiny"], refuse)) == all_
    assert names(find([str(runs)], refuse)) == all_
    # In the order of the paths; what they share counts once.
    again = find([runs / "toy-tiny" / "003-s3", runs, runs / "toy-tiny" / "001-s3"], refuse)
    assert names(again) == ["003-s3", "001-s3", "002-s3"]


def test_links_lead_on_and_not_in_circles(runs, tmp_path):
    (runs / "toy-tiny" / "back").symlink_to(runs)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "linked").symlink_to(runs / "toy-tiny" / "002-s3")
    (tmp_path / "study" / "gone").symlink_to(tmp_path / "nowhere")
    assert names(find([tmp_path / "study"], refuse)) == ["linked"]
    assert len(find([runs], refuse)) == 3


def test_what_cannot_be_read_is_named_and_counted(runs):
    broken, halved = runs / "toy-tiny" / "001-s3", runs / "toy-tiny" / "003-s3"
    (broken / "run.json").write_text("{")
    (halved / "run.json").unlink()
    said: list[str] = []
    assert names(find([runs], said.append)) == ["002-s3"]
    assert said[0].startswith(f"{broken}/run.json: not JSON")
    assert said[1] == f"{halved}: metrics.csv without run.json"
    assert said[2:] == ["2 of 3 runs cannot be read and are left out"]


def test_a_metrics_file_with_a_conflict_in_it(runs):
    file = runs / "toy-tiny" / "001-s3" / "metrics.csv"
    file.write_text(file.read_text() + "<<<<<<< HEAD\n")
    said: list[str] = []
    assert len(find([runs], said.append)) == 2
    assert said[0].startswith(f"{file}: '<<<<<<< HEAD' is no row")


def test_a_folder_that_may_not_be_looked_into(runs, monkeypatch):
    secret, scandir = runs / "toy-tiny" / "secret", os.scandir

    def refused(path):  # root may read everything, so the mode of a folder does not do
        if Path(path) == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    secret.mkdir()
    monkeypatch.setattr(finding.os, "scandir", refused)
    said: list[str] = []
    assert len(find([runs], said.append)) == 3
    assert said == [f"{secret}: cannot be looked into (Permission denied)"]


def test_paths_that_give_nothing(runs, tmp_path):
    with pytest.raises(UserError, match=r"toy-tini: no such folder; did you mean 'toy-tiny'\?"):
        find([runs / "toy-tini"], refuse)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no runs in it, it holds no run\.json and no run-"):
        find([runs, tmp_path / "empty"], refuse)
    with pytest.raises(UserError, match=r"metrics\.csv: not a folder, run\.json or run-"):
        find([runs / "toy-tiny" / "001-s3" / "metrics.csv"], refuse)
    for file in runs.glob("*/*/run.json"):
        file.write_text("")
    with pytest.raises(UserError, match="no runs in it, 3 cannot be read"):
        find([runs], lambda text: None)


def test_warnings_go_to_stderr_unless_asked_for(runs, capsys):
    (runs / "toy-tiny" / "001-s3" / "run.json").write_text("")
    find([runs])
    assert "warning: 1 of 3 runs cannot be read" in capsys.readouterr().err


def test_tuning_runs_count_where_their_folder_is_named(runs):
    study = runs / "toy-tiny"
    (study / "tuning").mkdir()
    (study / "001-s3").rename(study / "tuning" / "a@lr0.1-s1000")
    assert len(find([study], refuse)) == 3  # a folder that happens to have that name
    (study / "ablation.json").write_text("{}")
    assert names(find([runs], refuse)) == ["002-s3", "003-s3"]
    assert names(find([study / "tuning"], refuse)) == ["a@lr0.1-s1000"]
    for name in ("002-s3", "003-s3"):
        shutil.rmtree(study / name)
    with pytest.raises(
        UserError, match=r"no runs in it, but tuning runs, which do not count: .*/tu"
    ):
        find([runs], refuse)


def test_copies_count_once(runs, tmp_path):
    shutil.copytree(runs / "toy-tiny" / "002-s3", tmp_path / "kept" / "other-name")
    said: list[str] = []
    found = find([tmp_path / "kept", runs], said.append)
    assert [run.metrics["a"] for run in found] == [2, 1, 3]
    assert said == ["1 runs are copies of others and do not count again"]


def test_the_mirror_in_a_run_folder_is_not_another_run(runs):
    session(runs / "toy-tiny" / "001-s3", "m1", 0, [1.0])
    assert len(find([runs], refuse)) == 3


def test_a_mirror_that_lies_elsewhere_neither(runs, tmp_path):
    file = runs / "toy-tiny" / "001-s3" / "run.json"
    record = json.loads(file.read_text()) | {"wandb_id": "m1"}
    file.write_text(json.dumps(record))
    config = {"identity": record["identity"], "choices": {}, "git": {}, "environment": {}}
    session(tmp_path / "moved", "m1", 0, [1.0], config)
    session(tmp_path / "moved", "other", 0, [1.0], config)  # the same experiment, another run
    said: list[str] = []
    found = find([tmp_path / "moved", runs], said.append)
    assert [run.wandb_id for run in found] == ["other", "m1", None, None]
    assert said == ["1 runs at W&B repeat run folders and do not count again"]


def test_sessions_of_one_wandb_run_are_one_run(tmp_path):
    session(tmp_path, "r1", 0, [1.0, 2.0, 3.0])
    second = session(tmp_path, "r1", 2, [30.0, 40.0], {"seed": 5})
    session(tmp_path, "z1", 0, [9.0])
    session(tmp_path / "q", "r1", 0, [7.0], project="q")  # another project's
    shutil.copytree(second, tmp_path / "wandb" / "copy")
    (tmp_path / "wandb" / "latest-run").symlink_to(second)
    found = find([tmp_path], refuse)
    assert [run.wandb_id for run in found] == ["r1", "r1", "z1"]
    other, run = (found[0], found[1]) if found[0].wandb["project"] == "q" else found[1::-1]
    assert run.history["x"].steps == [0, 1, 2, 3]
    assert run.history["x"].values == [1, 2, 30, 40]
    assert (run.seed, len(run.time["sessions"])) == (5, 2)
    assert other.history["x"].values == [7]


def test_the_server_and_the_disk_know_the_same_run(tmp_path, monkeypatch):
    session(tmp_path, "r1", 0, [1.0, 2.0, 3.0])

    def read_parts(where, lose):
        lose("wandb:e/p/bad: cannot be read (it broke)")
        for run_id, count in (("r1", 2), ("r2", 1)):
            rows = [{"_step": i, "x": 10.0 + i} for i in range(count)]
            yield Part(Path(f"{where}/{run_id}"), run_id, known={"project": "p"}, rows=rows)

    monkeypatch.setattr(finding, "read_parts", read_parts)
    said: list[str] = []
    found = find(["wandb:e/p", tmp_path], said.append)
    assert [(run.wandb_id, run.history["x"].values) for run in found] == [
        ("r1", [1, 2, 3]),  # more of it lies here
        ("r2", [10]),
    ]
    assert said[1:] == ["1 of 4 runs cannot be read and are left out"]


def test_nothing_at_the_server(monkeypatch):
    monkeypatch.setattr(finding, "read_parts", lambda where, lose: [])
    with pytest.raises(UserError, match="wandb:e/p/g: no runs in it, W&B has none there"):
        find(["wandb:e/p/g"], refuse)
