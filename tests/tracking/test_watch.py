import io
import json
import os
from contextlib import ExitStack

import pytest
from rich.console import Console
from rich.text import Text

from cnnlab import compare_verb
from cnnlab.ablation.claim import at_work, claim
from cnnlab.errors import UserError
from cnnlab.tracking import watch as watching
from cnnlab.tracking.multirun import multiruns
from cnnlab.tracking.watch import watch


@pytest.fixture
def multirun(tmp_path):
    """Three jobs of which none has begun."""
    names = ["a-s0", "a-s1", "b-s0"]
    jobs = [{"arm": n[0], "seed": int(n[-1]), "folder": n, "words": [f"x={n}"]} for n in names]
    (tmp_path / "plan.json").write_text(json.dumps({"name": "study", "jobs": jobs}))
    return tmp_path


def set_status(multirun, name, status, file="run.json"):
    (multirun / name).mkdir(exist_ok=True)
    (multirun / name / file).write_text(json.dumps({"status": status, "reason": None}))


def test_it_draws_at_every_job_that_ends_until_all_have(multirun, monkeypatch):
    launcher = ExitStack()
    launcher.enter_context(at_work(multirun))
    looks = iter(
        [
            lambda: set_status(multirun, "a-s0", "running"),
            lambda: set_status(multirun, "a-s0", "finished"),
            lambda: None,
            lambda: set_status(multirun, "a-s1", "failed"),
            # A killed process leaves `running`; its launcher says what became of it.
            lambda: set_status(multirun, "b-s0", "running"),
            lambda: set_status(multirun, "b-s0", "failed", "outcome.json"),
            launcher.close,
        ]
    )
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: next(looks)())
    drawn, out = [], io.StringIO()

    def draw():
        drawn.append(len(drawn))
        return Text(f"table {len(drawn)}")

    watch(multiruns([multirun]), draw, Console(file=out, width=80), every_s=0)
    assert next(looks, None) is None
    assert len(drawn) == 4  # at the start, and for each job
    lines = out.getvalue().splitlines()
    assert lines[0] == "0 of 3 jobs done; 3 waiting"
    assert lines[1] == "0 of 3 jobs done; running: a-s0; 2 waiting"
    assert "3 of 3 jobs done; failed: a-s1, b-s0" in lines
    assert lines[-1] == "table 4"  # a pipe gets the table once
    assert out.getvalue().count("table") == 1


def test_it_goes_on_while_a_launcher_may_try_again_what_failed(multirun, monkeypatch):
    for name, status in (("a-s0", "finished"), ("a-s1", "finished"), ("b-s0", "failed")):
        set_status(multirun, name, status)
    looks = []
    with ExitStack() as launcher:
        launcher.enter_context(at_work(multirun))

        def sleep(seconds):
            looks.append(seconds)
            if len(looks) == 3:
                set_status(multirun, "b-s0", "finished")
                launcher.close()

        monkeypatch.setattr(watching.time, "sleep", sleep)
        out = io.StringIO()
        watch(multiruns([multirun]), lambda: Text(""), Console(file=out, width=80), every_s=0)
    assert len(looks) == 3
    said = [line for line in out.getvalue().splitlines() if line]
    assert said == ["3 of 3 jobs done; failed: b-s0", "3 of 3 jobs done"]


def test_it_ends_where_nobody_is_at_work_and_no_job_goes_on(multirun, monkeypatch):
    """The launcher was killed; a training of its own outlived it for a while."""
    set_status(multirun, "a-s0", "finished")
    set_status(multirun, "a-s1", "running")
    job, looks = claim(multirun / "a-s1"), []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            os.close(job)

    monkeypatch.setattr(watching.time, "sleep", sleep)
    out = io.StringIO()
    watch(multiruns([multirun]), lambda: Text(""), Console(file=out, width=80), every_s=0)
    assert len(looks) == 5  # three times nobody: a launcher may be about to start
    assert "nobody is at work here" in out.getvalue()


def test_an_ablation_is_watched_while_it_is_tuned_and_after(tmp_path, monkeypatch):
    ablation = {"name": "x", "arms": {"a": ["k=1"]}, "metric": "test/top1"}
    (tmp_path / "ablation.json").write_text(json.dumps(ablation))
    plan = {"name": "x-tuning", "jobs": [{"arm": "a@1", "seed": 7, "folder": "a@1", "words": []}]}
    tuning = tmp_path / "tuning"
    tuning.mkdir()
    (tuning / "plan.json").write_text(json.dumps(plan))
    plan["jobs"][0] |= {"arm": "a", "seed": 0, "folder": "a-s0"}
    looks = iter(
        [
            lambda: set_status(tuning, "a@1", "finished"),
            lambda: (tmp_path / "plan.json").write_text(json.dumps(plan)),
            lambda: set_status(tmp_path, "a-s0", "finished"),
        ]
    )
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: next(looks)())
    monkeypatch.setattr(watching, "_IDLE", 9)
    out = io.StringIO()
    watch(multiruns([tmp_path]), lambda: Text(""), Console(file=out, width=80), every_s=0)
    lines = [line for line in out.getvalue().splitlines() if line]
    assert lines[:4] == [
        *("tuning: 0 of 1 jobs done; 1 waiting", "tuning: 1 of 1 jobs done"),
        *("0 of 1 jobs done; 1 waiting", "1 of 1 jobs done"),
    ]


def test_ctrl_c_ends_it(multirun, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", interrupt)
    out = io.StringIO()
    watch(multiruns([multirun]), lambda: Text(""), Console(file=out), every_s=0)
    assert "stopped watching" in out.getvalue()


def test_without_a_plan_there_is_nothing_to_wait_for(tmp_path):
    with pytest.raises(UserError, match=r"--watch: no plan\.json"):
        watch(multiruns([tmp_path]), lambda: Text(""), Console(), every_s=0)


def test_a_pipe_ends_with_a_whole_line(multirun, monkeypatch):
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: None)
    out = io.StringIO()
    watch(multiruns([multirun]), lambda: Text("table"), Console(file=out, width=80), every_s=0)
    assert out.getvalue().splitlines()[-2:] == [
        "table",
        "nobody is at work here: repeat the multirun's command to go on",
    ]


def test_multiruns_below_a_folder_are_watched_but_not_their_tuning(tmp_path, monkeypatch):
    study = tmp_path / "runs" / "study"
    for folder in (study, study / "tuning", study / ".stale" / "old"):
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(json.dumps({"name": "study", "jobs": []}))
    (study / ".locks").mkdir()
    (study / ".locks" / "plan.json").touch()
    seen = []
    monkeypatch.setattr(compare_verb, "watch", lambda several, *rest: seen.extend(several))
    compare_verb.compare_verb([str(tmp_path), "--watch"])
    assert [one.folder for one in seen] == [study]
