"""One point of a probe over seeds: the mean of its values, with their intervals joined."""

from collections.abc import Sequence
from dataclasses import replace

from results.probe import ProbePointRecord
from results.statistics import Interval, mean_of


def mean_of_seeds(points: Sequence[ProbePointRecord]) -> Interval:
    """Every point has a value. Taken near 1: second moments of 1e200 have no squares."""
    seeds = [_interval(point) for point in points]
    if len(seeds) == 1:
        return seeds[0]
    size = max(max(abs(each.mean), abs(each.low), abs(each.high)) for each in seeds) or 1.0
    return _times(mean_of([_times(each, 1 / size) for each in seeds]), size)


def _interval(point: ProbePointRecord) -> Interval:
    assert point.value is not None
    known = point.low is not None and point.high is not None
    low = point.low if point.low is not None else point.value
    high = point.high if point.high is not None else point.value
    return Interval(mean=point.value, low=low, high=high, known=known)


def _times(interval: Interval, factor: float) -> Interval:
    return replace(
        interval,
        mean=interval.mean * factor,
        low=interval.low * factor,
        high=interval.high * factor,
    )
