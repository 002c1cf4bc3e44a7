"""Laws of the closed forms: equal to quadrature, with their poles where they are said to be."""

import math

import numpy as np
import pytest
import torch

from tasks.probes import closed_forms as forms
from tasks.probes.spectra import spectrum

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def quadrature(integrand, *variances):
    """E[integrand(x, y, ...)] of independent centred Gaussian numbers."""
    axes = np.meshgrid(*[NODES * math.sqrt(v) for v in variances], indexing="ij")
    weight = 1.0
    for axis in np.meshgrid(*[WEIGHTS] * len(variances), indexing="ij"):
        weight = weight * axis
    return float((integrand(*axes) * weight).sum())


def one(value):
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize("lam", [0.01, 0.03, 0.06])
def test_second_moments_in_one_dimension_equal_quadrature(lam):
    def positive(q, k, w):
        return np.exp(2 * w * (q + k) - q * q - k * k)

    def random_phase(q, k, w):
        # The mean over a uniform phase is taken by hand.
        turns = 0.5 * np.cos(w * (q + k)) ** 2 + 0.5 * np.sin(w * (q + k)) ** 2
        return (np.cos(w * (q - k)) ** 2 + turns) * np.exp(q * q + k * k)

    def paired(q, k, w):
        return np.cos(w * (q - k)) ** 2 * np.exp(q * q + k * k)

    for form, integrand in (
        (forms.log_positive, positive),
        (forms.log_trigonometric, random_phase),
        (forms.log_paired, paired),
    ):
        assert math.exp(form(one(lam))) == pytest.approx(
            quadrature(integrand, lam, lam, 1.0), rel=1e-6
        )
    kernel = quadrature(lambda q, k: np.exp(2 * q * k), lam, lam)
    assert math.exp(forms.log_squared_kernel(one(lam))) == pytest.approx(kernel, rel=1e-9)
    bound = quadrature(lambda x: np.exp(x * x), lam) ** 2
    assert math.exp(forms.log_bound(one(lam))) == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize("proposal", [0.8, 1.0, 1.5, 3.0])
def test_a_weighted_second_moment_equals_quadrature(proposal):
    lam = 0.05

    def weighted(q, k, w):
        log_ratio = (math.log(proposal) + w * w / proposal - w * w) / 2
        return np.exp(2 * log_ratio + 2 * w * (q + k) - q * q - k * k)

    found = math.exp(forms.log_weighted(one(lam), one(proposal)[None]))
    assert found == pytest.approx(quadrature(weighted, lam, lam, proposal), rel=1e-5)


def test_isotropic_and_optimal_directions_are_special_cases_of_weighted_ones():
    lam = spectrum("power-law", 7, largest=0.15, condition=30.0)
    unit, best = torch.eye(7, dtype=lam.dtype), torch.diag(forms.optimal_proposal(lam))
    assert forms.log_weighted(lam, unit) == pytest.approx(forms.log_positive(lam), rel=1e-9)
    assert forms.log_weighted(lam, best) == pytest.approx(forms.log_bound(lam), rel=1e-9)


def test_no_proposal_is_better_than_the_optimal_one():
    lam = spectrum("spiked", 5, largest=0.3, condition=10.0)
    best = torch.diag(forms.optimal_proposal(lam))
    generator = torch.Generator().manual_seed(0)
    for size in (0.01, 0.1, 0.3):
        change = size * torch.randn(5, 5, generator=generator, dtype=lam.dtype)
        factor = torch.eye(5, dtype=lam.dtype) + change
        assert forms.log_weighted(lam, factor @ best @ factor.mT) > forms.log_bound(lam)


def test_the_poles_stand_at_a_sixth_and_a_half():
    for form, pole in (
        (forms.log_positive, 1 / 6),
        (forms.log_bound, 1 / 2),
        (forms.log_trigonometric, 1 / 2),
        (forms.log_paired, 1 / 2),
        (forms.log_squared_kernel, 1 / 2),
    ):
        assert math.isfinite(form(one(pole - 1e-9)))
        assert math.isinf(form(one(pole)))
        assert form(one(pole - 1e-9)) > form(one(pole - 1e-2)) + 3
    with pytest.raises(ValueError, match="1/2"):
        forms.optimal_proposal(one(0.5))


