"""From a command line that stands for several runs to a plan: every job composed and checked.

Nothing heavy is imported before the last of them is valid; then the free knobs are solved.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnlab.ablation import definition
from cnnlab.ablation.arm import Arm, arm_names, digest
from cnnlab.ablation.definition import Ablation, Hold, words_set
from cnnlab.ablation.job import Job, Plan
from cnnlab.ablation.jobs import jobs_of, of_other_arms, of_other_seeds
from cnnlab.ablation.plan_files import A_GRID, an_ablation, earlier_jobs, holds
from cnnlab.ablation.tuning import Tuning, points, tuning, words_of
from cnnlab.ablation.typed import Typed, read_words
from cnnlab.config import Composed, check, compose, to_plain
from cnnlab.config.fit import metric_fault
from cnnlab.config.several import jobs as combinations
from cnnlab.errors import UserError, nearest
from cnnlab.tracking.identity import is_outside

if TYPE_CHECKING:
    from cnnlab.ablation.costs import Costs

TESTED = "tested=last"
"""An ablation's jobs are tested as they end: choosing a checkpoint on val is a selection."""


@dataclass(frozen=True)
class Planned:
    """A plan, and what there is to say of it.

    Attributes:
        plan: what the launcher gets.
        arms: in the order of the file or the grid.
        baseline: the arm whose cost is held; None for a grid, where that is what the config has.
        hold: what is held and by which knob.
        cfg: the config of the command itself: jobs, stale, keep, dry.
        notes: what was guessed.
        tuning: what comes before the plan, and decides on its words; None: nothing.
    """

    plan: Plan
    arms: list[Arm]
    baseline: str | None
    hold: Hold | None
    cfg: Any
    notes: list[str]
    tuning: Tuning | None

    def with_arms(self, arms: list[Arm], tuned: dict[str, Any]) -> "Planned":
        """With the arms as they were tuned; `tuned` says how, for ablation.json."""
        seeds = list(dict.fromkeys(job.seed for job in self.plan.jobs))
        folder = self.plan.folder
        plan = replace(
            self.plan,
            jobs=jobs_of(arms, seeds, folder),
            ablation={**(self.plan.ablation or {}), "tuned": tuned},
            others=[*of_other_seeds(arms, seeds, folder), *self._of_other_arms],
        )
        return replace(self, arms=arms, plan=plan)

    @property
    def _of_other_arms(self) -> list[Job]:
        return [job for job in self.plan.others if job.arm not in [arm.name for arm in self.arms]]


@dataclass(frozen=True)
class _Outline:
    """What a file or a grid says: before anything is composed."""

    name: str
    arms: dict[str, list[str]]
    left_out: dict[str, list[str]]
    """Arms of the file that this command does not name."""
    seeds: list[int]
    held: list[str]
    """The words whose cost is held."""
    baseline: str | None
    hold: Hold | None
    ablation: Ablation | None


def plan(words: list[str]) -> Planned:
    """The plan that a command line (`-m`, `ablation=`) stands for.

    Raises:
        UserError: whatever is wrong with any of its jobs, before the first one starts.
    """
    typed = read_words(words)
    base = compose(typed.command)
    check(base, several=True)
    outline = _ablation(base, typed) if base.cfg.ablation is not None else _grid(base, typed)
    refuse_folder(outline.name)
    folder = Path(base.cfg.runs) / outline.name
    _refuse_other_experiment(outline, folder)
    _refuse_latency_beside(outline, base.cfg)
    valid = {name: _checked(name, words, outline) for name, words in outline.arms.items()}
    _check_points(outline)
    from cnnlab.ablation.costs import Costs  # from here on torch is needed

    costs = Costs()
    arms = _solved(valid, outline, costs, base.cfg)
    before = _tuning(arms, outline, folder, costs) if outline.ablation else None
    others = of_other_arms(
        outline.left_out,
        folder,
        outline.hold,
        outline.ablation.tune if outline.ablation else None,
        lambda name, words: _checked(name, words, outline),
    )
    return Planned(
        Plan(
            name=outline.name,
            folder=folder,
            ablation=_described(outline, arms),
            jobs=jobs_of(arms, outline.seeds, folder),
            metric=outline.ablation.metric if outline.ablation else None,
            hold=None if outline.hold is None else vars(outline.hold),
            others=[*of_other_seeds(arms, outline.seeds, folder), *others],
        ),
        arms,
        outline.baseline,
        outline.hold,
        base.cfg,
        costs.notes,
        before,
    )


# An ablation ------------------------------------------------------------------------------------


