"""What grids and several multiruns set on purpose, and where they ran."""

import json

from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.plan_files import write_plan
from tests.tracking.test_compare import compared


def test_what_a_grid_solved_is_said_and_on_purpose(made_run, tmp_path):
    runs = [
        made_run({"model.groups": g, "optimizer.lr": lr}, arm=f"g{g}")
        for g, lr in ((1, 0.1), (4, 0.2))
    ]
    jobs = [
        {"arm": f"g{g}", "seed": 0, "folder": f"g{g}-s0", "words": [f"model.groups={g}", "seed=0"]}
        for g in (1, 4)
    ]
    jobs[1]["solved"] = {"key": "optimizer.lr", "value": 0.2, "deviation": 0.01}
    hold = {"cost": "macs", "solve": "optimizer.lr", "tolerance": 0.05}
    plan = {"name": "grid", "metric": None, "jobs": jobs, "hold": hold}
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps(plan))
    comparison = compared(runs)
    assert comparison.warnings == []
    assert "solved to hold macs within 5 %: optimizer.lr=0.2 in g4 (+1.0 %)" in comparison.notes


def test_what_one_multirun_is_about_excuses_nothing_in_another(made_run, tmp_path):
    """Groups in the one, epochs in the other: side by side, epochs are no fair difference."""
    keys = {"a": ("model.groups", (1, 4)), "b": ("trainer.max_epochs", (2, 9))}
    runs = []
    for study, (key, values) in keys.items():
        folder = tmp_path / "runs" / study
        folder.mkdir(parents=True)
        jobs = []
        for value in values:
            run = made_run({key: value}, arm=f"{study}{value}", study=study)
            words = [f"{key}={value}", "seed=0"]
            jobs.append(
                {"arm": run.job["arm"], "seed": 0, "folder": run.folder.name, "words": words}
            )
            runs.append(run)
        (folder / "plan.json").write_text(json.dumps({"name": study, "metric": None, "jobs": jobs}))
    assert compared(runs[:2]).warnings == compared(runs[2:]).warnings == []
    length, net = compared(runs).warnings
    assert length.startswith("length: trainer.max_epochs 9 in b9; 2 in ")
    assert net.startswith("net: model.groups ")


def test_what_only_differs_between_two_commands_of_a_grid_is_not_on_purpose(made_run, tmp_path):
    """model=a,b for 2 epochs, then model=c for 9 into the same folder."""
    folder = tmp_path / "runs" / "study"
    runs = []
    for epochs, arms in ((2, "ab"), (9, "c")):
        jobs = []
        for arm in arms:
            keys = {"model.name": arm, "trainer.max_epochs": epochs}
            runs.append(made_run(keys, arm=arm, overrides=[]))
            words = [*(f"{key}={value}" for key, value in keys.items()), "seed=0"]
            jobs.append(Job(arm, 0, words, runs[-1].folder, arm, None))
        write_plan(Plan("study", folder, None, jobs, None), None)
        if arms == "ab":
            assert compared(runs).warnings == []
            # A repeat of one of them takes nothing back.
            write_plan(Plan("study", folder, None, jobs[:1], None), None)
            write_plan(Plan("study", folder, None, jobs[1:], None), None)
    (line,) = compared(runs).warnings
    assert line == "length: trainer.max_epochs 9 in c; 2 in a, b"


def test_hardware_is_flagged_where_any_shown_cost_is_of_the_machine(made_run):
    other = {"cpu": "Sliderule", "threads": 1, "gpus": [], "jobs": 4}
    runs = [made_run({"model.groups": 1}), made_run({"model.groups": 4}, environment=other)]
    assert compared(runs).warnings == ["hardware: Sliderule in groups=4; Abacus in groups=1"]
    runs[0].environment["jobs"] = 1  # an older record does not say
    assert "jobs at once: 4 in groups=4; 1 in groups=1" in compared(runs).warnings
    for run in runs:
        del run.metrics["time/fit_s"]
    assert compared(runs).warnings == []
    for run in runs:
        run.cost["cost/peak_memory_mb"] = 5.0
    assert len(compared(runs).warnings) == 2
