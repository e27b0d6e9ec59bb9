"""From words to jobs: each composed and checked before the first starts."""

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from cnnlab.ablation import latency
from cnnlab.ablation.costs import Costs
from cnnlab.ablation.definition import Hold
from cnnlab.ablation.job import Plan
from cnnlab.ablation.launch import launch
from cnnlab.ablation.plan import plan
from cnnlab.ablation.plan_files import write_plan
from cnnlab.complexity.count import Cost
from cnnlab.config import compose, to_plain
from cnnlab.errors import UserError
from cnnlab.tracking.identity import identity

TINY = ["model=resnext_cifar", "model.depth=11", "model.width=16", "model.width_per_group=8"]
GRID = ["-m", *TINY, "logger=none", "model.groups=1,4", "seed=1,2"]


def params(groups: int, width_per_group: int, width: int = 16, channels: int = 1) -> int:
    """Of a ResNeXt of three bottlenecks with ten classes, layer by layer."""
    before, total = width // 4, (9 * channels + 2) * (width // 4)
    for stage in range(3):
        mid, out = groups * width_per_group * 2**stage, width * 2**stage
        total += before * mid + 9 * mid * mid // groups + mid * out + before * out
        total += 2 * (2 * mid + 2 * out)
        before = out
    return total + (before + 1) * 10


def nearest_width(groups: int, target: int) -> int:
    return min(range(1, 50), key=lambda w: abs(params(groups, w) - target))


@pytest.fixture
def uncounted(monkeypatch):
    """No net is built."""
    monkeypatch.setattr(Costs, "of", lambda self, cfg: Cost(1, 1, 1, 1, (1, 32, 32), []))


@pytest.fixture
def free(write, uncounted):
    """`free(*words)`: the plan of the ablation `mine`, nothing held or counted."""
    return lambda *words: plan([*write(hold=None), *words])


def test_every_arm_under_every_seed(free, tmp_path):
    found = free()
    assert found.plan.name == "mine"
    assert found.plan.folder == tmp_path / "runs" / "mine"
    # Seed by seed: what is interrupted has all arms under the first seeds.
    assert [job.folder.name for job in found.plan.jobs] == [
        *("one-s1", "two-s1", "four-s1"),
        *("one-s2", "two-s2", "four-s2"),
    ]
    assert {(job.arm, job.seed) for job in found.plan.jobs} == {
        (arm, seed) for arm in ("one", "two", "four") for seed in (1, 2)
    }
    assert found.plan.metric == "test/top1"


def test_a_job_is_what_its_words_say(free):
    jobs = free("jobs=3", "arms=one,four").plan.jobs
    for job in jobs:
        composed = compose(job.words)
        assert identity(to_plain(composed.cfg)) == job.identity
        assert composed.cfg.seed == job.seed
        assert composed.cfg.tested == "last"
        assert composed.cfg.ablation is None
        assert not [word for word in job.words if word.startswith(("ablation=", "jobs="))]
    assert len({job.identity for job in jobs}) == 4


def test_the_knob_is_solved_and_its_cost_counted(write):
    planned = plan([*write(), "hold.tolerance=0.25", "seed=1"])
    found = {arm.name: arm for arm in planned.arms}
    jobs = {job.arm: job for job in planned.plan.jobs}
    hold = {"cost": "params", "solve": "model.width_per_group", "tolerance": 0.25}
    assert planned.plan.hold == hold
    assert jobs["one"].solved is None
    target = params(1, 8)
    assert found["one"].solved is None
    for name, groups in (("two", 2), ("four", 4)):
        width = nearest_width(groups, target)
        assert found[name].solved.value == width
        assert f"model.width_per_group={width}" in found[name].words
        assert found[name].cost["cost/params_m"] * 1e6 == pytest.approx(params(groups, width))
        deviation = pytest.approx(params(groups, width) / target - 1)
        assert found[name].solved.deviation == deviation
        # It is stored with every job, for those who read the records alone.
        stored = jobs[name].solved
        assert (stored["holds"], stored["value"], stored["target"]) == ("params", width, target)
        assert stored["deviation"] == deviation


