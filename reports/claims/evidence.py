"""What judges share: finding an arm's records and points, and turning intervals into verdicts."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from scipy import special

from reports.claims.claim import NotTestedError, Verdict
from results.probe import ProbePointRecord
from results.record import Record, Scalar, Status
from results.statistics import Interval

SIGNIFICANCE: Final = 0.05
NORMAL: Final = float(special.ndtri(0.975))
"""Half of a 95 % interval in standard errors."""

State = bool | None
"""Of one condition: it holds, it fails, or the numbers do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A method with some of its options; a record with any values of the others belongs to it."""

    method: str
    options: Mapping[str, Scalar] = field(default_factory=dict)
    label: str = ""
    """What a reader calls it; empty: the method and these options."""

    def __str__(self) -> str:
        if self.label:
            return self.label
        words = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.method}:{words}" if words else self.method

    def has(self, record: Record) -> bool:
        mine = record.identity.method_options
        return record.identity.method == self.method and all(
            name in mine and mine[name] == value for name, value in self.options.items()
        )


def of_arm(
    records: Iterable[Record],
    task: str,
    arm: Arm | None = None,
    *,
    statuses: Sequence[Status] = ("completed",),
) -> list[Record]:
    """The records of an arm, or of any, with such an outcome, by seed.

    Raises NotTestedError where there are none.
    """
    tried = [
        record
        for record in records
        if record.identity.task == task and (arm is None or arm.has(record))
    ]
    done = [record for record in tried if record.status in statuses]
    if done:
        return sorted(done, key=lambda record: record.identity.seed)
    who = f"{arm} on {task}" if arm else task
    if not tried:
        raise NotTestedError(f"{who} is not on record.")
    raise NotTestedError(f"{who}: {tried[0].status}. {tried[0].reason}")


def points_of(record: Record, quantity: str, **where: Scalar) -> Iterator[ProbePointRecord]:
    """The record's points of a quantity at these coordinates."""
    for point in record.probe.points if record.probe else ():
        if point.quantity == quantity and all(
            name in point.where and point.where[name] == value for name, value in where.items()
        ):
            yield point


def is_above(interval: Interval, least: float, *, fails_below: float | None = None) -> State:
    """Holds where the whole interval is above `least`; fails where all of it is below another
    bound, by default the same."""
    if not interval.known:
        return None
    if interval.low > least:
        return True
    return False if interval.high < (least if fails_below is None else fails_below) else None


def is_below(interval: Interval, most: float, *, fails_above: float | None = None) -> State:
    """Holds where the whole interval is below `most`; fails where all of it is above another
    bound, by default the same."""
    if not interval.known:
        return None
    if interval.high < most:
        return True
    return False if interval.low > (most if fails_above is None else fails_above) else None


def verdict_of(states: Sequence[State]) -> Verdict:
    """Reproduced where every condition holds, not reproduced where one fails, else inconclusive.

    Conditions that must all hold need no correction for their number: the chance that a false
    claim is called reproduced is at most that of its false condition alone (an intersection-union
    test, Berger 1982). Whether one fails of many does, and judges see to that.
    """
    if any(state is False for state in states):
        return "not reproduced"
    return "reproduced" if states and all(states) else "inconclusive"


def minus(a: Interval, b: Interval) -> Interval:
    """The difference of independent estimates, their distances joined (Zou and Donner 2008)."""
    gap = a.mean - b.mean
    below = math.hypot(a.mean - a.low, b.high - b.mean)
    above = math.hypot(a.high - a.mean, b.mean - b.low)
    return Interval(mean=gap, low=gap - below, high=gap + above, known=a.known and b.known)


def scaled(interval: Interval, factor: float) -> Interval:
    """In another unit; the factor is positive."""
    ends = (factor * x for x in (interval.mean, interval.low, interval.high))
    mean, low, high = ends
    return Interval(mean=mean, low=low, high=high, known=interval.known)


def exponential(interval: Interval) -> Interval:
    """Of an interval of logarithms."""
    mean, low, high = (math.exp(x) for x in (interval.mean, interval.low, interval.high))
    return Interval(mean=mean, low=low, high=high, known=interval.known)


def departure(point: ProbePointRecord) -> float:
    """Standard errors between a measured number and its prediction; 0 where one is missing."""
    value, predicted, low, high = point.value, point.predicted, point.low, point.high
    if value is None or predicted is None or low is None or high is None or high <= low:
        return 0.0
    return abs(value - predicted) / (high - low) * 2 * NORMAL


def bonferroni(count: int) -> float:
    """Standard errors that one of so many right numbers is beyond with a chance of 5 % at most."""
    return float(special.ndtri(1 - SIGNIFICANCE / (2 * max(1, count))))
