"""A comparison as a report at Weights & Biases, through their package `wandb-workspaces`.

The text is that of `--markdown`; the plots below it are drawn by W&B of the runs that it has.
"""

import importlib.util
import re
from typing import Any

from cnnlab.errors import UserError, nearest
from cnnlab.tracking.comparison import Comparison, Group
from cnnlab.tracking.grids import basis, heading
from cnnlab.tracking.markdown import markdown
from cnnlab.tracking.reading import RunData
from cnnlab.tracking.wandb_access import first_line, unusable
from cnnlab.tracking.wandb_parts import LIGHTNING_STEP

OPTION = "--wandb-report"
_LONGEST_TITLE = 128
"""W&B takes no more characters."""
_WIDTH, _HEIGHT, _IN_A_ROW = 12, 8, 2
"""Of a plot, in W&B's units: its grid is 24 wide."""
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")


def ready(where: str) -> None:
    """Whether a report can be written to `where`, asked before runs are read or waited for.

    Raises:
        UserError: not ENTITY/PROJECT; the package is missing; not logged in; no answer.
    """
    _split(where)
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError(f"{OPTION}: needs W&B's wandb-workspaces: pip install -e '.[wandb-report]'")
    problem = unusable()
    if problem is not None:
        raise UserError(f"{OPTION} {where}: {problem}; --html FILE needs no network")


def write_wandb_report(comparison: Comparison, where: str) -> str:
    """Write a new report into the project `where`, ENTITY/PROJECT; returns its address.

    Raises:
        UserError: no such project, or whatever else W&B says against it.
    """
    import wandb

    entity, project = _split(where)
    try:
        there = [known.name for known in wandb.Api().projects(entity)]
        if project in there:
            return _save(comparison, entity, project)
    except Exception as error:  # W&B raises whatever its parts do
        raise UserError(f"{OPTION} {where}: W&B does not take it ({first_line(error)})") from error
    # Their package would make one, of a misspelt name, too.
    raise UserError(f"{OPTION} {where}: {entity} has no such project{nearest(project, there)}")


def _save(comparison: Comparison, entity: str, project: str) -> str:
    from wandb_workspaces.reports import v2 as blocks

    report = blocks.Report(
        entity=entity,
        project=project,
        title=heading(comparison)[:_LONGEST_TITLE],
        description=basis(comparison),
        blocks=_blocks(blocks, comparison, entity, project),
        width="fluid",
    )
    report.save()
    # `report.url` keeps a title's slashes, and so leads elsewhere.
    home, _, _ = report.url.partition("/reports/")
    return f"{home}/reports/{_NO_WORD.sub('-', report.title).strip('-')}--{report.id}"


def _blocks(blocks: Any, comparison: Comparison, entity: str, project: str) -> list[Any]:
    """`blocks`: the package's module."""
    made = [blocks.MarkdownBlock(text=markdown(comparison))]
    shown = [(group, _ids(group, entity, project)) for group in comparison.groups]
    known = sum(len(ids) for _, ids in shown)
    if not known:
        return [*made, blocks.P(text=f"No plots: no run was mirrored to {entity}/{project}.")]
    sets = [
        blocks.Runset(
            entity=entity, project=project, name=group.name, filters=f"Metric('ID') in {ids!r}"
        )
        for group, ids in shown
        if ids
    ]
    text = (
        f"{known} of {comparison.meta.used} runs were mirrored to W&B, as far as is known into "
        f"{entity}/{project}; one that ran offline is plotted once it is uploaded (wandb sync). "
        "A line is the mean of a group, its band goes from the least to the greatest run."
    )
    return [
        *made,
        blocks.H2(text="Plots"),
        blocks.P(text=text),
        blocks.PanelGrid(runsets=sets, panels=_panels(blocks, comparison)),
    ]


def _panels(blocks: Any, comparison: Comparison) -> list[Any]:
    """Bars of the metric, and a learning curve of each key that the comparison has one of."""
    # Each run set is a group: its runs are joined.
    joined = {"aggregate": True, "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    runs = [run for group in comparison.groups for run in group.runs]
    # Other programs' runs have no axis of their own that is known here.
    axis = LIGHTNING_STEP if all(run.identity for run in runs) else "Step"
    metric = comparison.metric
    panels = [
        blocks.BarPlot(
            title=metric, metrics=[blocks.SummaryMetric(metric)], layout=_at(blocks, 0), **joined
        )
    ]
    for place, key in enumerate(comparison.curves, start=1):
        layout = _at(blocks, place)
        panels.append(blocks.LinePlot(title=key, x=axis, y=[key], layout=layout, **joined))
    return panels


def _at(blocks: Any, place: int) -> Any:
    row, column = divmod(place, _IN_A_ROW)
    return blocks.Layout(x=column * _WIDTH, y=row * _HEIGHT, w=_WIDTH, h=_HEIGHT)


def _ids(group: Group, entity: str, project: str) -> list[str]:
    """W&B's ids of the group's runs; a record does not know where it was uploaded to."""
    return [
        run.wandb_id
        for run in group.runs
        if run.wandb_id is not None and not _elsewhere(run, entity, project)
    ]


def _elsewhere(run: RunData, entity: str, project: str) -> bool:
    known = run.wandb or {}
    return known.get("entity") not in (None, entity) or known.get("project") not in (None, project)


def _split(where: str) -> tuple[str, str]:
    entity, _, project = where.partition("/")
    if not entity.strip() or not project.strip() or "/" in project or ":" in where:
        raise UserError(f"{OPTION} {where}: must be ENTITY/PROJECT")
    return entity, project