class Stopwatch:
    """In place of `Timed`: parameters as time; arms of two groups are slower by `slower`."""

    slower = 1.0

    def __init__(self, costs, cfg):
        self.time = costs.params(cfg) * (self.slower if cfg.model.groups == 2 else 1.0)

    def ms(self):
        return self.time * 1e-6


def test_a_latency_that_was_held_is_not_measured_anew_by_a_repeat(write, monkeypatch):
    monkeypatch.setattr(latency, "Timed", Stopwatch)
    words = [*write(), "hold.cost=latency", "hold.tolerance=0.3", "arms=one,two", "seed=1"]
    first = plan(words).plan
    write_plan(first, None)
    monkeypatch.setattr(Stopwatch, "slower", 2.0)
    again = plan(words)
    assert [job.identity for job in again.plan.jobs] == [job.identity for job in first.jobs]
    assert any("as it was solved before" in note for note in again.notes)
    anew = plan([*words, "stale=rerun"]).plan.jobs[1].solved
    assert anew["value"] < first.jobs[1].solved["value"]


def test_a_latency_is_not_held_for_runs_side_by_side(write):
    """They have fewer threads than the one that was timed, and record no latency."""
    with pytest.raises(UserError, match=r"^jobs=2: hold\.cost=latency is measured one run at a"):
        plan([*write(), "hold.cost=latency", "jobs=2"])


def test_runs_of_other_seeds_are_compared_less_the_seed(write, uncounted):
    words = [*write(hold=None), "arms=one"]
    first = plan([*words, "seed=1,2"]).plan
    assert first.others == []
    write_plan(first, None)
    again = plan([*words, "seed=2,3"]).plan
    assert [(job.name, job.identity) for job in again.others] == [
        (job.name, job.identity) for job in first.jobs if job.seed == 1
    ]


def test_runs_of_arms_left_out_are_those_of_the_same_words(free):
    """Or the second command would put an arm beside one that was trained otherwise."""
    (job,) = (first := free("arms=one", "seed=1").plan).jobs
    write_plan(first, None)
    job.folder.mkdir()
    record = {"status": "finished", "identity": job.identity}
    (job.folder / "run.json").write_text(json.dumps(record))
    (other,) = free("arms=two", "seed=2").plan.others
    assert (other.name, other.identity) == ("one-s1", job.identity)
    longer = free("arms=two", "trainer.max_epochs=3").plan
    with pytest.raises(UserError, match=r"1 of another config \(one-s1.*, of seeds or arms left"):
        launch(longer, jobs=1, stale=None, keep="all", command=[])


def test_another_cost_or_none_may_be_held(write):
    held = plan([*write(), "hold.cost=macs", "hold.tolerance=0.3", "arms=two"])
    assert held.hold == Hold("macs", "model.width_per_group", 0.3)
    assert abs(held.arms[0].solved.deviation) <= 0.3
    free = plan([*write(), "hold.cost=null", "arms=one,two"])
    assert free.hold is None
    assert not [job for job in free.plan.jobs if "width_per_group" in job.words[-2]]


def test_an_arm_that_cannot_match_says_how_near_it_came(write):
    with pytest.raises(UserError, match=r"arm (two|four): .*model\.width_per_group"):
        plan([*write(), "hold.tolerance=0.0001", "arms=two"])


def test_typed_words_reach_every_arm(free):
    for job in free("data.fraction=0.5", "optimizer=adamw", "seed=1").plan.jobs:
        composed = compose(job.words)
        assert composed.cfg.data.fraction == 0.5
        assert composed.choices["optimizer"] == "adamw"


def test_seeds_and_arms_narrow_it(free):
    found = free("seed=7,8,9", "arms=four,two")
    assert [job.folder.name for job in found.plan.jobs[:2]] == ["two-s7", "four-s7"]
    assert len(found.plan.jobs) == 6
    assert [job.seed for job in free("seed=range(3)", "arms=one").plan.jobs] == [0, 1, 2]


