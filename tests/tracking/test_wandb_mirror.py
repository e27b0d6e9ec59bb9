import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from torch import nn
from wandb.proto.wandb_internal_pb2 import Record

from cnnlab.errors import UserError
from cnnlab.tracking.find import find
from cnnlab.tracking.reading import read_run
from cnnlab.tracking.wandb_mirror import WandbMirror

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def stranger(monkeypatch, tmp_path):
    """No account, no settings, no home of its own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))


def mirror(mode: str = "auto", timeout_s: float = 10.0, **more: Any) -> WandbMirror:
    return WandbMirror(
        project="p",
        entity=None,
        group=None,
        job_type="train",
        mode=mode,  # type: ignore[arg-type]  # each in turn
        timeout_s=timeout_s,
        **more,
    )


def records(file: Path) -> Iterator[Record]:
    """What W&B stored: a 7-byte header, then LevelDB's log format in 32-KiB blocks."""
    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def stored(folder: Path) -> list[Record]:
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    return [record for file in files for record in records(file)]


def history(folder: Path) -> list[dict[str, str]]:
    rows = [r.history for r in stored(folder) if r.WhichOneof("record_type") == "history"]
    return [{i.key or "/".join(i.nested_key): i.value_json for i in row.item} for row in rows]


def exit_codes(folder: Path) -> list[int]:
    return [r.exit.exit_code for r in stored(folder) if r.WhichOneof("record_type") == "exit"]


