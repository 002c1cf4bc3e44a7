"""Shrinkage, and the covariance that suits the typical pair."""

import math

import pytest
import torch

from methods import darkformer, performer
from methods.api import Heads
from methods.core.attention import build_attention
from methods.core.moments import Asked, observed
from methods.core.second_moment import require_shrinkage, second_moment, shrunk, typical_root

HEADS = Heads(num_heads=2, head_dim=6, num_kv_heads=2, max_time=301)
SPREAD = torch.linspace(0.3, 2.0, 6).double()


def _data(time: int, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(1, 2, time, 6, generator=g).double() * SPREAD for _ in range(2))


def _second_moment(q, k, padding=None, shrinkage=0.0):
    """About zero."""
    moments = observed(None, q, k, padding, asked=Asked(noise=True))
    zero = torch.zeros(2, 6).double()
    return second_moment(moments, zero, zero, shrinkage=shrinkage)


def _reference(q, k):
    """Ledoit and Wolf's share written out, sample by sample, for the mean of two moments."""
    parts = [x[0] for x in (q, k)]
    moment = sum(x.mT @ x / x.shape[1] for x in parts) / 2
    sphere = moment.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(6).double()
    noise = torch.zeros(2).double()
    for x in parts:
        own = x.mT @ x / x.shape[1]
        outer = x[..., :, None] * x[..., None, :]
        noise += (outer - own[:, None]).square().sum((-2, -1)).mean(-1) / x.shape[1] / 4
    share = (noise / (moment - sphere).square().sum((-2, -1))).clamp(max=1)
    return (1 - share)[:, None, None] * moment + share[:, None, None] * sphere


@pytest.mark.parametrize("time", [1, 7, 301])
def test_automatic_shrinkage_is_that_of_ledoit_and_wolf(time):
    q, k = _data(time)
    torch.testing.assert_close(_second_moment(q, k, None, shrinkage="auto"), _reference(q, k))


def test_padding_does_not_take_part_in_shrinkage():
    q, k = _data(33)
    padding = torch.zeros(1, 33, dtype=torch.bool)
    padding[:, 20:] = True
    due = _second_moment(q[:, :, :20], k[:, :, :20], None, shrinkage="auto")
    q[:, :, 20:], k[:, :, 20:] = 100.0, -100.0
    torch.testing.assert_close(_second_moment(q, k, padding, shrinkage="auto"), due)


def test_automatic_shrinkage_of_few_samples_comes_nearer_to_the_truth():
    truth, errors = torch.diag(SPREAD.square()), []
    for shrinkage in (0.0, "auto"):
        apart = [
            (_second_moment(*_data(8, seed), None, shrinkage=shrinkage) - truth).square().sum()
            for seed in range(40)
        ]
        errors.append(float(sum(apart)))
    assert errors[1] < 0.9 * errors[0]


def test_shrinking_keeps_the_trace_and_all_of_it_leaves_a_sphere():
    moment = _second_moment(*_data(33), None)
    whole = shrunk(moment, torch.ones(2).double())
    mean = moment.diagonal(dim1=-2, dim2=-1).mean(-1)
    torch.testing.assert_close(whole, mean[:, None, None] * torch.eye(6).double())
    half = _second_moment(*_data(33), None, shrinkage=0.5)
    torch.testing.assert_close(half, (moment + whole) / 2)


@pytest.mark.parametrize("shrinkage", [-0.1, 1.5, math.nan])
def test_a_share_outside_nothing_and_all_is_refused(shrinkage):
    with pytest.raises(ValueError, match="auto or lie between 0 and 1"):
        require_shrinkage(shrinkage, is_used=True)


@pytest.mark.parametrize("shrinkage", [0.3, "auto"])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        (performer.METHOD, {"proposal": "typical"}),
        (performer.METHOD, {"key_shift": "both"}),
        (darkformer.METHOD, {"proposal": "typical"}),
    ],
)
def test_shrinkage_is_refused_where_nothing_stands_on_what_it_shrinks(method, options, shrinkage):
    with pytest.raises(ValueError, match="only proposal=optimal and whitening stand"):
        build_attention(method, HEADS, torch.Generator(), shrinkage=shrinkage, **options)


@pytest.mark.parametrize("options", [{"initial": "whitening"}, {"proposal": "optimal"}])
def test_shrinkage_shrinks_what_whitening_and_the_optimal_proposal_stand_on(options):
    q, k = _data(33)
    found = []
    for shrinkage in (0.0, 1.0):
        attention = build_attention(
            darkformer.METHOD,
            HEADS,
            torch.Generator().manual_seed(0),
            shrinkage=shrinkage,
            **options,
        ).double()
        attention.calibrate(q, k)
        part = attention.feature_map
        found.append(part.M if "initial" in options else part.proposal_root)
    sphere = found[1].diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None] * torch.eye(6).double()
    torch.testing.assert_close(found[1].abs().sum((-2, -1)), sphere.sum((-2, -1)))
    assert not torch.allclose(*found, rtol=0.1)


def _mean_log(moment, sigma):
    """The mean logarithm of the relative second moment of pairs, from the density of w."""
    inner = 2 * sigma - torch.eye(len(sigma)).double()
    spread = torch.logdet(sigma) - torch.logdet(inner) / 2
    return float(spread + torch.trace(torch.linalg.solve(inner, moment)))


@pytest.mark.parametrize(("variance", "z"), [(1.0, 0.7), (1.6, 1.1), (3.0, 2.0)])
def test_the_relative_second_moment_is_its_closed_form(variance, z):
    """By quadrature, of p(w)^2 / psi(w) exp(2 w z - z^2)."""
    w = torch.linspace(-30, 30, 200_001).double()
    log_p, log_psi = -w * w / 2, -w * w / (2 * variance) - math.log(variance) / 2
    density = torch.exp(2 * log_p - log_psi + 2 * w * z - z * z) / math.sqrt(2 * math.pi)
    found = float(torch.trapezoid(density, w))
    inner = 2 * variance - 1
    assert found == pytest.approx(variance / math.sqrt(inner) * math.exp(z * z / inner), rel=1e-6)


def test_the_typical_covariance_is_best_among_its_neighbours():
    g = torch.Generator().manual_seed(0)
    half = torch.randn(4, 4, generator=g).double()
    moment = half @ half.T
    root = typical_root(moment[None])[0]
    sigma = root @ root
    best = _mean_log(moment, sigma)
    for _ in range(50):
        change = torch.randn(4, 4, generator=g).double()
        assert _mean_log(moment, sigma + 0.03 * (change + change.T)) > best


def test_the_typical_covariance_of_no_data_is_the_identity():
    torch.testing.assert_close(
        typical_root(torch.zeros(1, 3, 3).double()), torch.eye(3).double()[None]
    )
