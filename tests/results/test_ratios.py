"""Ratios between two groups of runs: intervals that cover, and spreads that are found again."""

import math

import numpy as np
import pytest

from results.ratios import between_runs, ratio_of_runs, ratio_of_samples


def test_the_spread_between_runs_is_pooled_over_groups():
    a, b = [1.0, math.e], [5.0, 5.0, 5.0]
    spread = between_runs([a, b, [7.0]])
    assert spread is not None
    assert spread.freedom == 3
    assert spread.deviation == pytest.approx(math.sqrt(0.5 / 3))


def test_without_two_runs_of_any_trial_there_is_no_spread():
    assert between_runs([[1.0], [2.0], []]) is None


def test_the_interval_of_a_ratio_of_runs_covers_the_truth():
    generator = np.random.default_rng(0)
    covered = significant = 0
    for _ in range(2000):
        groups = np.exp(generator.normal(0, 0.1, (6, 2)))
        spread = between_runs([list(group) for group in groups])
        assert spread is not None
        found = ratio_of_runs(list(1.2 * groups[0]), list(groups[1]), spread)
        covered += found.interval.low <= 1.2 <= found.interval.high
        null = ratio_of_runs(list(groups[2]), list(groups[3]), spread)
        significant += (null.p_value or 0.0) <= 0.05
    assert 0.935 < covered / 2000 < 0.965
    assert 0.035 < significant / 2000 < 0.065


def test_a_ratio_of_samples_is_that_of_their_medians():
    old = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98]
    found = ratio_of_samples([2 * x for x in old], old)
    assert found.interval.mean == pytest.approx(2.0)
    assert 1 < found.interval.low < 2 < found.interval.high
    assert found.p_value == pytest.approx(2 / math.comb(14, 7))


def test_the_ratio_turned_round_is_its_inverse():
    spread = between_runs([[1.0, 1.1], [2.0, 2.2], [3.0, 3.1]])
    assert spread is not None
    there = ratio_of_runs([2.0, 2.2], [1.0, 1.1], spread)
    back = ratio_of_runs([1.0, 1.1], [2.0, 2.2], spread)
    assert there.interval.mean * back.interval.mean == pytest.approx(1.0)
    assert there.interval.low * back.interval.high == pytest.approx(1.0)
    assert there.p_value == back.p_value


@pytest.mark.parametrize("runs", [[], [0.0], [-1.0]])
def test_runs_that_are_not_positive_are_refused(runs):
    spread = between_runs([[1.0, 2.0]])
    assert spread is not None
    with pytest.raises(ValueError, match="positive"):
        ratio_of_runs(runs, [1.0], spread)