def _ablation(base: Composed, typed: Typed) -> _Outline:
    scale, file = base.cfg.scale, base.choices.get("ablation")
    if not isinstance(file, str):
        raise UserError("ablation: names one file of conf/ablation: ablation=NAME")
    node = to_plain(base.cfg)["ablation"]
    found = definition.read(file, node, scale, base.cfg.hold)
    _refuse_other_settings(file, typed)
    if typed.sweeps:
        raise UserError(
            f"{typed.sweeps[0]}: an ablation's arms stand in its file; several values go with "
            "seed= and arms= only"
        )
    hold = _hold(base, found.hold, typed)
    _refuse_settings_of_arms(found, hold, typed)
    common = [*typed.flags, TESTED, *found.scales.get(scale, [])]
    chosen = _chosen(found.arms, base.cfg.arms)
    every = {name: [*common, *words, *typed.settings] for name, words in found.arms.items()}
    seeds = found.seeds if typed.seeds is None else typed.seeds
    name = found.name if scale == "small" else f"{found.name}-{scale}"
    return _Outline(
        name=base.cfg.name or name,
        arms={name: every[name] for name in chosen},
        left_out={name: words for name, words in every.items() if name not in chosen},
        seeds=seeds,
        held=every[found.baseline],
        baseline=found.baseline,
        hold=hold,
        ablation=found,
    )


def _refuse_other_settings(file: str, typed: Typed) -> None:
    """An ablation's file may set nothing beside `ablation`: its jobs do not read the file."""
    # Not None, and with a list: it was composed.
    said: Any = typed.loader.repository.load_config(f"ablation/{file}")
    other = [str(key) for key in said.config if key not in ("ablation", "hydra")]
    groups = [default.group for default in said.defaults_list if default.is_override()]
    other += [group for group in groups if not group.lstrip("/").startswith("hydra/")]
    if other:
        raise UserError(
            f"ablation={file}: its file sets {', '.join(other)}; what all arms share stands in "
            "ablation.scales"
        )


def _refuse_settings_of_arms(found: Ablation, hold: Hold | None, typed: Typed) -> None:
    for key in words_set(typed.settings):
        if hold and key == hold.solve:
            raise UserError(
                f"{key}: solved for each arm (ablation.hold.solve); hold.cost=null leaves it as "
                "it is"
            )
        if key in (found.tune or {}):
            raise UserError(
                f"{key}: tuned for each arm (ablation.tune); ablation.tune=null leaves it as it is"
            )
        for name, words in found.arms.items():
            if key in words_set(words):
                raise UserError(f"{key}: set by arm {name}, so it cannot be typed for all of them")


def _chosen(arms: dict[str, list[str]], asked: Any) -> list[str]:
    if asked is None:
        return list(arms)
    names = [asked] if isinstance(asked, str) else list(asked)
    for name in names:
        if name not in arms:
            raise UserError(
                f"arms={name}: no such arm{nearest(str(name), arms)}; there are {', '.join(arms)}"
            )
    if not names:
        raise UserError(f"arms=[]: none; there are {', '.join(arms)}")
    return [name for name in arms if name in names]


def _hold(base: Composed, of_file: Hold | None, typed: Typed) -> Hold | None:
    """What is typed as `hold.*` counts before what the file says, part by part."""
    values: dict[str, Any] = dict(base.cfg.hold)
    if of_file is not None:
        given = {"cost": of_file.cost, "solve": of_file.solve, "tolerance": of_file.tolerance}
        values |= {part: value for part, value in given.items() if part not in typed.hold}
    if values["cost"] is None and (of_file is not None or values["solve"] is None):
        if of_file is None and "tolerance" in typed.hold:
            raise UserError(
                f"hold.tolerance={values['tolerance']}: nothing is held; hold.cost=params "
                "hold.solve=KEY holds it"
            )
        return None
    for part, example in (("cost", "params"), ("solve", "model.width_per_group")):
        if values[part] is None:
            raise UserError(f"hold.{part}: a value is required, such as hold.{part}={example}")
    return Hold(**values)


# A grid -----------------------------------------------------------------------------------------


def _grid(base: Composed, typed: Typed) -> _Outline:
    if base.cfg.arms is not None or base.cfg.scale != "small":
        key = "arms" if base.cfg.arms is not None else "scale"
        raise UserError(f"{key}={base.cfg[key]}: only an ablation has any: ablation=NAME")
    hold = _hold(base, None, typed)
    found = combinations([*typed.flags, *typed.settings])
    varied = typed.varied
    if hold and hold.solve in words_set(typed.settings):
        raise UserError(f"{hold.solve}: solved for each run (hold.solve), so it cannot be typed")
    arms = dict(zip(arm_names(found, varied), found, strict=True))
    seeds = [int(base.cfg.seed)] if typed.seeds is None else typed.seeds
    # What is held is what the first of the groups has where all other keys are as it has them.
    settings = [key for key in varied if not typed.is_group(key.lstrip("+"))]
    held = [word for word in found[0] if word.partition("=")[0] not in settings]
    name = base.cfg.name or f"multirun-{_hex(found, hold)}"
    return _Outline(name, arms, {}, seeds, held, None, hold, None)


