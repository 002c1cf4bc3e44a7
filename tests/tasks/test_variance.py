"""Laws of the variance probe: a map with known variance is measured right, theory beside it."""

import math

import pytest
import torch

from tasks.probe import ProbeRequest
from tasks.probes.map_points import Protocol, draw_pairs, map_points, reference_points
from tasks.probes.proposal_points import estimated_points, sample_moments, whitened_points
from tasks.probes.theory_points import case
from tasks.probes.variance import TASK

TINY = TASK.preset("quick").settings | {
    "head_dim": 4,
    "head_dims": "3",
    "whitened_head_dims": "30,64",
    "conditions": "100",
    "lambda_max": "0.1,0.2,0.6",
    "num_samples": 500,
    "num_features": "2,8",
    "curve_lambda_max": "0.05,0.2",
    "num_draws": 16,
    "tail_samples": 32_000,
    "proposal_samples": "64,512",
    "proposal_draws": 5,
    "method_lambda_max": "0.02",
    "num_pairs": 9,
    "method_draws": 16,
}


class Features:
    """phi(x) = values * exp(log_scale)."""

    def __init__(self, values):
        self.values, self.log_scale = values, torch.zeros(values.shape[:-1], dtype=values.dtype)


class Instance:
    """Independent positive features for exp(q.k / sqrt(d))."""

    def __init__(self, omega, tail):
        self.omega, self.tail = omega, tail

    def calibrate(self, q, k):
        assert q.shape == k.shape

    def features(self, q, k):
        return self._features(q), self._features(k)

    def _features(self, x):
        y = x / x.shape[-1] ** 0.25
        exponent = y @ self.omega.mT - y.square().sum(-1, keepdim=True) / 2
        return Features(self.tail * exponent.exp() / math.sqrt(len(self.omega)))

    def log_kernel(self, q, k):
        return q @ k.mT / math.sqrt(q.shape[-1])


class Subject:
    """Draws a new instance a seed; with `outlier` one of them is far off."""

    name = "fake"
    is_feature_map = True

    def __init__(self, *, fixed=False, outlier=False):
        self.options = {} if fixed else {"num_features": 8}
        self.outlier, self.seeds = outlier, []

    def draw(self, seed, *, num_heads, head_dim, num_features, dtype):
        self.seeds.append(seed)
        generator = torch.Generator().manual_seed(seed)
        shape = (num_features or 8, head_dim)
        omega = torch.randn(shape, generator=generator, dtype=torch.float64)
        tail = 10.0 if self.outlier and len(self.seeds) == 3 else 1.0
        return Instance(omega, tail)


def protocol(**changed):
    return Protocol(
        **{"num_features": (4, 16), "num_draws": 400, "seed": 0, "device": "cpu"} | changed
    )


def test_a_map_s_variance_is_the_one_that_theory_gives_for_its_pairs():
    found = case("power-law", 5, 0.03, 10.0)
    pairs = draw_pairs(found, 33, torch.Generator().manual_seed(0))
    *measured, slope = map_points(Subject(), found, pairs, protocol())
    exact = {
        (p.where["estimator"], p.where["num_features"]): p.value
        for p in reference_points(found, pairs, (4, 16))
    }
    for point in measured:
        expected = exact["isotropic iid, these pairs", point.where["num_features"]]
        error = (point.high - point.low) / 3.92
        assert abs(point.value - expected) < 4 * error
    assert slope.low < -1 < slope.high
    assert exact["isotropic orthogonal, these pairs", 4] < exact["isotropic iid, these pairs", 4]


def test_the_reference_lines_agree_with_the_closed_forms_over_many_pairs():
    from tasks.probes import closed_forms as forms

    found = case("spiked", 4, 0.05, 10.0)
    pairs = draw_pairs(found, 400_000, torch.Generator().manual_seed(0))
    second = forms.log_positive(found.lam)
    for point in reference_points(found, pairs, (4, 6)):
        orthogonal = "orthogonal" in point.where["estimator"]
        expected = forms.relative_variance(
            found.lam, second, point.where["num_features"], orthogonal=orthogonal
        )
        assert point.value == pytest.approx(expected, rel=0.03)


def test_a_mean_that_one_draw_makes_is_not_reported():
    found = case("flat", 4, 0.02, 1.0)
    pairs = draw_pairs(found, 9, torch.Generator().manual_seed(0))
    points = list(map_points(Subject(outlier=True), found, pairs, protocol(num_features=(4,))))
    (point,) = points
    assert point.value is None
    assert "one of 400 draws makes 9" in point.reason


