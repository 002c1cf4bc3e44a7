"""The judge of linear cost, from records of the cost task."""

import math
from collections.abc import Sequence
from typing import Final

from reports.claims.claim import Effect, Finding, Judge, NotTestedError
from reports.claims.evidence import Arm, State, is_above, is_below, of_arm, verdict_of
from results.curve import CostCell, Mode
from results.medians import median, quotient
from results.record import Record
from results.statistics import Interval

TASK: Final = "cost"
MODES: Final[tuple[Mode, ...]] = ("forward", "training")
LINEAR: Final = 1.15
"""An exponent of length below this is linear growth with room for what does not grow at all."""
SUPERLINEAR: Final = 1.5
"""Exact attention must grow faster than this over the same lengths, else they are too short."""
SPAN: Final = 4
"""The exponent is taken between the longest length and one this many times shorter, or more."""

LINEAR_COST: Final = (
    f"The exponent of length, from the longest length and the one {SPAN} times shorter, of causal"
    " attention, forward and in training. Reproduced if DARKFormer's is below"
    f" {LINEAR:g} for time (its whole 95 % interval, order statistics of the samples) and for"
    " memory (allocated bytes, which are counted), and written-out softmax's above"
    f" {SUPERLINEAR:g} for time; not reproduced if one of DARKFormer's is above {LINEAR:g}."
)


def linear_cost(ours: Arm, exact: Arm) -> Judge:
    """The rule `LINEAR_COST`."""

    def judge(records: Sequence[Record]) -> Finding:
        mine, theirs = (of_arm(records, TASK, arm)[0] for arm in (ours, exact))
        effects: list[Effect] = []
        states: list[State] = []
        for mode in MODES:
            first, last = ends(mine, mode)
            time, memory = time_exponent(first, last), memory_exponent(first, last)
            contrast = time_exponent(*ends(theirs, mode))
            states += [is_below(time, LINEAR), None if memory is None else memory < LINEAR]
            # Where exact attention does not grow faster, the lengths show nothing.
            states.append(is_above(contrast, SUPERLINEAR) or None)
            effects += [
                Effect(what=f"{mode}: time of {ours} by length to the power", interval=time),
                Effect(what=f"of {exact}", interval=contrast),
            ]
            if memory is not None:
                at = Interval(mean=memory, low=memory, high=memory, known=False)
                effects.append(Effect(what=f"memory of {ours}", interval=at))
        longest = [ends(record, MODES[0])[1].length for record in (mine, theirs)]
        note = f"Up to {longest[0]} tokens of {ours} and {longest[1]} of {exact}, forward."
        return Finding(verdict=verdict_of(states), effects=tuple(effects), note=note)

    return judge


def ends(record: Record, mode: Mode) -> tuple[CostCell, CostCell]:
    """The longest cell measured, and the longest of those `SPAN` times shorter or more."""
    cells = sorted(
        (
            cell
            for cell in (record.curve.cells if record.curve else ())
            if cell.mode == mode and cell.causal and cell.status == "completed" and cell.seconds
        ),
        key=lambda cell: cell.length,
    )
    shorter = [cell for cell in cells if cell.length * SPAN <= cells[-1].length]
    if not shorter:
        raise NotTestedError(
            f"{record.identity.method} has no two lengths, one {SPAN} times the other, in mode"
            f" {mode}."
        )
    return shorter[-1], cells[-1]


def time_exponent(first: CostCell, last: CostCell) -> Interval:
    """Of the medians of the samples."""
    ratio = quotient(median(last.seconds), median(first.seconds))
    doublings = math.log(last.length / first.length)
    mean, low, high = (math.log(x) / doublings for x in (ratio.mean, ratio.low, ratio.high))
    return Interval(mean=mean, low=low, high=high, known=ratio.known)


def memory_exponent(first: CostCell, last: CostCell) -> float | None:
    """Of allocated bytes, or else of the peak; None where neither was measured."""
    for name in ("allocated_bytes", "peak_bytes"):
        low, high = getattr(first, name), getattr(last, name)
        if low and high:
            return math.log(high / low) / math.log(last.length / first.length)
    return None