def test_arms_that_are_called_by_numbers(write, uncounted):
    arms = {"0.5": ["model.groups=1"], "2": ["model.groups=2"]}
    contrasts = [{"name": "x", "arms": ["0.5", "2"], "expect": "positive"}]
    words = write(arms=arms, contrasts=contrasts, baseline="2", hold=None)
    for typed, names in (("0.5", ["0.5"]), ("0.5,2", ["0.5", "2"]), ("[2]", ["2"])):
        assert [arm.name for arm in plan([*words, f"arms={typed}"]).arms] == names
    assert len(plan([*words, "arms=null"]).arms) == 2


def test_what_is_held_is_the_baselines_cost_where_it_is_not_run_too(write):
    (arm,) = plan([*write(), "arms=two"]).arms
    assert arm.solved.value == nearest_width(2, params(1, 8))


def test_a_scale_replaces_what_it_names(free):
    found = free("scale=paper", "seed=1")
    assert found.plan.name == "mine-paper"
    assert [arm.name for arm in found.arms] == ["a", "b"]
    assert found.plan.ablation["scale"] == "paper"
    assert found.hold is None


def test_the_folder_may_be_named(free):
    assert free("name=again", "arms=one").plan.folder.name == "again"


def test_a_search_is_no_place_for_a_multirun(tmp_path):
    """Its plan.json would lock the search out."""
    (tmp_path / "lr").mkdir()
    (tmp_path / "lr" / "trials.journal").touch()
    with pytest.raises(UserError, match=r"^name=lr: .*lr holds a search .*another name$"):
        plan(["-m", "name=lr", f"runs={tmp_path}", "seed=1,2"])


MINE = {"name": "mine", "scale": "small"}


@pytest.mark.parametrize(
    ("there", "now", "said"),
    [
        (MINE | {"name": "other"}, ["ablation=mine"], "the ablation other at scale=small"),
        (MINE | {"scale": "paper"}, ["ablation=mine"], "the ablation mine at scale=paper"),
        (MINE, ["-m", "name=mine", "model.groups=2,4"], "the ablation mine at scale=small"),
        (None, ["ablation=mine"], r"a grid \(-m\)"),
        (MINE, ["ablation=mine", "arms=one"], None),
    ],
)
def test_a_folder_has_one_experiment(write, uncounted, tmp_path, there, now, said):
    """Two would count with the claim of the later one."""
    folders = [word for word in write(hold=None) if word != "ablation=mine"]
    metric = None if there is None else "test/top1"
    write_plan(Plan("mine", tmp_path / "runs" / "mine", there, [], metric), None)
    if said is None:
        assert plan([*folders, *now]).plan.name == "mine"
        return
    with pytest.raises(UserError, match=f"^name=mine: .*/mine holds {said}; give .* another name$"):
        plan([*folders, *now])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.groups=8"], r"model\.groups: set by arm one"),
        (["model={groups: 8}"], r"model\.groups: set by arm one"),
        (["model.width_per_group=8"], r"model\.width_per_group: solved for each arm"),
        (["data.fraction=0.5,1.0"], "data.fraction=0.5,1.0: an ablation's arms stand in its file"),
        (["arms=fuor"], "arms=fuor: no such arm; did you mean 'four'"),
        (["scale=papr"], "scale=papr: must be small or paper; did you mean 'paper'"),
        (["seed=a,b"], "seed=a,b: seeds are whole numbers"),
        (["seed=1,1"], "one of them stands there twice"),
        (["resume=runs/x"], "repeating the command goes on"),
        (["hydra/launcher=basic"], "cnnlab launches several runs itself"),
        (["jobs=1,2"], "jobs=1,2: takes one value"),
        (["jobs=0"], "jobs=0: must be at least 1"),
        (["keep=some"], "keep=some: must be all or weights or none"),
        (["stale=kep"], "did you mean 'keep'"),
        (["hold.cost=parms"], "hold.cost=parms: .*did you mean 'params'"),
        (["name=a/b"], "name=a/b: names a folder here"),
        (["model.weights=no/such.safetensors"], "arm one: model.weights=no/such.safetensors: no s"),
        (["model.grops=3"], r"arm one: model\.grops: no such config key"),
        (["ablation=min"], "ablation=min: no such config; did you mean 'mine'"),
    ],
)
def test_wrong_words(write, words, said):
    with pytest.raises(UserError) as caught:
        plan([*write(), *words])
    assert re.search(said, str(caught.value).splitlines()[0])


