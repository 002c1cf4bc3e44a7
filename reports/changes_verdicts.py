"""Which changes are more than noise: tests over each kind, and the spread between runs."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from reports.change import BETWEEN_RUNS, ENOUGH, LEAST, NOTHING_MEASURED, Change, Found, Runs
from results.ratios import Ratio, between_runs, ratio_of_runs, ratio_of_samples
from results.statistics import LEVEL, Interval, holm


def with_verdicts(found: Found) -> list[Change]:
    """All changes, those that are tested judged together."""
    return _adjusted([*found.done, *_judged(found.waiting)])


def _judged(waiting: Sequence[Runs]) -> Iterator[Change]:
    """Times and memory, by the spread between runs where the records show one."""
    groups: dict[str, list[Sequence[float]]] = defaultdict(list)
    for runs in waiting:
        groups[runs.group] += [runs.old, runs.new]
    spreads = {name: between_runs(members) for name, members in groups.items()}
    for runs in waiting:
        spread = spreads[runs.group]
        old, new = runs.shown or (_middle(runs.old), _middle(runs.new))
        change = replace(runs.change, old=old, new=new)
        if [*runs.old] == [*runs.new] and [*runs.old_samples] == [*runs.new_samples]:
            yield replace(change, verdict="same")
        elif not (old and new):
            yield replace(change, verdict="not compared", reason=NOTHING_MEASURED)
        elif spread is not None and spread.freedom >= ENOUGH:
            yield _with(change, ratio_of_runs(runs.new, runs.old, spread))
        elif runs.old_samples and runs.new_samples:
            yield _with(change, ratio_of_samples(runs.new_samples, runs.old_samples))
        else:
            ratio = _middle(runs.new) / _middle(runs.old)
            interval = Interval(mean=ratio, low=ratio, high=ratio, known=False)
            yield _with(change, Ratio(interval=interval, p_value=None, test="none: one run each"))


def _middle(values: Sequence[float]) -> float:
    """The geometric mean; 0 where one of them is, as memory can be that the trial took before."""
    if not all(values):
        return 0.0
    return math.exp(statistics.fmean(map(math.log, values)))


def _with(change: Change, ratio: Ratio) -> Change:
    return replace(
        change,
        change=ratio.interval,
        times_worse=ratio.interval.mean,
        p_value=ratio.p_value,
        test=ratio.test,
    )


def _adjusted(found: Sequence[Change]) -> list[Change]:
    """Holm over each kind, and the verdict on what was measured."""
    adjusted: dict[int, float] = {}
    for kind in ("score", "time", "memory"):
        mine = [i for i, c in enumerate(found) if c.kind == kind and c.p_value is not None]
        p_values = [found[i].p_value or 0.0 for i in mine]
        adjusted.update(zip(mine, holm(p_values), strict=True))
    return [_verdict(replace(c, p_value=adjusted.get(i))) for i, c in enumerate(found)]


def _verdict(change: Change) -> Change:
    """Noise, unless the test says otherwise; one run each must differ by more than `LEAST`."""
    if change.verdict != "noise" or change.kind not in ("score", "time", "memory"):
        return change
    clear = change.p_value is not None and change.p_value <= 1 - LEVEL
    if change.kind != "score" and change.test != BETWEEN_RUNS and change.change is not None:
        interval = change.change
        beyond = interval.low > LEAST or interval.high < 1 / LEAST
        clear = beyond and (clear or change.p_value is None)
    if not clear:
        return change
    return replace(change, verdict="worse" if change.times_worse > 1 else "better")
