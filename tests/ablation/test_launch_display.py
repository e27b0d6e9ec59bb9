"""What a person sees while a multirun runs."""

import json
from io import StringIO

from rich.console import Console

from cnnlab.ablation.display import Lines, LiveTable, Row, draw
from cnnlab.ablation.job_state import JobState
from cnnlab.ablation.multirun import Multirun
from cnnlab.ablation.stops import Stops
from cnnlab.ablation.summary import clock


def test_a_small_terminal_shows_what_runs_and_counts_the_rest():
    rows = [Row("a", seed, "finished") for seed in range(30)]
    rows += [Row("b", 1, "running", "3/10", "val/top1 0.5000", "0:40"), Row("b", 2, "failed")]
    out = StringIO()
    Console(file=out, width=80).print(draw(rows, "test/top1", "30 of 32 finished", 5))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[1] == ["b", "1", "running", "3/10", "val/top1", "0.5000", "0:40"]
    assert lines[2] == ["b", "2", "failed"]
    assert len(lines) == 1 + 5 + 1
    assert "27 not shown" in out.getvalue()


def test_arm_names_are_not_markup():
    out = StringIO()
    Console(file=out, width=80).print(draw([Row("[red]16", 1, "waiting")], "", "", 5))
    assert "[red]16" in out.getvalue()
    shown = LiveTable(Console(file=out, width=80, force_terminal=True))
    with shown:
        shown.say("failed [/red] x")
    assert "failed [/red] x" in out.getvalue()


def test_a_terminal_that_went_away_stops_nothing(monkeypatch):
    class Gone(StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stdout", Gone())
    Lines().say("nobody reads this")


class OneLook:
    """A pool with one job under way, for one look at it."""

    look_s, free = 0.0, 0

    def __init__(self, job):
        self.running, self._looks = [job], 0

    def ended(self):
        self._looks += 1
        if self._looks == 2:
            self.running = []
        return []


class Kept(Lines):
    """Keeps the newest rows and the caption."""

    live = True

    def show(self, rows, metric, caption):
        self.rows, self.caption = rows, caption


def test_half_an_epoch_is_half_of_a_run_of_one(study):
    plan = study.plan()
    folder = plan.jobs[0].folder
    folder.mkdir(parents=True)
    record = {"status": "running", "identity": "x", "time": {"steps": 200}}
    config = {"config": {"trainer": {"max_epochs": 1}}}
    (folder / "run.json").write_text(json.dumps(record | config))
    (folder / "metrics.csv").write_text("step,epoch,time_s,key,value\n50,0,9.0,train/loss,2.5\n")
    known = {job.name: JobState("finished", seconds=100.0) for job in plan.jobs}
    shown = Kept()
    Multirun(plan, OneLook(plan.jobs[0]), {}, known, shown).run(Stops())
    assert (shown.rows[0].epoch, shown.rows[0].left) == ("0.25/1", "1:15")
    assert shown.caption.endswith("about 1:15 left")


def test_clock():
    assert [clock(s) for s in (0, 59.6, 61, 3723)] == ["0:00", "1:00", "1:01", "1:02:03"]