def test_a_tolerance_of_nothing(write):
    with pytest.raises(UserError, match=r"^hold\.tolerance=0\.1: nothing is held; hold\.cost=p"):
        plan([*write(hold=None), "hold.tolerance=0.1"])


def test_any_arm_that_is_wrong_is_named(write):
    arms = {"one": ["model.groups=1"], "two": ["model.groups=2", "optimizer.lr=-1"]}
    contrasts = [{"name": "x", "arms": ["one", "two"], "expect": "positive"}]
    with pytest.raises(UserError, match=r"^arm two: optimizer\.lr=-1: must be above 0$"):
        plan(write(arms=arms, contrasts=contrasts))


def test_two_arms_that_are_one(write, uncounted):
    """`two` says what the scale's words say."""
    arms = {"one": [], "two": ["model.width=16"]}
    contrasts = [{"name": "x", "arms": ["one", "two"], "expect": "positive"}]
    with pytest.raises(UserError, match="arms one and two: the same run under two names"):
        plan(write(arms=arms, contrasts=contrasts, hold=None))


def test_a_mistake_is_found_without_torch(write):
    program = (
        "import sys\n"
        "from cnnlab.ablation.plan import plan\n"
        "from cnnlab.errors import UserError\n"
        "try:\n"
        "    plan(sys.argv[1:])\n"
        "except UserError as error:\n"
        "    print(error, 'torch' in sys.modules)\n"
    )
    words = [*write(), "seed=1", "trainer.max_epochs=many"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.stdout == "arm one: trainer.max_epochs=many: must be a whole number False\n"


def test_a_metric_that_nothing_logs(write):
    said = r"ablation\.metric=test/topl: not logged; did you mean 'test/top[15]'"
    with pytest.raises(UserError, match=said):
        plan(write(metric="test/topl"))


@pytest.mark.parametrize(
    "beside",
    [{"data": {"fraction": 0.5}}, {"defaults": ["_self_", {"override /data": "digit_scenes"}]}],
)
def test_a_file_sets_nothing_beside_the_ablation(write, beside):
    with pytest.raises(UserError, match=r"its file sets /?data; .*ablation\.scales"):
        plan(write(beside=beside))


# A grid -----------------------------------------------------------------------------------------


def test_a_grid_is_every_combination(uncounted, tmp_path):
    found = plan([*GRID, f"runs={tmp_path}"])
    assert found.plan.ablation is None
    assert re.fullmatch(r"multirun-[0-9a-f]{8}", found.plan.name)
    assert [job.folder.name for job in found.plan.jobs] == [
        *("groups1-s1", "groups4-s1", "groups1-s2", "groups4-s2")
    ]
    for job in found.plan.jobs:
        composed = compose(job.words)
        assert composed.cfg.tested == "best"
        assert job.arm == f"groups{composed.cfg.model.groups}"
        assert identity(to_plain(composed.cfg)) == job.identity


def test_the_same_grid_has_the_same_folder_whatever_the_seeds(uncounted):
    words = ["-m", *TINY, "logger=none"]
    name = plan([*words, "seed=1"]).plan.name
    assert plan(["-m", *TINY, "seed=1,2,3", "jobs=2"]).plan.name == name
    assert plan([*words, "data.fraction=0.5"]).plan.name != name


def test_names_of_arms_tell_them_apart(uncounted):
    words = ["-m", "model=lenet5_modern,resnet20_cifar", "optimizer.lr=0.1,0.2", "seed=1"]
    nets = ("lenet5_modern", "resnet20_cifar")
    names = [arm.name for arm in plan(words).arms]
    assert names == [f"{net}-lr{lr}" for net in nets for lr in (0.1, 0.2)]
    # Two settings that differ only in what a folder's name cannot show.
    alike = ["-m", "+tags.a=b/c,b:c"]
    with pytest.raises(UserError, match=r"tags\.a: values that a folder's name cannot tell"):
        plan(alike)


def test_a_grid_holds_what_the_config_has():
    """The published example: the config's own groups and width are what others are held to."""
    held = ["hold.cost=params", "hold.solve=model.width_per_group", "hold.tolerance=0.2"]
    found = plan(["-m", *TINY[:3], *held, "seed=1", "model.groups=1,2"])
    config_has = params(8, 64)  # resnext_cifar's own
    for arm, groups in zip(found.arms, (1, 2), strict=True):
        best = min(range(1, 400), key=lambda w: abs(params(groups, w) - config_has))
        assert arm.solved.value == best


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.batch_size=0"], r"data\.batch_size=0: must be at least 1"),
        (["optimizer.lr=0.1,-1"], r"optimizer\.lr=-1: must be above 0"),
        (["model=lenet5_modern,lenet6"], "model=lenet6: no such config"),
        (["scale=paper"], "scale=paper: only an ablation has any"),
        (["hold.cost=params"], r"hold\.solve: a value is required"),
        (["hold.solve=model.width", "hold.cost=params", "model.width=8"], "solved for each run"),
        (["optimizer.lr=interval(0.1,1)"], "only a list of values"),
    ],
)
def test_wrong_grids(words, said):
    with pytest.raises(UserError, match=said):
        plan(["-m", "seed=1,2", *words])


