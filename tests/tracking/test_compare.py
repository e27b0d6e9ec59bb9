import json
from pathlib import Path

import pytest
from scipy import stats

from cnnlab.errors import UserError
from cnnlab.tracking.compare import compare
from cnnlab.tracking.reading import History

G1 = [0.900, 0.910, 0.905, 0.920, 0.915]
G4 = [0.930, 0.925, 0.940, 0.945, 0.935]
G32 = [0.901, 0.933, 0.899, 0.925, 0.910]


def compared(runs, metric=None, cost="gmacs", by=None, baseline=None):
    return compare(runs, metric=metric, cost=cost, by=by, baseline=baseline)


@pytest.fixture
def groups_runs(made_run):
    """Three widths of groups over five seeds, with costs."""
    return [
        made_run(
            {"model.groups": g},
            seed=seed,
            top1=top1,
            cost={"cost/gmacs": gmacs, "cost/params_m": 1.0},
        )
        for g, values, gmacs in ((1, G1, 0.5), (4, G4, 0.6), (32, G32, 0.7))
        for seed, top1 in enumerate(values)
    ]


@pytest.fixture
def study(made_run, tmp_path):
    """The same as an ablation: its file beside the runs, an arm a number of groups."""
    ablation = {
        "name": "study",
        "claim": "more groups help",
        "source": "deck 0",
        "scale": "small",
        "arms": {"g1": ["model.groups=1"], "g4": ["model.groups=4"], "g32": ["model.groups=32"]},
        "baseline": "g1",
        "metric": "test/top1",
        "seeds": [0, 1, 2, 3, 4],
        "contrasts": [
            {
                "name": "four",
                "weights": {"g4": 1.0, "g1": -1.0},
                "expect": "positive",
                "rank": False,
            }
        ],
        "hold": {"cost": "params", "solve": "model.width", "tolerance": 0.05},
        "published": {
            "table": "T01_resnext_groups",
            "rows": {
                "g1": "ResNet-50|groups=1 group_width=64",
                "g4": "ResNeXt-50|groups=4 group_width=24",
            },
        },
        "tune": None,
        "scales": {},
    }
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)

    def make(**changes):
        (folder / "ablation.json").write_text(json.dumps(ablation | changes))
        return [
            made_run({"model.groups": g}, arm=f"g{g}", seed=seed, top1=top1)
            for g, values in ((1, G1), (4, G4), (32, G32))
            for seed, top1 in enumerate(values)
        ]

    return make


def test_mean_spread_and_interval_are_scipys(groups_runs):
    first = compared(groups_runs).groups[0]
    assert (first.name, first.n) == ("groups=1", 5)
    assert first.values == dict(enumerate(G1))
    assert first.mean == pytest.approx(sum(G1) / 5)
    assert first.sd == pytest.approx(stats.tstd(G1))
    interval = stats.t.interval(0.95, 4, loc=sum(G1) / 5, scale=stats.sem(G1))
    assert first.interval == pytest.approx(interval)


def test_paired_differences_are_scipys_and_holm_by_hand(groups_runs):
    four, many = compared(groups_runs).paired
    tests = [stats.ttest_rel(values, G1) for values in (G4, G32)]
    assert (four.group, four.baseline, four.n) == ("groups=4", "groups=1", 5)
    assert four.mean == pytest.approx(sum(G4) / 5 - sum(G1) / 5)
    assert [four.p, many.p] == pytest.approx([test.pvalue for test in tests])
    assert four.interval == pytest.approx(tests[0].confidence_interval(0.95))
    small, large = sorted([four.p, many.p])
    assert sorted([four.p_holm, many.p_holm]) == pytest.approx([2 * small, max(2 * small, large)])
    assert four.sign_flip_p == four.sign_flip_floor == 2 / 2**5  # all differences are positive


def test_pareto_and_best(groups_runs):
    comparison = compared(groups_runs)
    assert [g.pareto for g in comparison.groups] == [True, True, False]  # g32 costs more than g4
    assert [g.best for g in comparison.groups] == [False, True, False]
    assert comparison.groups[1].cost["gmacs"] == pytest.approx(0.6)
    assert comparison.groups[1].cost["latency_ms"] is None


def test_of_a_loss_the_least_is_best(made_run):
    runs = [
        made_run({"model.groups": g}, metrics={"test/loss": loss})
        for g, loss in ((1, 0.5), (2, 0.3))
    ]
    comparison = compared(runs, metric="test/loss")
    assert not comparison.higher_is_better
    assert [g.best for g in comparison.groups] == [False, True]