def _hex(arms: list[list[str]], hold: Hold | None) -> str:
    """Of what is run, whatever the seeds: a command with more seeds goes on in the same folder."""
    words = [[w for w in arm if not is_outside(w.partition("=")[0].lstrip("+~"))] for arm in arms]
    return digest(json.dumps([sorted(map(sorted, words)), str(hold)]))


# Both -------------------------------------------------------------------------------------------


def refuse_folder(name: str) -> None:
    """Refuse a name that is none for a folder in `runs`."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
        raise UserError(f"name={name}: names a folder here: letters, digits and . _ + - only")


def _refuse_other_experiment(outline: _Outline, folder: Path) -> None:
    """Two in one folder would count with one of the two claims."""
    one = outline.ablation
    mine, there = an_ablation(one.name, one.scale) if one else A_GRID, holds(folder)
    if there not in ("", mine):
        raise UserError(
            f"name={outline.name}: {folder} holds {there}; give the multirun another name"
        )


def _refuse_latency_beside(outline: _Outline, command: Any) -> None:
    """The knob is solved with one run's threads; jobs side by side have fewer, and time nothing."""
    if outline.hold and outline.hold.cost == "latency" and command.jobs > 1 and not command.slurm:
        raise UserError(
            f"jobs={command.jobs}: hold.cost=latency is measured one run at a time; jobs=1"
        )


def _checked(name: str, words: list[str], outline: _Outline) -> Composed:
    try:
        composed = compose([*words, f"seed={outline.seeds[0]}"])
        check(composed)
        weights = composed.cfg.model.weights
        if weights not in (None, "timm") and not Path(weights).exists():
            raise UserError(f"model.weights={weights}: no such file or run")
        if outline.ablation and (
            fault := metric_fault(to_plain(composed.cfg), outline.ablation.metric)
        ):
            raise UserError(f"ablation.metric={outline.ablation.metric}: {fault}")
    except UserError as error:
        if outline.ablation is None:
            raise
        lines = str(error).splitlines()
        raise UserError("\n".join(f"arm {name}: {line}" for line in lines)) from error
    return composed


def _check_points(outline: _Outline) -> None:
    """A value that cannot be tuned is found in one arm, before the nets of all are counted."""
    if outline.ablation and outline.ablation.tune:
        name, words = next(iter(outline.arms.items()))
        for point in points(outline.ablation.tune):
            _checked(name, [*words, *words_of(point)], outline)


def _tuning(arms: list[Arm], outline: _Outline, folder: Path, costs: "Costs") -> Tuning | None:
    assert outline.ablation is not None
    return tuning(
        outline.ablation,
        arms,
        outline.name,
        folder,
        outline.seeds,
        outline.hold is not None,
        lambda name, words: _checked(name, words, outline),
        lambda composed: _cost(composed, costs),
    )


def _solved(
    valid: dict[str, Composed], outline: _Outline, costs: "Costs", command: Any
) -> list[Arm]:
    """The arms, counted; with the knob that holds the cost, composed and checked once more."""
    from cnnlab.ablation.hold import Solved, hold

    # A latency is never measured twice alike: a repeat must not become another experiment.
    earlier: list[Solved] = []
    if outline.hold and outline.hold.cost == "latency" and command.stale != "rerun":
        jobs = earlier_jobs(Path(command.runs) / outline.name)
        earlier = [Solved(**job["solved"]) for job in jobs if job.get("solved")]
    found = []
    for name, words in outline.arms.items():
        composed, solved, wanted = valid[name], None, outline.hold
        if wanted and name != outline.baseline:
            solved = hold(name, words, outline.held, costs, earlier, **vars(wanted))
            words = [*words, solved.word]
            composed = _checked(name, words, outline)
        found.append(Arm(name, words, composed, _cost(composed, costs), solved))
    return found


def _cost(composed: Composed, costs: "Costs") -> dict[str, float]:
    from cnnlab.complexity.table import cost_keys

    counted = cost_keys(costs.of(composed.cfg))
    return {key: value for key, value in counted.items() if value is not None}


def _described(outline: _Outline, arms: list[Arm]) -> dict[str, Any] | None:
    """The ablation as the launcher writes it, with the arms that are run and what was solved."""
    if outline.ablation is None:
        return None
    plain = outline.ablation.to_plain()
    plain["seeds"] = outline.seeds
    plain["hold"] = None if outline.hold is None else vars(outline.hold)
    plain["solved"] = {arm.name: vars(arm.solved) for arm in arms if arm.solved}
    return plain
