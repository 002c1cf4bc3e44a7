"""The judge of stability in training: loss spikes and divergences over learning rates."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scipy import special

from reports.claims.claim import Effect, Finding, Judge, NotTestedError
from reports.claims.evidence import Arm, State, is_below, of_arm, verdict_of
from results.language import RateRun
from results.record import Record, Status
from results.statistics import LEVEL, Interval

TASK: Final = "c4/stability"
APART: Final = 10
"""Steps between two spikes that count as two events: within one disturbance losses are high for
several steps, which are no independent samples."""
FEWER: Final = 0.9
"""A rate of events that is surely above this times the other is no fewer worth the name."""

TELLING: Final[tuple[Status, ...]] = ("completed", "diverged")

FEWER_SPIKES: Final = (
    "Events of training runs with equal seeds and learning rates: a loss spike, by the rule in the"
    f" records, or a divergence; those less than {APART} steps apart are one. The ratio of rates a"
    " step is tested exactly, as a share of all events (binomial, Clopper and Pearson's 95 %"
    " interval). Reproduced if the interval lies below 1, else not reproduced if it lies above"
    f" {FEWER:g}, in either case also with any one pair of runs left out, so that no single run"
    " decides; else inconclusive, as it is without events."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Events of two runs that differ in the method alone, and the steps that they made."""

    ours: int
    theirs: int
    our_steps: int
    their_steps: int


def fewer_spikes(ours: Arm, theirs: Arm) -> Judge:
    """The rule `FEWER_SPIKES`."""

    def judge(records: Sequence[Record]) -> Finding:
        found = (of_arm(records, TASK, arm, statuses=TELLING) for arm in (ours, theirs))
        counts = _counts(*map(_runs, found))
        if not counts:
            raise NotTestedError(f"{ours} and {theirs} share no seed and learning rate on {TASK}.")
        ratio = rate_ratio(counts)
        left_out = [counts[:i] + counts[i + 1 :] for i in range(len(counts))]
        states = {_state(some) for some in (counts, *left_out)}
        (state,) = states if len(states) == 1 else (None,)
        events = sum(c.ours for c in counts), sum(c.theirs for c in counts)
        effects = () if ratio is None else (Effect(what="events, times", interval=ratio),)
        note = (
            f"{events[0]} events of {ours} in {sum(c.our_steps for c in counts)} steps, {events[1]}"
            f" of {theirs} in {sum(c.their_steps for c in counts)}; {len(counts)} pairs of runs."
        )
        return Finding(verdict=verdict_of([state]), effects=effects, note=note)

    return judge


def num_events(run: RateRun) -> int:
    """Disturbances of one run."""
    ends = [] if run.diverged_at is None else [run.diverged_at]
    count, last = 0, -math.inf
    for step in sorted({*run.spikes, *ends}):
        count += step - last >= APART
        last = step
    return count


def rate_ratio(counts: Sequence[Count]) -> Interval | None:
    """Ours over theirs; None without events.

    Given their sum, Poisson counts of equal rates are binomial with the share of the steps
    (Przyborowski and Wilenski 1940).
    """
    ours, theirs = sum(c.ours for c in counts), sum(c.theirs for c in counts)
    exposure = sum(c.their_steps for c in counts) / max(1, sum(c.our_steps for c in counts))
    if ours + theirs == 0 or exposure == 0:
        return None
    tail = (1 - LEVEL) / 2
    low = float(special.betaincinv(ours, theirs + 1, tail)) if ours else 0.0
    high = float(special.betaincinv(ours + 1, theirs, 1 - tail)) if theirs else 1.0
    mean = ours / (ours + theirs)
    found = [math.inf if x == 1 else x / (1 - x) * exposure for x in (mean, low, high)]
    return Interval(mean=found[0], low=found[1], high=found[2])


def _state(counts: Sequence[Count]) -> State:
    ratio = rate_ratio(counts)
    return None if ratio is None else is_below(ratio, 1.0, fails_above=FEWER)


def _runs(records: Iterable[Record]) -> dict[tuple[int, float], RateRun]:
    return {
        (record.identity.seed, run.learning_rate): run
        for record in records
        if record.language is not None
        for run in record.language.runs
    }


def _counts(
    ours: dict[tuple[int, float], RateRun], theirs: dict[tuple[int, float], RateRun]
) -> list[Count]:
    return [
        Count(
            ours=num_events(ours[key]),
            theirs=num_events(theirs[key]),
            our_steps=len(ours[key].losses),
            their_steps=len(theirs[key].losses),
        )
        for key in sorted(ours.keys() & theirs.keys())
    ]