def test_the_baseline_may_be_named(groups_runs):
    comparison = compared(groups_runs, baseline="groups=32")
    assert [paired.group for paired in comparison.paired] == ["groups=1", "groups=4"]
    with pytest.raises(UserError, match=r"--baseline groups=3: no such group.*groups=32"):
        compared(groups_runs, baseline="groups=3")


def test_an_ablation_brings_metric_baseline_verdict_and_the_published_effect(study):
    comparison = compared(study())
    assert [g.name for g in comparison.groups] == ["g1", "g4", "g32"]
    assert comparison.baseline == "g1"
    (verdict,) = comparison.verdicts
    assert verdict.outcome == "supported"
    assert verdict.p == pytest.approx(stats.ttest_rel(G4, G1).pvalue)
    # Xie et al. 2017, Table 3: top-1 error 23.9 and 22.6.
    assert verdict.published == pytest.approx(0.013)
    assert comparison.published["four"].metric == "top1_error"
    assert comparison.warnings == []
    assert "not tuned: every arm ran with the file's own recipe" in comparison.notes
    assert "held constant: params, +0.0 % at most (g1 against g1)" in comparison.notes


def test_the_verdict_on_a_metric_of_the_other_direction(study):
    runs = study()
    for run in runs:
        run.metrics["test/loss"] = 1 - run.metrics["test/top1"]
    comparison = compared(runs, metric="test/loss")
    assert comparison.verdicts[0].outcome == "supported"
    assert "the claim is about test/top1, the verdict on test/loss" in comparison.notes


@pytest.mark.parametrize("metric", ["cost/params_m", "time/fit_s", "train/top1", "test/top5"])
def test_no_verdict_on_what_the_claim_is_not_about(study, metric):
    """Four groups have fewer parameters: no support for their accuracy."""
    runs = study()
    for run in runs:
        low = 1.0 if run.job["arm"] == "g4" else 2.0
        run.cost["cost/params_m"] = run.metrics["time/fit_s"] = low + run.seed / 100
        run.metrics["train/top1"] = run.metrics["test/top5"] = low + run.seed / 100
    comparison = compared(runs, metric=metric)
    assert comparison.verdicts == []
    assert comparison.no_verdict == f"the claim is about test/top1, not {metric}"
    assert f"no verdict: {comparison.no_verdict}" in comparison.notes
    assert len(comparison.paired) == 2  # the differences are there


def test_the_verdict_may_be_on_val(study):
    assert compared(study(), metric="val/top1").verdicts[0].outcome == "supported"


@pytest.mark.parametrize("metric", ["test/top1", "val/top1"])
def test_which_way_is_better_is_not_the_persons_word_where_the_task_has_one(study, metric):
    """Else a claim would be supported by what is called worse."""
    how = {"metric": metric, "cost": "gmacs", "by": None, "baseline": None}
    with pytest.raises(UserError, match=f"--lower: {metric} is better when high"):
        compare(study(), **how, higher=False)
    assert compare(study(), **how, higher=True).verdicts[0].outcome == "supported"


def test_what_was_solved_is_said(study):
    solved = {
        "g4": {"key": "model.width", "value": 24, "deviation": 0.0123},
        "g32": {"key": "model.width", "value": 4, "deviation": -0.0311},
    }
    assert (
        "solved to hold params within 5 %: model.width=24 in g4 (+1.2 %), "
        "model.width=4 in g32 (-3.1 %)"
    ) in compared(study(solved=solved)).notes


def test_the_direction_of_another_programs_metric_is_a_guess_that_is_said(made_run):
    unknown = {"wandb": {}, "identity": "", "choices": {}, "overrides": [], "cost": {}}
    runs = [
        made_run(seed=None, name=f"r{i}", metrics={"logloss": i / 10}, config={"lr": i}, **unknown)
        for i in (1, 2)
    ]
    comparison = compared(runs, metric="logloss")
    assert not comparison.higher_is_better
    assert "logloss: lower is better, as its name sounds; --higher if it is not" in comparison.notes
    said = compare(runs, metric="logloss", cost="gmacs", by=None, baseline=None, higher=True)
    assert said.higher_is_better
    assert not any("as its name sounds" in note for note in said.notes)
    assert [g.best for g in said.groups] == [False, True]


