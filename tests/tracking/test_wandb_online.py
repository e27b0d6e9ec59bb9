import math
import socket
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from cnnlab.errors import UserError
from cnnlab.tracking import wandb_access
from cnnlab.tracking.wandb_online import read_parts
from cnnlab.tracking.wandb_parts import run_data


def refuse(text: str) -> None:
    raise AssertionError(f"nothing was to be said, but: {text}")


@dataclass
class FakeRun:
    """The attributes of `wandb.apis.public.Run` that its documentation names."""

    id: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    name: str | None = "wide"
    state: str = "finished"
    entity: str = "team"
    project: str = "p"
    config: dict[str, Any] = field(default_factory=dict)
    summary_metrics: dict[str, Any] = field(default_factory=dict)
    created_at: str = "2026-01-02T03:04:05Z"
    tags: list[str] = field(default_factory=list)
    group: str | None = None
    job_type: str | None = None

    def scan_history(self):
        if not self.rows:
            raise RuntimeError("HTTP 500: it broke\nat length")
        return iter(self.rows)


class FakeApi:
    def __init__(self, runs: list[FakeRun]) -> None:
        self.all = runs
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def runs(self, path, filters=None, order="+created_at", per_page=50, lazy=True):
        self.asked.append((path, filters))
        if not path.endswith("/p"):
            raise ValueError(f"Could not find project {path.rpartition('/')[2]}")
        wanted = (filters or {}).get("group")
        return iter([run for run in self.all if wanted in (None, run.group)])


def test_runs_of_a_group_with_their_whole_history():
    rows = [{"_step": i, "_runtime": 2.0 * i, "loss": 1 / (i + 1), "d": {"e": i}} for i in range(5)]
    rows.append({"_step": 7, "_runtime": 20.0, "loss": "NaN", "pic": {"_type": "image-file"}})
    ours = FakeRun(
        "a1",
        rows,
        config={"seed": 3, "lr": 0.1, "_wandb": {}},
        summary_metrics={"loss": "NaN", "_runtime": 21.5, "best": {"max": 0.5}, "_wandb": {}},
        group="g/h",
        job_type="train",
        tags=["t"],
    )
    api = FakeApi([ours, FakeRun("b2", [{"loss": 1.0}])])
    (part,) = read_parts("wandb:team/p/g/h", refuse, api)
    assert api.asked == [("team/p", {"group": "g/h"})]
    run = run_data([part], refuse)
    assert (run.name, run.wandb_id, run.status, run.seed) == ("wide", "a1", "finished", 3)
    assert run.config == {"seed": 3, "lr": 0.1}
    assert run.metrics == {"loss": None, "best.max": 0.5, "d.e": 4}
    assert run.history["loss"].steps == [0, 1, 2, 3, 4, 7]
    assert math.isnan(run.history["loss"].values[-1])
    assert run.history["d.e"].times_s == [0, 2, 4, 6, 8]
    assert run.time["started"] == "2026-01-02T03:04:05+00:00"
    assert run.time["ended"] == "2026-01-02T03:04:26+00:00"
    assert str(run.folder) == "wandb:team/p/a1"
    assert run.wandb == {
        "entity": "team",
        "project": "p",
        "group": "g/h",
        "job_type": "train",
        "notes": None,
        "tags": ["t"],
    }


@pytest.mark.parametrize(
    ("state", "status"),
    [("crashed", "failed"), ("failed", "failed"), ("killed", "stopped"), ("running", "running")],
)
def test_states(state, status):
    (part,) = read_parts("wandb:team/p", refuse, FakeApi([FakeRun("a", [{"x": 1}], state=state)]))
    assert part.status == status
    assert part.reason == (None if status == "running" else f"W&B: {state}")


def test_the_mirror_of_one_of_our_runs_is_the_same_experiment():
    config = {
        "seed": 1,
        "identity": "ab" * 32,
        "choices": {"data": "digits"},
        "overrides": ["seed=1"],
        "git": {"commit": "c", "dirty": False},
        "environment": {"cpu": "x"},
    }
    rows = [
        {"_step": 0, "trainer/global_step": 0, "cost/params_m": 0.3},
        {"_step": 1, "trainer/global_step": 40, "val/top1": 0.5, "epoch": 2},
    ]
    (part,) = read_parts("wandb:team/p", refuse, FakeApi([FakeRun("a", rows, config=config)]))
    run = run_data([part], refuse)
    assert (run.identity, run.config, run.choices) == ("ab" * 32, {"seed": 1}, {"data": "digits"})
    assert (run.git, run.environment) == ({"commit": "c", "dirty": False}, {"cpu": "x"})
    assert (run.metrics, run.cost) == ({"val/top1": 0.5}, {"cost/params_m": 0.3})
    assert (run.history["val/top1"].steps, run.history["val/top1"].epochs) == ([40], [2])


def test_a_run_that_breaks_is_named_and_the_others_are_read():
    said: list[str] = []
    api = FakeApi([FakeRun("a", [{"x": 1}]), FakeRun("bad"), FakeRun("c", [{"x": 1}])])
    assert [part.id for part in read_parts("wandb:team/p", said.append, api)] == ["a", "c"]
    assert said == ["wandb:team/p/bad: cannot be read (HTTP 500: it broke)"]


@pytest.mark.parametrize("where", ["wandb:", "wandb:team", "wandb:team/", "wandb:team/p/"])
def test_a_name_that_is_none(where):
    with pytest.raises(UserError, match="must be wandb:ENTITY/PROJECT or"):
        read_parts(where, refuse, FakeApi([]))


def test_no_such_project():
    with pytest.raises(UserError, match=r"^wandb:team/q: .*\(Could not find project q\)$"):
        read_parts("wandb:team/q", refuse, FakeApi([]))


@pytest.fixture
def settings(monkeypatch):
    """W&B's settings, of a server at a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = SimpleNamespace(base_url=f"http://127.0.0.1:{port}", api_key=None)
    monkeypatch.setattr("wandb.setup", lambda settings: SimpleNamespace(settings=found))
    monkeypatch.setenv("NETRC", "/nonexistent")
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_not_logged_in(settings):
    with pytest.raises(UserError, match="wandb:team/p: not logged in to W&B; wandb login"):
        read_parts("wandb:team/p", refuse)


def test_no_network(settings):
    settings.api_key = "k" * 40
    with pytest.raises(UserError, match=r"http://127.0.0.1:\d+ does not answer; run folders"):
        read_parts("wandb:team/p", refuse)


def test_a_log_in_that_is_refused(settings, monkeypatch):
    def api(timeout):
        raise ValueError("API key must have 40+ characters\nhas 3")

    settings.api_key = "abc"
    monkeypatch.setattr(wandb_access, "answers", lambda url, timeout_s: True)
    monkeypatch.setattr("wandb.Api", api)
    with pytest.raises(UserError, match=r"does not take the log-in \(API key must have 40\+ cha"):
        read_parts("wandb:team/p", refuse)