def test_a_map_without_a_number_of_features_has_one_point():
    found = case("flat", 4, 0.02, 1.0)
    pairs = draw_pairs(found, 9, torch.Generator().manual_seed(0))
    (point,) = map_points(Subject(fixed=True), found, pairs, protocol())
    assert point.where["num_features"] == 8


def test_every_seed_of_a_trial_has_draws_of_its_own():
    found = case("flat", 4, 0.02, 1.0)
    pairs = draw_pairs(found, 9, torch.Generator().manual_seed(0))
    subject = Subject(fixed=True)
    for seed in (0, 1):
        list(map_points(subject, found, pairs, protocol(num_draws=8, seed=seed)))
    assert len(set(subject.seeds)) == 16


def test_an_estimated_proposal_costs_less_with_more_samples_and_its_moment_is_measured():
    found = case("power-law", 4, 0.3, 10.0)
    generator = torch.Generator().manual_seed(0)
    moments = sample_moments((64, 512, 8192), 9, 4, generator)
    assert set(moments) == {64, 512, 8192}
    points = list(estimated_points(found, moments, 0.0, 4000, generator))
    excess = [p.value for p in points if p.quantity == "excess"]
    assert excess[0] > excess[1] > excess[2] > 1
    last = [p for p in points if p.quantity == "excess"][-1]
    assert last.predicted == pytest.approx(last.value, rel=0.01)
    measured = [p for p in points if p.quantity == "second-moment"]
    assert len(measured) == 3
    for p in measured:
        assert abs(p.value - p.predicted) < 4.5 * (p.high - p.low) / 3.92


def test_too_few_samples_give_a_proposal_that_does_not_work():
    found = case("flat", 16, 0.3, 1.0)
    generator = torch.Generator().manual_seed(0)
    points = list(
        estimated_points(found, sample_moments((20,), 5, 16, generator), 0.0, 100, generator)
    )
    share, excess = points
    assert (share.quantity, share.value) == ("infinite-share", 1.0)
    assert excess.value is None
    assert "most of 5" in excess.reason


def test_whitening_alone_has_a_finite_variance_only_above_36_dimensions():
    generator = torch.Generator().manual_seed(0)
    assert next(whitened_points(36, 100, generator)).value is None
    moment, relative = whitened_points(37, 4000, generator)
    for point in (moment, relative):
        assert abs(point.value - point.predicted) < 4.5 * (point.high - point.low) / 3.92


def test_the_probe_runs_whole_and_gives_every_point_a_value_or_a_reason():
    titles = []
    request = ProbeRequest(settings=TINY)
    points = list(TASK.run(Subject(), request, lambda title, n, of: titles.append((title, n, of))))
    assert titles[0] == ("fake", 0, 5)
    assert len(titles) == 5
    assert {p.quantity for p in points} == {
        "second-moment",
        "pair-moment",
        "relative-variance",
        "slope",
        "excess",
        "infinite-share",
        "tail-index",
        "mean-log-error",
        "variance-log-error",
        "typical-second-moment",
    }
    places = [(p.quantity, tuple(sorted(p.where.items()))) for p in points]
    assert len(set(places)) == len(places)
    again = list(TASK.run(Subject(), request, lambda *_: None))
    assert [p.value for p in again] == [p.value for p in points]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"num_samples": 2}, "num_samples must be 32"),
        ({"num_features": "4,0"}, "num_features must be 1"),
        ({"num_features": "65536"}, "or less"),
        ({"conditions": "0.5"}, "conditions takes numbers of 1 or more"),
        ({"lambda_max": "0.1,x"}, "lambda_max takes numbers"),
        ({"curve_lambda_max": "0"}, "above 0"),
        ({"lambda_max": "nan"}, "lambda_max takes numbers"),
        ({"shrinkages": "0,2"}, "between 0 and 1"),
        ({"head_dims": "1"}, "head_dims must be 2"),
    ],
)
def test_settings_that_make_no_sense_are_answered_with_a_sentence(wrong, word):
    TASK.check(TINY)
    with pytest.raises(ValueError, match=word):
        TASK.check(TINY | wrong)


def test_every_preset_passes_its_own_check():
    for preset in TASK.presets:
        TASK.check(preset.settings)
