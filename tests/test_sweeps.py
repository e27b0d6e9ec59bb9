"""The command lines that W&B's agent makes of `sweeps/*.yaml` are ones that train.py takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from cnnlab.config import check, compose
from cnnlab.config.fit import metric_fault
from cnnlab.config.plain import to_plain
from cnnlab.errors import UserError

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
KEYS = {"program", "method", "metric", "run_cap", "command", "parameters"}
"""Of W&B's sweep configuration, those in use here."""


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def values(parameter: dict[str, Any]) -> list[Any]:
    """What the server may choose: all of a list, the ends of a range and a float between."""
    if "values" in parameter:
        return parameter["values"]
    assert parameter["distribution"] == "log_uniform_values"
    low, high = parameter["min"], parameter["max"]
    assert 0 < low < high
    return [low, low * (high / low) ** 0.123456789, high]


def command(sweep: dict[str, Any], chosen: dict[str, Any]) -> list[str]:
    """As `wandb agent` makes it; the macros by W&B's own code, put together as it does."""
    args = {key: {"value": value} for key, value in chosen.items()}
    macros = create_sweep_command_args({"args": args})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    words: list[str] = []
    for word in create_sweep_command(list(sweep["command"])):
        whole = word.startswith("${") and word.endswith("}")
        words += macros[word[2:-1]] if whole else [word]
    return words


def command_lines(sweep: dict[str, Any]) -> list[list[str]]:
    """As few as have every value of every parameter."""
    own = {name: values(node) for name, node in sweep["parameters"].items()}
    longest = max(map(len, own.values()))
    return [
        command(sweep, {name: some[i % len(some)] for name, some in own.items()})
        for i in range(longest)
    ]


def test_there_is_one_of_each_kind():
    assert {read(path)["method"] for path in SWEEPS} == {"grid", "bayes"}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_its_command_lines_are_valid(path):
    sweep = read(path)
    assert sweep.keys() <= KEYS
    assert (ROOT / sweep["program"]).is_file()
    assert sweep["metric"]["goal"] in ("maximize", "minimize")
    for line in command_lines(sweep):
        assert line[:3] == ["/usr/bin/env", "python", "train.py"]
        composed = compose(line[3:])
        check(composed)
        plain = to_plain(composed.cfg)
        assert metric_fault(plain, sweep["metric"]["name"]) == ""
        assert plain["logger"]["wandb"]["mode"] == "online"


def test_what_is_searched_arrives():
    tune = read(ROOT / "sweeps" / "tune.yaml")
    words = command(tune, {"optimizer.lr": 3.0517578125e-05, "optimizer.weight_decay": 1e-05})[3:]
    optimizer = to_plain(compose(words).cfg)["optimizer"]
    assert (optimizer["lr"], optimizer["weight_decay"]) == (3.0517578125e-05, 1e-05)


def test_the_grid_is_of_groups_and_seeds():
    parameters = read(ROOT / "sweeps" / "groups.yaml")["parameters"]
    assert parameters["seed"]["values"] == [0, 1, 2, 3, 4]
    nets = [compose([f"model={name}"]).cfg.model for name in parameters["model"]["values"]]
    # The widths that Table 3 pairs with the groups.
    published = [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)]
    assert [(net.groups, net.width_per_group) for net in nets] == published


def test_a_parameter_that_does_not_exist_is_refused():
    tune = read(ROOT / "sweeps" / "tune.yaml")
    with pytest.raises(UserError, match=r"optimizer\.lr'"):
        compose(command(tune, {"optimizer.lrr": 0.1})[3:])
