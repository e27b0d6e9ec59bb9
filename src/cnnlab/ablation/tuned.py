"""Tunes the arms of an ablation before those of its runs that count."""

from collections.abc import Mapping
from typing import Any

from cnnlab.ablation.choice import (
    FILE,
    Unsettled,
    choose,
    plain_of,
    record,
    standing,
    tuned_arm,
)
from cnnlab.ablation.launch import launch
from cnnlab.ablation.plan import Planned
from cnnlab.ablation.tuning import Tuning
from cnnlab.atomic import write_json
from cnnlab.errors import UserError


def tuned(
    planned: Planned, *, jobs: int, stale: str | None, slurm: Mapping[str, Any] | None
) -> tuple[Planned, int]:
    """Run the tuning jobs that are left, choose, and give every arm what was chosen for it.

    An arm that has a choice in tuned.json keeps it: nothing is run or chosen for it again. Tuning
    runs keep no weights.

    Returns:
        The plan with tuned arms, and 0; or the plan as it was, and the exit code that says why
        there is no choice: 1 a tuning run did not finish, 128 + the signal that stopped it.

    Raises:
        UserError: the choice that is there came from another search, or another config of an arm.
    """
    tuning, folder = planned.tuning, planned.plan.folder
    assert tuning is not None
    if stale is None:
        _refuse_other_search(planned, tuning)
    known = standing(tuning, folder, stale)
    if left := [arm for arm in tuning.candidates if arm not in known]:
        print(f"tuning    {tuning}: the same search for every arm; test is left alone", flush=True)
        _announce(planned)
        plan = tuning.only(left)
        code = launch(plan, jobs=jobs, stale=stale, keep="none", slurm=slurm)
        if code > 1:
            return planned, code
        choices, why = {}, {}
        for arm in left:
            try:
                choices[arm] = choose(tuning, arm)
            except Unsettled as error:
                why[arm] = str(error)
        for arm, reason in why.items():
            print(f"untuned   {arm}: {reason}")
        if why:  # none counts before all can be chosen: who mends the grid mends it for all
            print("stopped   no run that counts was started: repeat the command", flush=True)
            return planned, 1
        known = record(tuning, folder, choices)
    for arm in tuning.candidates:
        print(f"tuned     {arm}: {known[arm]}")
    print(f"          by {tuning.metric}; kept in {folder / FILE}", flush=True)
    arms = [tuned_arm(tuning, arm, known[arm.name]) for arm in planned.arms]
    chosen = {arm: known[arm] for arm in tuning.candidates}
    return planned.with_arms(arms, plain_of(tuning, chosen)), 0


def _announce(planned: Planned) -> None:
    """Whose tuning runs they are, so that `compare` leaves them aside while they go on, too."""
    path = planned.plan.folder / "ablation.json"
    if not path.exists():
        write_json(path, planned.plan.ablation, indent=2)


def _refuse_other_search(planned: Planned, tuning: Tuning) -> None:
    kept, holding = (standing(tuning, planned.plan.folder, stale) for stale in ("keep", None))
    if other := [arm for arm in kept if arm not in holding]:
        raise UserError(
            f"stale=null: {planned.plan.folder / FILE} was chosen by another search or config of "
            f"{', '.join(other)}; allowed: keep (the choice counts as it is), rerun (it is made "
            "again)"
        )
