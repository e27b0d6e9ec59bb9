"""A knob solved so that an arm costs what the baseline costs."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnlab.ablation import solver
from cnnlab.ablation.costs import Costs, Quantity
from cnnlab.ablation.definition import words_set
from cnnlab.ablation.latency import PAIRS, Beside
from cnnlab.ablation.solver import InvalidValue, NoSolutionError, Point
from cnnlab.config import keys, ranges, to_plain
from cnnlab.errors import UserError
from cnnlab.tracking.identity import identity

if TYPE_CHECKING:
    from omegaconf import DictConfig

FRACTION = 0.01
"""Step of a knob that is no whole number: a width multiplier."""
NOISE = 0.05
"""Two latencies that differ by less do not say whether the knob makes the net slower."""


@dataclass(frozen=True)
class Solved:
    """An arm's free knob.

    Attributes:
        key: the knob.
        value: solved; a whole number where the config has one.
        cost: of the arm with it: parameters, MACs, activations, or milliseconds.
        target: the baseline's.
        deviation: cost / target - 1.
        holds: what is held.
        of: equal where the same was asked: arm, baseline, cost, knob and tolerance.
    """

    key: str
    value: int | float
    cost: float
    target: float
    deviation: float
    holds: Quantity
    of: str

    @property
    def word(self) -> str:
        """The override that sets it."""
        return f"{self.key}={self.value}"


def hold(
    arm: str,
    words: list[str],
    baseline: list[str],
    costs: Costs,
    earlier: Sequence[Solved],
    *,
    cost: Quantity,
    solve: str,
    tolerance: float,
) -> Solved:
    """Solve the knob `solve` of an arm so that it costs what the baseline costs.

    The search begins at the value that the arm has by its words and config files; where that costs
    exactly as much, it stays. Others are whole numbers where its words and its files have one, else
    hundredths. All words but the knob's stay as they are.

    Latency is measured on this machine under the conditions of the run: each candidate once, in
    turn with the baseline. The one found is timed `PAIRS` times more in that way; that figure is
    the result's and has to be within the tolerance. Where neighbours differ by less than the noise,
    the same search may end at another of them next time.

    Args:
        arm: its name, for messages.
        words: of the arm, as typed after `python train.py`.
        baseline: those of the baseline arm.
        costs: of the plan; its notes say where an earlier solution was taken.
        earlier: solutions; the one of the same question is taken instead of another search.
        cost: what is held.
        solve: dotted config key of a number.
        tolerance: the largest deviation, as a share.

    Raises:
        UserError: no such key, or no number; no value is near enough, and how near two come; the
            cost does not depend on the knob; a net that cannot be built or run.
    """
    cfg, base = costs.config(words), costs.config(baseline)
    knob = _Knob(cfg, costs.config(_without(words, solve)), solve)
    asked = [identity(to_plain(cfg)), identity(to_plain(base)), cost, solve, tolerance]
    of = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    if known := next((one for one in earlier if one.of == of), None):
        costs.notes.append(f"arm {arm}: {known.word} as it was solved before; stale=rerun: anew")
        return known
    try:
        timed = Beside(costs, base) if cost == "latency" else None
        target = timed.target if timed else _counted(costs, base, cost)
    except UserError as error:
        raise UserError(f"baseline: {error}") from error

    def cost_of(count: int) -> float:
        knob.set(knob.value(count))
        try:
            return timed.ms(cfg) if timed else _counted(costs, cfg, cost)
        except _REFUSALS as error:
            raise InvalidValue(str(error).partition("\n")[0]) from error

    if not timed and knob.between:  # the search knows hundredths only
        with suppress(*_REFUSALS):
            if _counted(costs, cfg, cost) == target:
                return Solved(solve, knob.own, target, target, 0.0, cost, of)
    try:
        noise = NOISE if timed else 0.0
        found = solver.solve(cost_of, target, start=knob.start, noise=noise)
    except NoSolutionError as error:
        raise UserError(f"arm {arm}: {solve} cannot hold {cost}: {error}") from error
    best = found.best
    if timed:
        knob.set(knob.value(best.value))
        best = Point(best.value, timed.ms(cfg, PAIRS))
    deviation = best.cost / target - 1
    if abs(deviation) > tolerance:
        tried = {p.value: p for p in (found.below, found.above, best) if p}
        near = [
            f"{solve}={knob.value(count)} gives {_amount(cost, point.cost)} "
            f"({point.cost / target - 1:+.1%})"
            for count, point in sorted(tried.items())
        ]
        if found.below is None or found.above is None:
            near.append(f"no other costs {'more' if found.above is None else 'less'}")
        raise UserError(
            f"arm {arm}: hold.cost={cost} needs the baseline's {_amount(cost, target)} within "
            f"{tolerance:.2%} (hold.tolerance): {'; '.join(near)}"
        )
    return Solved(solve, knob.value(best.value), best.cost, target, deviation, cost, of)


_REFUSALS = (ValueError, RuntimeError, AssertionError, ArithmeticError, LookupError)
"""What nets and heads raise for a number that they cannot be built with; a `UserError` is one."""


def _counted(costs: Costs, cfg: "DictConfig", cost: Quantity) -> float:
    if cost == "params":
        return float(costs.params(cfg))
    return float(getattr(costs.of(cfg), cost))


def _amount(cost: Quantity, value: float) -> str:
    return f"{value:.3g} ms" if cost == "latency" else f"{value:,.0f}"


def _without(words: list[str], key: str) -> list[str]:
    return [word for word in words if key not in words_set([word])]


class _Knob:
    """A number of a config as a multiple of its step: of 1 where it is whole, else of `FRACTION`.

    Args:
        cfg: holds it; changed by `set`.
        files: as its files have it: 1, typed, may stand for 1.0.
        key: dotted.

    Attributes:
        own: its value in `cfg` to begin with.
        between: whether that is no multiple of the step.

    Raises:
        UserError: the key is not there or no number.
    """

    def __init__(self, cfg: "DictConfig", files: "DictConfig", key: str) -> None:
        plain = to_plain(cfg)
        if not keys.exists(plain, key):
            raise UserError(f"hold.solve={keys.unknown(plain, key)}")
        value = keys.get(plain, key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(
                f"hold.solve={key}: has to be a number, where the search can begin; it is {value}"
            )
        before = to_plain(files)
        kinds = [value, keys.get(before, key)] if keys.exists(before, key) else [value]
        self.cfg, self.key, self.own = cfg, key, value
        self.whole = not any(isinstance(one, float) for one in kinds)
        self.step = 1 if self.whole else FRACTION
        self.start = max(1, round(value / self.step))
        self.between = self.value(self.start) != value

    def value(self, count: int) -> int | float:
        """The knob's value of so many steps."""
        # Ten digits: no more of 29 x 0.01 = 0.29000000000000004.
        return round(count * self.step) if self.whole else round(float(count * self.step), 10)

    def set(self, value: float) -> None:
        """Write it into the config.

        Raises:
            InvalidValue: the config's own limits.
        """
        from omegaconf import OmegaConf

        OmegaConf.update(self.cfg, self.key, value)
        for fault in ranges.faults(to_plain(self.cfg)):
            if fault.startswith(f"{self.key}="):
                raise InvalidValue(fault)