# The command line -------------------------------------------------------------------------------


@pytest.fixture
def launched(monkeypatch):
    """What the launcher was given, in place of launching it."""
    calls: list[tuple] = []

    def launch(given, **options) -> int:
        calls.append((given, options))
        return 3

    module = SimpleNamespace(launch=launch)
    monkeypatch.setitem(sys.modules, "cnnlab.ablation.launch", module)
    return calls


def train(monkeypatch, *words: str) -> int:
    import train as program

    monkeypatch.setattr("sys.argv", ["train.py", *words])
    with pytest.raises(SystemExit) as ended:
        program.main()
    return ended.value.code


@pytest.mark.parametrize("option", [[], ["-m"]])
def test_train_py_launches_an_ablation_with_or_without_m(
    monkeypatch, write, launched, uncounted, option
):
    words = [*option, *write(), "jobs=2", "keep=weights", "seed=1", "hold.cost=null"]
    assert train(monkeypatch, *words) == 3
    ((given, options),) = launched
    assert [job.folder.name for job in given.jobs] == ["one-s1", "two-s1", "four-s1"]
    assert options == {"jobs": 2, "stale": None, "keep": "weights", "slurm": None}


def test_nothing_starts_where_the_last_job_is_wrong(monkeypatch, launched, capsys):
    assert train(monkeypatch, "-m", "optimizer.lr=0.1,-1") == 2
    assert launched == []
    assert capsys.readouterr().err == "error: optimizer.lr=-1: must be above 0\n"


def test_words_of_several_runs_mean_nothing_to_one(monkeypatch, capsys):
    assert train(monkeypatch, "jobs=2") == 2
    assert "jobs=2: only for several runs" in capsys.readouterr().err


def test_hydras_own_program_knows_the_sweeper(write, launched, uncounted):
    from hydra.core.plugins import Plugins

    composed = compose(write())
    assert composed.hydra.mode.name == "MULTIRUN"
    (sweeper,) = [
        of
        for name, of in Plugins.instance().class_name_to_class.items()
        if name == composed.hydra.sweeper._target_
    ]
    assert sweeper().sweep([*write(), "seed=1", "hold.cost=null"]) == 3
    assert len(launched) == 1