def test_what_the_tuned_keys_became_is_said(study):
    runs = study(tune={"optimizer.lr": [0.1, 0.2]})
    for run in runs:
        run.config["optimizer"]["lr"] = 0.2 if run.job["arm"] == "g4" else 0.1
    comparison = compared(runs)
    assert not any(line.startswith("recipe") for line in comparison.warnings)
    (tuned,) = (note for note in comparison.notes if note.startswith("tuned"))
    assert "g1 optimizer.lr=0.1; g4 optimizer.lr=0.2" in tuned


def test_how_it_was_tuned_is_said(study):
    tried = [
        {"point": {"optimizer.lr": 0.1}, "mean": 0.5, "why": None},
        {"point": {"optimizer.lr": 2.0}, "mean": None, "why": "diverged"},
    ]
    choice = {"point": {"optimizer.lr": 0.1}, "search": "x", "tied": [], "tried": tried}
    values = {"optimizer.lr": [0.1, 2.0]}
    tuned = {"metric": "val/top1", "seeds": [1000], "values": values, "arms": {"g4": choice}}
    (note,) = (n for n in compared(study(tune=values, tuned=tuned)).notes if "tuned" in n)
    assert note.startswith("tuned: optimizer.lr in {0.1, 2} by val/top1, 1 seed, every arm by the")
    assert "; left out: g4 optimizer.lr=2 (diverged)" in note
    assert note.endswith("; at the edge of the grid: optimizer.lr of g4")
    tried.insert(0, tried[0] | {"point": {"optimizer.lr": 0.05}})
    (note,) = (n for n in compared(study(tune=values, tuned=tuned)).notes if "tuned" in n)
    assert "edge" not in note


def test_an_arm_without_a_run_is_named_and_its_verdict_is_open(study):
    runs = [run for run in study() if run.job["arm"] != "g4"]
    comparison = compared(runs)
    assert "no run that counts: g4 of study" in comparison.warnings
    assert comparison.verdicts[0].outcome == "not resolved"
    assert comparison.verdicts[0].n == 0


def test_by_a_key_there_is_no_verdict(study):
    comparison = compared(study(), by="groups")
    assert [g.name for g in comparison.groups] == ["groups=1", "groups=4", "groups=32"]
    assert comparison.verdicts == []
    assert any("no verdict" in note for note in comparison.notes)


