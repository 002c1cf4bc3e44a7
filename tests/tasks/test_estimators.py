"""Laws of the estimators: unbiased, drawn as they say, and measured as their closed forms say."""

import math

import pytest
import torch

from tasks.probes import closed_forms as forms
from tasks.probes import estimators, second_moments
from tasks.probes.estimators import (
    draw_independent,
    draw_optimal_phases,
    draw_orthogonal,
    draw_phases,
    draw_proposed,
    estimate_proposal,
    log_abs_trigonometric_estimate,
    log_positive_estimate,
)
from tasks.probes.heavy_tails import mean_of
from tasks.probes.spectra import spectrum
from tasks.probes.theory_points import (
    ESTIMATORS,
    ISOTROPIC,
    OPTIMAL,
    case,
    curve_points,
    pair_moment_point,
    second_moment_point,
    tail_points,
)

STRICT = 4.5
"""Standard errors: some hundred comparisons with fixed seeds."""


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def z_score(point):
    return (point.value - point.predicted) / ((point.high - point.low) / 3.92)


def pair(dim):
    q, k = torch.randn(2, dim, generator=generator(3), dtype=torch.float64)
    return 0.5 * q / q.norm(), 0.5 * k / k.norm()


def assert_mean(samples, expected):
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) < STRICT * error


def test_every_draw_estimates_the_kernel_without_bias():
    dim, n = 5, 100_000
    q, k = pair(dim)
    kernel = math.exp(q @ k)
    lam = spectrum("power-law", dim, largest=0.3, condition=10.0)
    proposal = torch.diag(forms.optimal_proposal(lam))
    for draw in (
        draw_independent(n, dim, generator=generator()),
        draw_orthogonal(n, 1, dim, generator()).only(),
        draw_proposed(n, dim, covariance=proposal, generator=generator()),
    ):
        assert_mean(log_positive_estimate(q, k, draw).exp(), kernel)
    for draw in (
        draw_phases(n, dim, generator=generator()),
        draw_optimal_phases(n, dim, lam=lam, generator=generator()),
    ):
        sign = torch.cos(draw.w @ q + draw.phase) * torch.cos(draw.w @ k + draw.phase)
        estimate = log_abs_trigonometric_estimate(q, k, draw).exp() * sign.sign()
        assert_mean(estimate, kernel)
    paired = torch.exp(estimators.log_abs_paired_estimate(q, k, draw))
    assert_mean(paired * torch.cos(draw.w @ (q - k)).sign(), kernel)


@pytest.mark.parametrize(("num_features", "dim"), [(2, 5), (5, 5), (7, 5), (12, 5), (3, 2)])
def test_orthogonal_directions_are_orthogonal_in_blocks_and_normal_each(num_features, dim):
    w = draw_orthogonal(4000, num_features, dim, generator()).w
    assert w.shape == (4000, num_features, dim)
    gram = w @ w.mT
    rows = min(num_features, dim)
    inside = gram[:, :rows, :rows] - torch.diag_embed(gram.diagonal(dim1=1, dim2=2)[:, :rows])
    assert inside.abs().max() < 1e-10
    last = w[:, -1]
    assert_mean(last.square().sum(-1), float(dim))
    # Of a Gaussian coordinate the fourth moment is 3: directions without a sign of their own.
    assert_mean(last[:, 0] ** 4, 3.0)
    assert_mean(last.mean(-1), 0.0)


def test_the_sum_of_two_orthogonal_directions_has_the_length_of_twice_the_dimension():
    w = draw_orthogonal(20_000, 2, 3, generator()).w
    square = w.sum(1).square().sum(-1)
    assert_mean(square, 6.0)
    assert_mean((square - 6).square(), 12.0)


def test_an_estimated_proposal_is_the_optimal_one_of_what_it_is_given():
    lam = spectrum("spiked", 4, largest=0.4, condition=8.0)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator(), dtype=lam.dtype)).Q
    found = estimate_proposal(turn @ torch.diag(lam) @ turn.mT)
    expected = turn @ torch.diag(forms.optimal_proposal(lam)) @ turn.mT
    torch.testing.assert_close(found, expected)


def test_shrinkage_goes_from_the_estimate_to_a_multiple_of_the_identity():
    moment = torch.diag(torch.tensor([0.3, 0.1], dtype=torch.float64))
    torch.testing.assert_close(
        estimate_proposal(moment, shrinkage=1.0), 1.4 / 0.6 * torch.eye(2, dtype=torch.float64)
    )
    half = estimate_proposal(moment, shrinkage=0.5)
    torch.testing.assert_close(half.diagonal(), torch.tensor([1.5 / 0.5, 1.3 / 0.7]).double())
    with pytest.raises(ValueError, match="between 0 and 1"):
        estimate_proposal(moment, shrinkage=1.5)


def test_an_estimate_past_the_pole_still_gives_a_proposal():
    past = torch.diag(torch.tensor([0.9, 0.1], dtype=torch.float64))
    assert torch.linalg.eigvalsh(estimate_proposal(past)).max().item() == pytest.approx(19.0)


