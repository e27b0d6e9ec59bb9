"""Against W&B's own package; only its two ways to the server are replaced."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cnnlab.cli import main
from cnnlab.errors import UserError
from cnnlab.tracking import wandb_report
from cnnlab.tracking.compare import compare
from cnnlab.tracking.grids import heading
from cnnlab.tracking.wandb_report import ready, write_wandb_report

INTERFACE = "wandb_workspaces.reports.v2.interface"


class Server:
    """Has project `team/p`; keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}
        self.client = SimpleNamespace(app_url="https://wandb.example")

    def projects(self, entity: str) -> list[SimpleNamespace]:
        if entity != "team":
            raise ValueError("no such entity\nmore of it")
        return [SimpleNamespace(name="p")]

    def answer(self, api: Any, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "internalId" in query:
            there = (variables["entityName"], variables["projectName"]) == ("team", "p")
            return {"project": {"id": "x", "internalId": "UHJv"} if there else None}
        assert "upsertView" in query
        self.sent = variables | {"spec": json.loads(variables["spec"])}
        place = {"id": "x", "name": "p", "entityName": "team"}
        view = {"id": "Vmlldzox", "name": "n", "project": place, "spec": variables["spec"]}
        return {"upsertView": {"view": view}}

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return self.sent["spec"]["blocks"]


@pytest.fixture
def server(monkeypatch) -> Server:
    server = Server()
    monkeypatch.setattr("wandb.Api", lambda: server)
    monkeypatch.setattr(f"{INTERFACE}.execute_graphql", server.answer)
    return server


@pytest.fixture
def runs(made_run):
    """Two groups over three seeds, all with an id at W&B."""
    return [
        made_run({"model.groups": g}, seed=seed, top1=0.5 + g / 100, wandb_id=f"id{g}x{seed}")
        for g in (1, 4)
        for seed in range(3)
    ]


def compared(runs):
    return compare(runs, metric=None, cost="gmacs", by=None, baseline=None)


def strings(node: Any) -> list[str]:
    """All strings within JSON."""
    if isinstance(node, dict):
        return [word for value in node.values() for word in strings(value)]
    if isinstance(node, list):
        return [word for value in node for word in strings(value)]
    return [node] if isinstance(node, str) else []


def test_it_says_what_the_comparison_says(server, runs):
    comparison = compared(runs)
    address = write_wandb_report(comparison, "team/p")
    slug = "study-test-top1-of-6-runs-in-2-groups-tested-best-checkpoint"
    assert address == f"https://wandb.example/team/p/reports/{slug}--Vmlldzox"
    assert (server.sent["entityName"], server.sent["projectName"]) == ("team", "p")
    assert server.sent["displayName"] == heading(comparison)
    (text,) = [b["content"] for b in server.blocks if b["type"] == "markdown-block"]
    assert "| groups=4 | 3 | **0.5400** |" in text


def test_a_verdict_is_in_the_text(server, made_run, tmp_path):
    ablation = {
        "name": "study", "claim": "More is better.", "source": None, "baseline": "g1",
        "metric": "test/top1", "seeds": [0, 1, 2], "arms": {"g1": [], "g4": []},
        "contrasts": [{"name": "four", "weights": {"g4": 1, "g1": -1}, "expect": "positive"}],
        "hold": None, "published": None, "tune": None, "scales": {},
    }  # fmt: skip
    runs = [
        made_run({"model.groups": g}, arm=f"g{g}", seed=seed, top1=0.5 + g / 10 + seed**g / 1000)
        for g in (1, 4)
        for seed in range(3)
    ]
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    (folder / "ablation.json").write_text(json.dumps(ablation))
    comparison = compared(runs)
    write_wandb_report(comparison, "team/p")
    (text,) = [b["content"] for b in server.blocks if b["type"] == "markdown-block"]
    assert "More is better." in text
    assert "four: supported" in text


def test_each_group_is_a_run_set_of_its_runs(server, runs):
    write_wandb_report(compared(runs), "team/p")
    (grid,) = [b for b in server.blocks if b["type"] == "panel-grid"]
    sets = grid["metadata"]["runSets"]
    assert [one["name"] for one in sets] == ["groups=1", "groups=4"]
    for g, one in zip((1, 4), sets, strict=True):
        (asked,) = one["filters"]["filters"]
        assert asked["key"] == {"section": "run", "name": "name"}  # what W&B calls a run's id
        assert asked["op"] == "IN"
        assert asked["value"] == [f"id{g}x{seed}" for seed in range(3)]
        assert one["project"]["id"] == "UHJv"


def test_plots_of_the_metric_and_of_its_curves(server, runs):
    write_wandb_report(compared(runs), "team/p")
    (grid,) = [b for b in server.blocks if b["type"] == "panel-grid"]
    bars, *lines = grid["metadata"]["panelBankSectionConfig"]["panels"]
    assert bars["viewType"] == "Bar Chart"
    assert bars["config"]["metrics"] == ["summary_metrics.test/top1"]
    assert [line["config"]["metrics"] for line in lines] == [["val/top1"]]
    assert lines[0]["config"]["xAxis"] == "trainer/global_step"  # what our mirror logs
    places = [(p["layout"]["x"], p["layout"]["y"]) for p in (bars, *lines)]
    assert len(set(places)) == len(places)


def test_runs_that_are_not_there_are_counted_and_not_plotted(server, runs):
    runs[0].wandb_id = None
    runs[1].wandb = {"entity": "team", "project": "other"}
    write_wandb_report(compared(runs), "team/p")
    words = strings(server.blocks)
    assert any("4 of 6 runs were mirrored" in word for word in words)
    assert "id1x2" in words
    assert "id1x0" not in words
    assert "id1x1" not in words


def test_without_any_id_there_is_the_text_alone(server, made_run):
    write_wandb_report(compared([made_run(), made_run(seed=1)]), "team/p")
    assert any("No plots" in word for word in strings(server.blocks))
    assert not [b for b in server.blocks if b["type"] == "panel-grid"]


def test_a_project_that_is_not_there(server, runs):
    said = r"^--wandb-report team/pp: team has no such project; did you mean 'p'\?$"
    with pytest.raises(UserError, match=said):
        write_wandb_report(compared(runs), "team/pp")


def test_what_the_server_says_against_it_is_one_line(server, runs):
    said = r"^--wandb-report nobody/p: W&B does not take it \(no such entity\)$"
    with pytest.raises(UserError, match=said):
        write_wandb_report(compared(runs), "nobody/p")


@pytest.mark.parametrize("where", ["team", "team/", "/p", "team/p/q", "wandb:team/p"])
def test_a_name_that_is_none(where):
    with pytest.raises(UserError, match="must be ENTITY/PROJECT"):
        ready(where)


def test_the_package_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '.\[wandb-report\]'"):
        ready("team/p")


@pytest.mark.parametrize(
    ("key", "said"), [(None, "not logged in to W&B"), ("k" * 40, "127.0.0.1:9 does not answer")]
)
def test_offline_it_says_so_before_runs_are_read(monkeypatch, capsys, key, said):
    found = SimpleNamespace(base_url="http://127.0.0.1:9", api_key=key)
    monkeypatch.setattr("wandb.setup", lambda settings: SimpleNamespace(settings=found))
    monkeypatch.setenv("NETRC", "/nonexistent")
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as exit_:
        main(["compare", "/no/such/runs", "--wandb-report", "team/p"])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "--wandb-report team/p: " in error
    assert said in error
    assert error.count("\n") == 1


def test_compare_names_the_address(server, runs, write_run, capsys, monkeypatch):
    monkeypatch.setattr(wandb_report, "unusable", lambda: None)
    for run in runs:
        write_run(run)
    main(["compare", str(runs[0].folder.parent), "--wandb-report", "team/p"])
    assert "wrote https://wandb.example/team/p/reports/" in capsys.readouterr().out
    assert "id4x2" in strings(server.blocks)