def test_half_the_optimal_covariance_is_where_a_proposal_fails():
    lam = spectrum("spiked", 3, largest=0.4, condition=10.0)
    half = torch.diag(forms.optimal_proposal(lam)) / 2
    assert math.isinf(forms.log_weighted(lam, half * (1 - 1e-9)))
    assert math.isfinite(forms.log_weighted(lam, half * (1 + 1e-9)))


@pytest.mark.parametrize("dim", [1, 2, 5, 8])
def test_orthogonal_pairs_of_a_flat_spectrum_have_moment_one(dim):
    for largest in (0.05, 0.4, 3.0):
        assert forms.log_orthogonal_pair(torch.full((dim,), largest, dtype=torch.float64)) == (
            pytest.approx(0.0, abs=1e-9)
        )


def test_an_orthogonal_pair_in_two_dimensions_equals_quadrature():
    lam = torch.tensor([0.4, 0.1], dtype=torch.float64)
    angle = (np.arange(2000) + 0.5) * 2 * math.pi / 2000
    a, b = 0.4 / 1.8, 0.1 / 1.2
    # The squared length of the sum is chi-squared with four degrees of freedom.
    around = (1 - 2 * (a * np.cos(angle) ** 2 + b * np.sin(angle) ** 2)) ** -2
    expected = math.log(around.mean() / (1.8 * 1.2))
    assert forms.log_orthogonal_pair(lam) == pytest.approx(expected, rel=1e-9)


def test_pairs_that_share_a_block_are_counted():
    for num_features, dim in ((1, 4), (4, 4), (6, 4), (9, 4), (3, 8)):
        block = np.arange(num_features) // dim
        count = (block[:, None] == block).sum() - num_features
        assert forms.pairs_in_blocks(num_features, dim) == count


def test_variance_falls_as_one_over_features_and_faster_in_orthogonal_blocks():
    lam = spectrum("flat", 8, largest=0.1)
    second = forms.log_positive(lam)
    each = [forms.relative_variance(lam, second, m) * m for m in (1, 16, 4096)]
    assert each == pytest.approx([each[0]] * 3)
    blocks = [forms.relative_variance(lam, second, m, orthogonal=True) * m for m in (1, 4, 8, 16)]
    assert blocks[0] == pytest.approx(each[0])
    assert blocks[0] > blocks[1] > blocks[2] > 0
    assert blocks[3] == pytest.approx(blocks[2])
    assert math.isinf(forms.relative_variance(lam, math.inf, 4))


def test_the_tail_index_is_one_where_the_second_moment_diverges():
    assert forms.tail_index(1 / 6) == pytest.approx(1.0)
    near = 0.5 - 1e-9
    assert forms.tail_index(near, (1 + 2 * near) / (1 - 2 * near)) == pytest.approx(1.0, abs=1e-6)
    assert forms.tail_index(0.1) > 1 > forms.tail_index(0.2)
    assert forms.tail_index(1 / 28) == pytest.approx(2.0)


def test_the_cost_of_estimating_a_proposal_is_right_to_first_order():
    lam = spectrum("power-law", 4, largest=0.3, condition=10.0)
    generator = torch.Generator().manual_seed(0)
    n, best = 20_000, forms.log_bound(lam)
    from tasks.probes.estimators import estimate_proposal

    found = []
    for _ in range(60):
        x = torch.randn(n, 4, generator=generator, dtype=lam.dtype) * lam.sqrt()
        found.append(forms.log_weighted(lam, estimate_proposal(x.mT @ x / n)) - best)
    mean, error = np.mean(found), np.std(found) / math.sqrt(60)
    assert abs(mean - forms.log_estimation_excess(lam, n)) < 4 * error