SPECTRA = [("flat", 1.0), ("power-law", 100.0), ("spiked", 1e5)]
SCALES = [0.05, 0.16, 0.2, 0.3, 0.45]


@pytest.mark.parametrize(("name", "condition"), SPECTRA)
@pytest.mark.parametrize("largest", SCALES)
def test_measured_second_moments_are_the_predicted_ones(name, condition, largest):
    found = case(name, 7, largest, condition)
    draw = generator(1)
    for estimator in ESTIMATORS:
        if estimator.orthogonal:
            point = pair_moment_point(found, 8000, draw)
        else:
            point = second_moment_point(estimator, found, 8000, draw)
        if largest >= estimator.pole and not estimator.orthogonal:
            assert point.value is None
            assert f"lambda_max {largest} >= 1/6" in point.reason
        else:
            assert abs(z_score(point)) < STRICT


def test_joint_sampling_agrees_with_plain_sampling_where_plain_sampling_works():
    lam = spectrum("power-law", 4, largest=0.03, condition=10.0)
    q, k = torch.randn(2, 400_000, 4, generator=generator(), dtype=lam.dtype) * lam.sqrt()
    draw = draw_independent(400_000, 4, generator=generator(1))
    plain = mean_of((2 * log_positive_estimate(q, k, draw)).exp())
    unit = torch.eye(4, dtype=lam.dtype)
    joint = second_moments.positive_second_moment(lam, unit, 20_000, generator(2))
    error = math.hypot(plain.high - plain.low, joint.high - joint.low) / 3.92
    assert abs(plain.value - joint.value) < STRICT * error


def test_the_exact_error_given_directions_is_the_mean_over_many_pairs():
    lam = spectrum("spiked", 3, largest=0.08, condition=4.0)
    q, k = torch.randn(2, 20_000, 3, generator=generator(5), dtype=lam.dtype) * lam.sqrt()
    kernel = (q * k).sum(-1).exp()
    best = torch.diag(forms.optimal_proposal(lam))
    positive = draw_proposed(1, 130, 3, covariance=best, generator=generator(1))
    phases = draw_optimal_phases(1, 130, 3, lam=lam, generator=generator(2))
    log_z = [log_positive_estimate(q, k, draw) for draw in _each(positive)]
    expected = (torch.stack(log_z).exp().mean(0) - kernel).square()
    assert_mean(expected, second_moments.positive_error_given(positive, lam)[0])
    total = torch.zeros_like(kernel)
    for draw in _each(phases):
        sign = torch.cos(q @ draw.w + draw.phase) * torch.cos(k @ draw.w + draw.phase)
        total += log_abs_trigonometric_estimate(q, k, draw).exp() * sign.sign()
    expected = (total / 130 - kernel).square()
    assert_mean(expected, second_moments.trigonometric_error_given(phases, lam)[0])


def _each(draw):
    for i in range(draw.w.shape[1]):
        phase = None if draw.phase is None else draw.phase[0, i]
        yield estimators.Draw(draw.w[0, i], draw.log_weight[0, i], phase)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: e.name)
def test_variance_against_features_has_the_slope_that_theory_gives(estimator):
    found = case("power-law", 6, 0.05, 10.0)
    *points, last = curve_points(estimator, found, (3, 12, 48), lambda m: 600, generator(4))
    assert [p.where["num_features"] for p in points] == [3, 12, 48]
    assert all(abs(z_score(p)) < STRICT for p in points)
    assert last.quantity == "slope"
    assert abs(z_score(last)) < STRICT
    if not estimator.orthogonal:
        assert last.predicted == pytest.approx(-1.0)


def test_a_variance_without_standard_error_is_not_measured_by_a_mean():
    (point,) = curve_points(
        ISOTROPIC, case("spiked", 4, 0.15, 10.0), (4,), lambda m: 8, generator()
    )
    assert point.value is None
    assert "tail index" in point.reason


def test_past_the_pole_logarithms_and_tails_are_measured():
    points = {
        p.quantity: p
        for p in tail_points(ISOTROPIC, case("spiked", 4, 0.3, 100.0), 200_000, generator())
    }
    assert points["typical-second-moment"].how == "median of means of 32 groups"
    assert points["typical-second-moment"].predicted is None
    for quantity in ("mean-log-error", "variance-log-error"):
        assert abs(z_score(points[quantity])) < STRICT
    assert points["tail-index"].predicted < 1
    assert points["tail-index"].value == pytest.approx(points["tail-index"].predicted, rel=0.25)
    below = {
        p.quantity for p in tail_points(OPTIMAL, case("spiked", 4, 0.3, 100.0), 4000, generator())
    }
    assert "typical-second-moment" not in below
    (point,) = tail_points(OPTIMAL, case("spiked", 4, 0.6, 100.0), 4000, generator())
    assert "no optimal proposal exists: lambda_max 0.6 >= 1/2, along 1 e0" in point.reason
