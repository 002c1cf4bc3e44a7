"""Laws of the estimates for heavy tails: intervals cover, and outliers do not rule."""

import math

import pytest
import torch

from tasks.probes.heavy_tails import (
    Estimate,
    exactly,
    hill,
    largest_share,
    mean_of,
    mean_of_logs,
    median_of,
    median_of_means,
    share_of,
    slope,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("estimator", [mean_of, median_of])
@pytest.mark.parametrize("n", [8, 41])
def test_an_interval_covers_the_truth_as_often_as_it_says(estimator, n):
    found = [estimator(row) for row in normal(1000, n)]
    covered = sum(e.low <= 0 <= e.high for e in found) / 1000
    # A median's interval covers at least as much: of 8 samples, 99.2 %, by its two outermost.
    assert 0.93 < covered < 0.999


def test_a_mean_of_logarithms_does_not_overflow_on_the_way():
    logs = torch.full((10,), 700.0, dtype=torch.float64)
    assert mean_of_logs(logs).value == pytest.approx(math.exp(700.0))
    x = normal(100)
    assert mean_of_logs(x).value == pytest.approx(mean_of(x.exp()).value)


def test_one_outlier_moves_the_mean_and_not_the_median_of_means():
    x = normal(3200)
    x[17] = 1e9
    assert mean_of(x).value > 1e5
    found = median_of_means(x)
    assert abs(found.value) < 0.1
    assert found.low < found.value < found.high
    assert found.how == "median of means of 32 groups"
    with pytest.raises(ValueError, match="32 groups"):
        median_of_means(x[:31])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_the_tail_index_of_a_power_law_is_found(alpha):
    uniform = torch.rand(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = hill(-uniform.log() / alpha)
    assert found.low < alpha < found.high
    with pytest.raises(ValueError, match="more samples"):
        hill(uniform[:2])


def test_a_slope_on_logarithms_is_found_with_its_interval():
    exact = slope((4, 16, 64), [exactly(3 / m) for m in (4, 16, 64)])
    assert (exact.value, exact.low, exact.high) == pytest.approx((-1.0, -1.0, -1.0))
    wide = slope((1, 4), [Estimate(1.0, 0.9, 1.1, 5, ""), Estimate(0.25, 0.225, 0.275, 7, "")])
    assert wide.high - wide.value == pytest.approx(math.hypot(0.1, 0.1) / math.log(4))
    assert wide.samples == 12


def test_the_largest_share_tells_a_sum_that_one_term_makes():
    assert largest_share(torch.tensor([1.0, 1.0, 2.0])) == 0.5
    assert largest_share(torch.zeros(3)) == 0.0


def test_a_share_of_nothing_has_an_upper_end():
    found = share_of(0, 15, "share")
    assert found.value == found.low == 0
    assert 0.1 < found.high < 0.3
