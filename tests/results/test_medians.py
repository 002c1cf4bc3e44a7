"""Medians and ratios of timings have intervals that keep their level, whatever the distribution."""

import numpy as np
import pytest

from results.medians import FEWEST, median, quotient, ratio
from results.statistics import Interval

DRAWS = 2000


def share_covered(n: int, level: float = 0.95) -> float:
    """How often the interval of n exponential samples holds the true median, ln 2."""
    draws = np.random.default_rng(0).exponential(size=(DRAWS, n))
    found = [median(row.tolist(), level) for row in draws]
    return sum(i.low <= np.log(2) <= i.high for i in found) / DRAWS


@pytest.mark.parametrize("n", [6, 7, 20, 33, 200])
def test_the_interval_holds_the_median_as_often_as_it_says(n):
    assert share_covered(n) >= 0.95 - 0.015


def test_the_interval_is_no_wider_than_the_level_needs():
    # Of 20 samples the 6th from either end covers with 95.86 %, the 7th with 88.5 %.
    interval = median([float(i) for i in range(1, 21)])
    assert (interval.low, interval.mean, interval.high) == (6.0, 10.5, 15.0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_too_few_samples_have_their_range_and_no_known_interval(n):
    interval = median([float(i) for i in range(n)])
    assert not interval.known
    assert (interval.low, interval.high) == (0.0, n - 1.0)


def test_six_samples_are_the_fewest_with_an_interval():
    assert median([1.0] * FEWEST).known
    assert not median([1.0] * (FEWEST - 1)).known


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        median([])


def test_a_ratio_of_samples_taken_in_turn_does_not_feel_a_machine_that_slows_down():
    drift = np.linspace(1, 10, 30)
    interval = ratio((3 * drift).tolist(), drift.tolist())
    assert interval.low == pytest.approx(3)
    assert interval.high == pytest.approx(3)


def test_a_sample_without_its_partner_is_refused():
    with pytest.raises(ValueError, match="3 samples cannot be paired with 4"):
        ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0, 4.0])


def test_a_quotient_of_estimates_is_inverse_when_they_change_places():
    a = Interval(mean=3.0, low=2.5, high=3.6)
    b = Interval(mean=2.0, low=1.9, high=2.2)
    there, back = quotient(a, b), quotient(b, a)
    assert there.mean == pytest.approx(1 / back.mean)
    assert there.low == pytest.approx(1 / back.high)
    assert there.low < 1.5 < there.high


def test_a_quotient_is_wider_than_either_of_its_parts():
    a = Interval(mean=1.0, low=0.9, high=1.1)
    sure = Interval(mean=1.0, low=1.0, high=1.0)
    alone, both = quotient(a, sure), quotient(a, a)
    assert alone.high == pytest.approx(1.1)
    assert both.high > alone.high