def test_an_offline_run_holds_it_all_and_no_secret(open_record, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr("sys.argv", ["train.py", "hub.token=tiger-4711"])
    picture = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(picture)
    nodes = {"hub": {"token": "tiger-4711"}, "name": "why", "tags": {"question": "width"}}
    with open_record(("hub.token=tiger-4711",), **nodes) as record:
        record.attach([told := mirror(notes="does it help?", tags=["x"])])
        told.log_metrics({"train/loss": 0.5, "epoch": 0}, step=7)
        told.log_images("test/predictions", [picture], ["1 wrong"], 8)
        told.log_table("test/confusion_table", ["truth", "n"], [["a", 1]], 8)
    folder = record.folder
    assert capfd.readouterr() == ("", "")
    (run,) = (r.run for r in stored(folder) if r.WhichOneof("record_type") == "run")
    assert (run.project, run.run_group, run.job_type) == ("p", "toy-tiny", "train")
    assert (run.display_name, run.notes) == ("tiny-toy-001-s3-why", "does it help?")
    assert list(run.tags) == ["question=width", "x"]
    assert run.run_id == read_run(folder).wandb_id
    config = {item.key: item.value_json for item in run.config.update}
    assert config["seed"] == "3"
    assert config["hub"] == '{"token":"<redacted>"}'
    assert set(config) >= {"identity", "git", "environment", "choices", "optimizer"}
    rows = history(folder)
    assert (rows[0]["train/loss"], rows[0]["trainer/global_step"]) == ("0.5", "7")
    assert rows[1]["test/predictions/captions"] == '["1 wrong"]'
    assert rows[2]["test/confusion_table/_type"] == '"table-file"'
    assert exit_codes(folder) == [0]
    metrics = [r.metric for r in stored(folder) if r.WhichOneof("record_type") == "metric"]
    assert {m.step_metric for m in metrics if m.glob_name == "*"} == {"trainer/global_step"}
    everything = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    for secret in (KEY, "tiger-4711"):
        assert secret.encode() not in everything
    binary = b"".join(p.read_bytes() for p in folder.rglob("*.wandb"))
    for private in (os.uname().nodename + '"', str(Path.cwd()), "train.py"):
        assert private.encode() not in binary
    assert not (tmp_path / "home").exists()  # caches too stay in the run folder


def test_the_config_file_names_what_the_class_takes():
    path = Path(__file__).parents[2] / "conf" / "logger" / "wandb.yaml"
    node = yaml.safe_load(path.read_text())["wandb"]
    module, _, name = node.pop("_target_").rpartition(".")
    assert (module, name) == (WandbMirror.__module__, WandbMirror.__name__)
    assert WandbMirror(**node).name == node["project"]


def test_a_failed_run_is_marked_failed(open_record):
    with pytest.raises(RuntimeError), open_record() as record:  # noqa: PT012  (what is raised within is the question)
        record.attach([mirror("offline")])
        raise RuntimeError
    assert exit_codes(record.folder) == [1]


def test_not_logged_in_goes_offline_in_one_line(open_record, capfd):
    with open_record() as record:
        record.attach([told := mirror()])
        told.log_metrics({"a": 1.0}, 1)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("W&B: not logged in, so this run is mirrored to disk only")
    assert err.count("\n") == 1
    assert len(history(record.folder)) == 1


class Silent(http.server.BaseHTTPRequestHandler):
    """Answers a look at the page, but never a request of the API."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        time.sleep(30)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def silent_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("deaf", [True, False])
def test_an_unreachable_server_goes_offline_in_time(
    open_record, monkeypatch, capfd, silent_server, deaf
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9" if deaf else silent_server)
    start = time.monotonic()
    with open_record() as record:
        record.attach([told := mirror(timeout_s=3.0)])
        assert time.monotonic() - start < 3 + 2  # a crowded test machine
        told.log_metrics({"a": 1.0}, 1)
    err = capfd.readouterr().err
    assert "mirrored to disk only" in err
    assert err.count("\n") == 1
    assert len(history(record.folder)) == 1
    assert not list(record.folder.glob("wandb/run-*"))  # of the attempt


def test_online_where_it_is_not_possible_is_an_error(open_record):
    with open_record() as record:
        with pytest.raises(UserError, match=r"logger.wandb.mode=online: not logged in"):
            record.attach([mirror("online")])
        assert not [name for name in os.environ if name.startswith("WANDB_D")]


def test_disabled_writes_nothing(open_record):
    with open_record() as record:
        record.attach([told := mirror("disabled")])
        told.log_metrics({"a": 1.0}, 1)
        told.log_images("a", [], [], 1)
        told.log_table("a", [], [], 1)
    assert not (record.folder / "wandb").exists()
    assert read_run(record.folder).wandb_id is None


def wandb_core() -> int:
    """The process that our W&B runs in."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if name == "wandb-core" and int(parent) == os.getpid() and state != "Z":
            return int(path.parent.name)
    raise AssertionError("wandb-core does not run")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process in /proc")
def test_training_goes_on_when_wandb_dies(open_record, capfd):
    with open_record() as record:
        record.attach([told := mirror("offline")])
        told.log_metrics({"a": 1.0}, 1)
        os.kill(wandb_core(), signal.SIGKILL)
        for step in range(2, 40):
            for logger in (record, told):
                logger.log_metrics({"a": 1.0}, step)
            time.sleep(0.01)
    err = capfd.readouterr().err
    assert err.startswith("W&B: stopped working (")
    assert err.count("\n") == 1
    run = read_run(record.folder)
    assert run.status == "finished"
    assert run.history["a"].steps == list(range(2, 40))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process in /proc")
def test_a_hung_wandb_does_not_hold_up_the_end(open_record, capfd, monkeypatch):
    monkeypatch.setattr(WandbMirror, "finish_timeout_s", 1.0)
    monkeypatch.setattr(WandbMirror, "grace_s", 1.0)
    start = time.monotonic()
    with open_record() as record:
        record.attach([mirror("offline")])
        core = wandb_core()
        os.kill(core, signal.SIGSTOP)
    os.kill(core, signal.SIGKILL)
    assert time.monotonic() - start < 10
    assert "did not finish" in capfd.readouterr().err
    assert read_run(record.folder).status == "finished"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the process in /proc")
def test_training_goes_on_when_wandb_hangs(open_record, capfd, monkeypatch):
    monkeypatch.setattr(WandbMirror, "finish_timeout_s", 1.0)
    monkeypatch.setattr(WandbMirror, "grace_s", 1.0)
    monkeypatch.setattr(WandbMirror, "most_waiting", 200)
    start = time.monotonic()
    with open_record() as record:
        record.attach([told := mirror("offline")])
        core = wandb_core()
        os.kill(core, signal.SIGSTOP)
        for step in range(4000):  # more than the pipe to the process holds
            told.log_metrics({"a" * 200: 1.0}, step)
            time.sleep(0.0005)
    os.kill(core, signal.SIGKILL)
    assert time.monotonic() - start < 20
    err = capfd.readouterr().err
    assert err.startswith("W&B: stopped working (no answer any more)")
    assert err.count("\n") == 1
    assert read_run(record.folder).status == "finished"


def test_a_resumed_run_keeps_its_id_and_its_steps(open_record):
    with pytest.raises(KeyboardInterrupt), open_record() as record:  # noqa: PT012  (what is raised within is the question)
        record.attach([told := mirror("offline")])
        told.log_metrics({"a": 1.0}, 4)
        (record.folder / "checkpoints").mkdir()
        (record.folder / "checkpoints" / "last.ckpt").touch()
        raise KeyboardInterrupt
    with open_record(resume=str(record.folder)) as again:
        again.attach([told := mirror("offline")])
        told.log_metrics({"a": 0.5}, 8)
    runs = [r.run.run_id for r in stored(record.folder) if r.WhichOneof("record_type") == "run"]
    assert runs == [read_run(record.folder).wandb_id] * 2
    assert [row["trainer/global_step"] for row in history(record.folder)] == ["4", "8"]
    assert exit_codes(record.folder) == [1, 0]


def test_a_wrong_variable_of_wandb_stops_no_run(open_record, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "oflline")
    with open_record() as record:
        record.attach([mirror("auto")])
    assert read_run(record.folder).status == "finished"
    assert "W&B does not take its WANDB_... variables" in (said := capsys.readouterr().err)
    assert "so only the local record is written" in said


def test_a_run_of_a_sweep_keeps_the_id_of_its_agent(open_record, monkeypatch, tmp_path):
    """The variables are those that `wandb agent` sets."""
    chosen = tmp_path / "config-from-agent.yaml"
    chosen.write_text("wandb_version: 1\noptimizer.lr:\n  value: 0.1\n")
    for name, value in (("ID", "s1"), ("PARAM_PATH", str(chosen))):
        monkeypatch.setenv(f"WANDB_SWEEP_{name}", value)
    monkeypatch.setenv("WANDB_RUN_ID", "fromagent")
    with open_record() as record:
        record.attach([told := mirror("offline")])
        told.log_metrics({"a": 1.0}, 1)
    assert read_run(record.folder).wandb_id == "fromagent"
    said: list[str] = []
    (run,) = find([record.folder / "wandb"], said.append)
    assert (run.wandb_id, run.identity) == ("fromagent", record.fields["identity"])
    assert find([record.folder, record.folder / "wandb"], said.append)[0].wandb is None
    assert said == ["1 runs at W&B repeat run folders and do not count again"]


def test_a_mirror_reads_back_as_the_record(open_record, monkeypatch):
    """Both sessions of a run, an arm's, that went back to an earlier step."""
    monkeypatch.setenv("CNNLAB_JOB", '{"name": "study", "arm": "g4", "identity": "ab"}')
    with pytest.raises(KeyboardInterrupt), open_record() as record:  # noqa: PT012  (what is raised within is the question)
        record.attach([told := mirror("offline")])
        for logger in (record, told):
            logger.log_metrics({"a": 2.0, "epoch": 0}, 4)
            logger.log_metrics({"a": 1.0, "epoch": 1}, 6)
        (record.folder / "checkpoints").mkdir()
        (record.folder / "checkpoints" / "last.ckpt").touch()
        raise KeyboardInterrupt
    with open_record(resume=str(record.folder)) as again:
        again.attach([told := mirror("offline")])
        again.went_back_to(4)
        for logger in (again, told):
            logger.log_metrics({"a": 0.5, "epoch": 1}, 6)
            logger.log_metrics({"a": 0.25, "epoch": 1}, 7)
        again.best("a", "max", 2.0, 0, 4)
        again.keep(nn.Linear(1, 1), {}, "best")
    said: list[str] = []
    ours = read_run(record.folder)
    (theirs,) = find([record.folder / "wandb"], said.append)
    for one in (ours.history["a"], theirs.history["a"]):
        assert (one.steps, one.epochs) == ([4, 6, 7], [0, 1, 1])
        assert one.values == [2.0, 0.5, 0.25]
    for name in ("identity", "seed", "status", "metrics", "choices", "overrides", "wandb_id"):
        assert getattr(theirs, name) == getattr(ours, name)
    assert theirs.job == {"name": "study", "arm": "g4", "identity": "ab"}
    assert "record" not in theirs.config
    for name in ("job", "tested", "best"):
        assert getattr(theirs, name) == getattr(ours, name)
    assert said == []
