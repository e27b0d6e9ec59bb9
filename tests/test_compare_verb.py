import json
import subprocess
import sys

import pytest

from cnnlab.cli import main
from cnnlab.tracking import watch as watching


@pytest.fixture
def study(made_run, write_run, tmp_path):
    """Two arms over three seeds, on disk; returns their folder."""
    for g in (1, 4):
        for seed in range(3):
            write_run(made_run({"model.groups": g}, seed=seed, top1=0.9 + g / 100 + seed**g / 500))
    return tmp_path / "runs" / "study"


def test_it_prints_and_writes(study, tmp_path, capsys):
    words = ["--markdown", f"{tmp_path}/a.md", f"--latex={tmp_path}/a.tex", "--csv"]
    main(["compare", str(study), *words, f"{tmp_path}/a.csv", "--cost", "params_m"])
    out = capsys.readouterr().out
    assert "study: test/top1 of 6 runs in 2 groups" in out
    assert "groups=4" in out
    for name in ("a.md", "a.tex", "a.csv", "a-runs.csv"):
        assert "groups=4" in (tmp_path / name).read_text()
        assert name in out


def test_options_between_paths(study, made_run, write_run, capsys):
    other = write_run(made_run({"model.groups": 8}, study="other"))
    main(["compare", str(study), "--by", "groups", str(other), "--metric=val/top1"])
    out = capsys.readouterr().out
    assert "val/top1 of 7 runs in 3 groups" in out
    assert "groups=8" in out


def test_keys_can_be_ignored(study, made_run, write_run, capsys):
    write_run(made_run({"model.groups": 4, "model.width": 8, "optimizer.lr": 0.2}, seed=3))
    main(["compare", str(study), "--ignore", "width,lr"])
    assert "of 7 runs in 2 groups" in capsys.readouterr().out
    main(["compare", str(study), "--ignore", "width", "--ignore=optimizer.lr"])
    assert "ignored: model.width, optimizer.lr" in capsys.readouterr().out


def test_which_way_is_better_can_be_said(study, capsys):
    for file in study.glob("*/run.json"):  # a metric that no task monitors
        file.write_text(file.read_text().replace('"test/top1"', '"test/skill"'))
    for option, best in ((["--higher"], 4), (["--lower"], 1), ([], 4)):
        main(["compare", str(study), "--metric", "test/skill", *option])
        out = capsys.readouterr().out
        assert ("lower is better" in out) == (option == ["--lower"])
        (front,) = (line for line in out.splitlines() if line.rstrip().endswith("*"))
        assert f"groups={best}" in front


def test_what_is_collected_compares_the_same(study, tmp_path, capsys):
    main(["compare", str(study), "--collect", str(tmp_path / "kept" / "study")])
    first = capsys.readouterr().out
    assert "collected 6 runs" in first
    main(["compare", str(tmp_path / "kept" / "study")])
    assert capsys.readouterr().out == first.partition("collected")[0]


def test_watch_prints_the_end(study, tmp_path, capsys):
    jobs = [{"arm": f.name, "seed": 0, "folder": f.name, "words": []} for f in study.iterdir()]
    (study / "plan.json").write_text(json.dumps({"name": "study", "metric": None, "jobs": jobs}))
    main(["compare", str(study), "--watch", "--markdown", f"{tmp_path}/a.md"])
    out = capsys.readouterr().out
    assert "6 of 6 jobs done" in out
    assert "groups=4" in out
    assert (tmp_path / "a.md").exists()


def test_watch_waits_for_the_first_run(made_run, write_run, tmp_path, capsys, monkeypatch):
    run = made_run({"model.groups": 4})
    run.folder.parent.mkdir(parents=True)
    job = {"arm": "g4", "seed": 0, "folder": run.folder.name, "words": []}
    plan = {"name": "study", "metric": None, "jobs": [job]}
    (run.folder.parent / "plan.json").write_text(json.dumps(plan))
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: write_run(run))
    main(["compare", str(run.folder.parent), "--watch"])
    out = capsys.readouterr().out
    assert out.startswith("0 of 1 jobs done; 1 waiting\n1 of 1 jobs done\n")
    assert "test/top1 of 1 run in 1 group" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name run folders"),
        (["{study}", "--metrik", "x"], "did you mean '--metric'?"),
        (["{study}", "--by"], "expected one argument"),
        (["{study}", "--lower", "--higher"], "not allowed with argument"),
        (["{study}", "--lower"], "--lower: test/top1 is better when high, as the runs' task"),
        (["{study}", "--by", "gruops"], "did you mean 'groups'?"),
        (["{study}", "--cost", "macs"], "--cost macs: must be one of"),
        (["{study}", "--metric", "top1"], "metric top1: no finished run has it"),
        (["{study}x"], "no such folder; did you mean 'study'?"),
        (["{study}", "--watch"], "--watch: no plan.json"),
        (["{study}", "--wandb-report", "team"], "--wandb-report team: must be ENTITY/PROJECT"),
    ],
)
def test_mistakes_are_one_line(study, capsys, words, said):
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *(word.replace("{study}", str(study)) for word in words)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_nothing_heavy_is_imported(study):
    code = (
        "import sys; from cnnlab.cli import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'lightning', 'wandb', 'hydra', 'pandas', 'matplotlib'}; "
        "sys.exit(', '.join(heavy & sys.modules.keys()) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", study], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "groups=4" in done.stdout