def test_a_broken_ablation_file_is_one_line(study, tmp_path):
    runs = study()
    (tmp_path / "runs" / "study" / "ablation.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        compared(runs)
    (tmp_path / "runs" / "study" / "ablation.json").write_text('{"name": "x"}')
    with pytest.raises(UserError, match=r"not one that cnnlab wrote .*arms"):
        compared(runs)
    runs = study(edf=["g1", "g4"])
    with pytest.raises(UserError, match=r"not one that cnnlab wrote .*edf"):
        compared(runs)


def test_one_run(made_run):
    comparison = compared([made_run(top1=0.9)])
    (only,) = comparison.groups
    assert (only.n, only.mean, only.sd, only.interval) == (1, 0.9, None, None)
    assert (comparison.baseline, comparison.paired, comparison.differs) == (None, [], [])
    assert comparison.notes == ["one seed only: toy-net: no interval, no test"]


def test_one_group_of_equal_values_has_no_interval(made_run):
    (only,) = compared([made_run(seed=s, top1=0.9) for s in range(3)]).groups
    assert (only.n, only.sd, only.interval) == (3, 0.0, None)


def test_seeds_that_do_not_overlap(made_run):
    runs = [made_run({"model.groups": g}, seed=s) for g, s in ((1, 0), (1, 1), (4, 2), (4, 3))]
    comparison = compared(runs)
    (paired,) = comparison.paired
    assert (paired.n, paired.mean, paired.p, paired.sign_flip_floor) == (0, None, None, None)
    assert comparison.warnings == ["seeds: 2-3 in groups=4; 0-1 in groups=1"]


def test_runs_that_do_not_count_are_named_with_the_reason(made_run):
    runs = [
        made_run({"model.groups": 1}),
        made_run({"model.groups": 1}, seed=1, metrics={"test/top1": None}),
        made_run({"model.groups": 1}, seed=2, top1=None),
        made_run({"model.groups": 1}, seed=3, status="failed", reason="ValueError: no"),
        made_run({"model.groups": 4}, seed=4, status="running"),
    ]
    comparison = compared(runs)
    assert [out.group for out in comparison.left_out] == ["toy-net"] * 3 + [runs[4].name]
    assert comparison.warnings == [
        "left out (test/top1 is not finite): toy-net seed 1",
        "left out (test/top1 is missing): toy-net seed 2",
        "left out (failed: ValueError: no): toy-net seed 3",
        f"left out (running): {runs[4].name} seed 4",
    ]
    assert comparison.meta.found == 5
    assert comparison.meta.used == 1


def test_nothing_that_counts(made_run):
    with pytest.raises(UserError, match="no finished run among 2 running, 1 failed"):
        compared([made_run(status=s) for s in ("running", "running", "failed")])
    with pytest.raises(UserError, match=r"no run counts: 1 left out, such as .*not finite"):
        compared([made_run(metrics={"test/top1": None})])


def test_a_repeat_of_a_seed_is_no_further_seed(made_run):
    later = {"started": "2026-03-03T00:00:00+00:00", "total_s": 1.0}
    runs = [made_run(top1=0.9), made_run(top1=0.8, time=later), made_run(seed=1, top1=0.7)]
    comparison = compared(runs)
    assert comparison.groups[0].values == {0: 0.8, 1: 0.7}
    assert comparison.warnings == ["left out (a newer run has seed 0, too): toy-net seed 0"]


def test_seeds_of_the_data_and_of_the_net_count_as_well(made_run):
    """seed=0 model.seed=1,2,3: three runs, paired with those of the same seeds."""
    runs = [
        made_run({"model.groups": g, "model.seed": s}, top1=0.8 + 0.01 * g + 0.001 * s * s * g)
        for g in (1, 4)
        for s in (0, 1, 2, 3)
    ]
    del runs[0]
    comparison = compared(runs)
    one, four = comparison.groups
    assert list(one.values) == [f"0 model.seed={s}" for s in (1, 2, 3)]
    assert list(four.values) == [0, *one.values]
    assert comparison.left_out == []
    (paired,) = comparison.paired
    assert list(paired.differences.values()) == pytest.approx(
        [0.03 + 0.003 * s * s for s in (1, 2, 3)]
    )
    test = stats.ttest_rel([four.values[key] for key in one.values], list(one.values.values()))
    assert paired.p == pytest.approx(test.pvalue)
    (seeds,) = comparison.warnings
    assert seeds.startswith("seeds: ")
    assert "runs without a seed" not in " ".join(comparison.notes)


def test_by_one_key_a_seed_counts_once_with_the_mean_of_its_runs(made_run):
    runs = [
        made_run({"model.groups": g, "optimizer.lr": lr}, top1=g / 10 + lr)
        for g in (1, 4)
        for lr in (0.1, 0.2)
    ]
    comparison = compared(runs, by="groups")
    assert [g.values[0] for g in comparison.groups] == pytest.approx([0.25, 0.55])
    assert [g.n for g in comparison.groups] == [1, 1]
    assert any("the mean of its runs" in note for note in comparison.notes)


def test_two_data_sets(made_run):
    data = {"name": "Other", "sizes": {"test": 9}, "digest": {"test": "e" * 64}}
    choices = {"model": "net", "data": "other"}
    comparison = compared(
        [made_run(), made_run({"data.values": 3}, data=data, choices=choices, overrides=[])]
    )
    assert sorted(comparison.meta.data) == ["Other", "Toy"]
    assert [g.name for g in comparison.groups] == ["data=other", "data=toy"]


def test_runs_of_wandb_alone_beside_ours(made_run):
    unknown = {
        **{"wandb": {}, "identity": "", "choices": {}, "overrides": [], "data": {}, "cost": {}},
        **{"tested": None, "best": None, "environment": {}, "git": None},
    }
    theirs = [
        made_run(
            seed=None,
            name=f"crimson-{number}",
            metrics={"test/top1": 0.8 + number / 100},
            config={"lr": 0.1, "random_seed": number},
            **unknown,
        )
        for number in (1, 2)
    ]
    comparison = compared([made_run(), *theirs])
    group, own = comparison.groups  # those without a setting stand first
    assert (group.n, own.n) == (2, 1)
    assert group.mean == pytest.approx(0.815)
    assert list(group.values) == ["crimson-1", "crimson-2"]
    assert comparison.paired[0].n == 0
    assert any(line.startswith("no record: ") for line in comparison.warnings)
    assert any(note.startswith("runs without a seed") for note in comparison.notes)


def test_arms_at_wandb_take_the_claim_from_a_local_folder(study):
    """One arm's first run is here, with the ablation.json; all others are W&B's mirrors."""
    here, *others = study()
    for number, run in enumerate(others):
        run.folder, run.wandb, run.data = Path(f"wandb:team/p/{number}"), {"group": "study"}, {}
    comparison = compared([here, *others])
    assert [(g.name, g.n) for g in comparison.groups] == [("g1", 5), ("g4", 5), ("g32", 5)]
    assert comparison.verdicts[0].outcome == "supported"
    assert comparison.no_verdict == ""
    alone = compared(others)
    assert alone.verdicts == []
    assert alone.no_verdict.startswith("the ablation.json of study, if it is an ablation, is not")
    assert f"no verdict: {alone.no_verdict}" in alone.notes
    (line,) = (line for line in alone.warnings if line.startswith("no record"))
    assert line.endswith("W&B alone: data and steps cannot be checked")
    for run in others:  # the best epoch was the first one
        run.best = run.best | {"epoch": 0, "step": 16}
    assert compared(others, metric="val/top1").groups[1].mean == pytest.approx(sum(G4) / 5 - 0.1)


def test_jobs_that_left_no_record_are_named(study, tmp_path):
    runs = study()
    folder = tmp_path / "runs" / "study"
    jobs = [{"arm": "g4", "seed": 7 + i, "folder": f"g4-s{7 + i}", "words": []} for i in range(2)]
    (folder / "plan.json").write_text(json.dumps({"name": "study", "metric": None, "jobs": jobs}))
    (folder / "g4-s8").mkdir()
    outcome = {"status": "failed", "reason": "killed by SIGKILL", "ended": 0}
    (folder / "g4-s8" / "outcome.json").write_text(json.dumps(outcome))
    assert compared(runs).warnings == [
        "not run yet: g4-s7 of study",
        "failed without a record (killed by SIGKILL): g4-s8 of study",
    ]


def test_costs_of_the_sides_that_were_not_held_are_said(study):
    pair = {"name": "pair", "weights": {"g4": 1.0, "g1": -1.0}, "expect": "positive"}
    means = {"name": "means", "weights": {"g32": 1.0, "g1": -0.5, "g4": -0.5}, "expect": "positive"}
    slope = {"name": "slope", "weights": {"g1": -0.5, "g4": 0.0, "g32": 0.5}, "expect": "positive"}
    rank = pair | {"name": "rank", "rank": True}
    costs = {1: (1.0, 0.50), 4: (1.1, 0.52), 32: (0.63, 1.02)}

    def said(**changes):
        runs = study(contrasts=[pair, means, slope, rank], **changes)
        for run in runs:
            params, gmacs = costs[run.config["model"]["groups"]]
            run.cost |= {"cost/params_m": params, "cost/gmacs": gmacs, "cost/activations_m": 2.0}
        return [note for note in compared(runs).notes if note.startswith("cost: ")]

    assert said(hold=None) == [
        "cost: g4 against g1: 10.0 % more parameters",
        "cost: g32 against the mean of g1, g4: 40.0 % fewer parameters, 100.0 % more MACs",
    ]
    # The held one has a line of its own; at equal parameters the others may be far apart.
    assert said() == ["cost: g32 against the mean of g1, g4: 100.0 % more MACs"]
    costs = dict.fromkeys(costs, (1.0, 0.5))
    assert said(hold=None) == []


def test_jobs_that_ran_and_were_not_given_did_run(study, write_run, made_run, tmp_path):
    runs = study()
    folder = tmp_path / "runs" / "study"
    names = ["g4-s7", "g4-s8", "g4-s9", "g4-s10"]
    jobs = [{"arm": "g4", "seed": int(n[4:]), "folder": n, "words": []} for n in names]
    (folder / "plan.json").write_text(json.dumps({"name": "study", "metric": None, "jobs": jobs}))
    write_run(made_run(arm="g4", seed=7))
    write_run(made_run(arm="g4", seed=8, status="failed"))
    (write_run(made_run(arm="g4", seed=9)) / "run.json").write_text("{torn")
    assert compared(runs).warnings == [
        "not among the runs given (finished): g4-s7 of study",
        "not among the runs given (failed): g4-s8 of study",
        "not among the runs given (its run.json cannot be read): g4-s9 of study",
        "not run yet: g4-s10 of study",
    ]


def test_a_grid_sets_its_keys_on_purpose(made_run, tmp_path):
    words = {"short": "trainer.max_epochs=2", "long": "trainer.max_epochs=9"}
    runs = [
        made_run({"trainer.max_epochs": epochs, "optimizer.lr": 0.1}, arm=arm)
        for arm, epochs in (("short", 2), ("long", 9))
    ]
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    jobs = [
        {"arm": arm, "seed": 0, "folder": run.folder.name, "words": [word, "seed=0"]}
        for (arm, word), run in zip(words.items(), runs, strict=True)
    ]
    plan = {"name": "grid", "metric": "val/top1", "jobs": jobs}
    (folder / "plan.json").write_text(json.dumps(plan))
    comparison = compared(runs)
    assert comparison.metric == "val/top1"
    assert comparison.warnings == []
    assert [g.name for g in comparison.groups] == ["short", "long"]


def test_meta(groups_runs):
    meta = compared(groups_runs).meta
    assert meta.hardware == ["Abacus, 1 thread"]
    assert meta.commits == ["1234567"]
    assert meta.total_s == 150
    assert meta.title == "study"
    groups_runs[0].wandb = {"project": "theirs", "group": None}
    assert compared(groups_runs).meta.title == "theirs, study"


def test_activations_are_a_cost_too(study):
    runs = study(
        contrasts=[{"name": "p", "weights": {"g4": 1.0, "g1": -1.0}, "expect": "positive"}]
    )
    for run in runs:
        groups = run.config["model"]["groups"]
        run.cost |= {"cost/gmacs": 1.0 + 0.1 * groups, "cost/activations_m": 2.0 * groups}
    (said,) = [note for note in compared(runs).notes if note.startswith("cost: ")]
    assert said == "cost: g4 against g1: 27.3 % more MACs, 4.0 times the activations"


def test_latencies_of_one_net_that_are_far_apart_are_no_cost_of_it(made_run):
    runs = [made_run({"model.groups": g}, seed=s) for g in (1, 4) for s in (1, 2)]
    for run, ms in zip(runs, (1.8, 43.0, 2.0, 2.4), strict=True):
        run.cost["cost/latency_ms"] = ms
    comparison = compared(runs)
    assert [g.cost["latency_ms"] for g in comparison.groups] == [None, pytest.approx(2.2)]
    assert comparison.warnings == [
        "latency: far apart within groups=1 (1.8 to 43 ms): the machine was busy; no mean is shown"
    ]
    # Where it is the metric its values are what is asked for.
    assert compared(runs, metric="cost/latency_ms").groups[0].mean == pytest.approx(22.4)


def test_a_loss_that_exploded_is_left_out_and_named(made_run):
    runs = [made_run({"model.groups": g}, seed=s) for g in (1, 4) for s in (1, 2)]
    for run, loss in zip(runs, (0.5, 0.6, 0.5, 1e200), strict=True):
        run.metrics["test/loss"] = loss
    comparison = compared(runs, metric="test/loss")
    assert [g.n for g in comparison.groups] == [2, 1]
    assert any("test/loss is not finite" in line for line in comparison.warnings)


def test_a_claim_that_was_changed_after_the_runs_is_said(study):
    before = [
        {"until": "2026-11-22T08:00:00Z", "metric": "val/loss", "contrasts": []},
        {"until": "2026-11-23T08:00:00Z", "claim": "Less is more."},
    ]
    said = [note for note in compared(study(before=before)).notes if "after runs" in note]
    assert said == [
        "changed on 2026-11-22, after runs had finished: metric, contrasts (ablation.json: before)",
        "changed on 2026-11-23, after runs had finished: claim (ablation.json: before)",
    ]


def test_a_file_of_metrics_that_was_cut_is_named_and_changes_no_figure(made_run):
    runs = [made_run({"model.groups": g}, seed=s) for g in (1, 4) for s in (1, 2)]
    whole = compared(runs, metric="val/top1")
    for run in runs:
        run.tested = "last"
    same = compared(runs, metric="val/top1")
    assert not [line for line in same.warnings if "metrics.csv" in line]
    torn = runs[0].history["val/top1"]
    runs[0].history["val/top1"] = History(torn.steps[:1], torn.epochs[:1], [1.0], [0.1])
    runs[3].history = {}
    cut = compared(runs, metric="val/top1")
    assert [g.mean for g in cut.groups] == [g.mean for g in whole.groups]
    (said,) = [line for line in cut.warnings if "metrics.csv" in line]
    assert runs[0].name in said
    assert runs[3].name in said
    assert runs[1].name not in said


def test_no_front_without_the_cost(made_run):
    runs = [made_run({"model.groups": g}) for g in (1, 4)]
    assert any(
        note.startswith("no Pareto front: no group has a latency_ms that counts; it is measured")
        for note in compared(runs, cost="latency_ms").notes
    )
    assert not any("Pareto" in note for note in compared(runs, cost="gmacs").notes)
