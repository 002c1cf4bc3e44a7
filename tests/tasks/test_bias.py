"""Laws of the test for bias: right features pass, wrong ones do not, and the power is as stated."""

import math

import pytest
import torch

from tasks.probe import ProbeRequest
from tasks.probes.bias import TASK
from tasks.probes.bias_samples import pairs

QUICK = TASK.preset("quick").settings | {"head_dim": "4", "num_draws": 32, "num_heads": 4}


class Features:
    """phi(x) = values * exp(log_scale)."""

    def __init__(self, values, log_scale):
        self.values, self.log_scale = values, log_scale


class Instance:
    """Positive features for exp(q.k / sqrt(d)), their keys `factor` times what is right."""

    def __init__(self, omega, factor, zero):
        self.omega, self.factor, self.zero = omega, factor, zero
        self.data = None

    def _features(self, x, factor):
        y = x / x.shape[-1] ** 0.25
        exponent = y @ self.omega.mT - y.square().sum(-1, keepdim=True) / 2
        values = factor * exponent.exp() / math.sqrt(self.omega.shape[-2])
        return Features(values, torch.zeros(x.shape[:-1], dtype=x.dtype))

    def features(self, q, k):
        return self._features(q, 1.0), self._features(k, self.factor)

    def log_kernel(self, q, k):
        log_kernel = q @ k.mT / math.sqrt(q.shape[-1])
        return log_kernel - math.inf if self.zero else log_kernel

    def calibrate(self, q, k):
        self.data = q, k


class Subject:
    """Draws instances, all heads alike if `shared`; without draws its features are exact."""

    name = "fake"
    is_feature_map = True

    def __init__(self, *, factor=1.0, shared=False, zero=False, num_features=16):
        self.factor, self.shared, self.zero = factor, shared, zero
        self.options = {"num_features": num_features}
        self.seeds, self.heads, self.last = [], [], None

    def draw(self, seed, *, num_heads, head_dim, dtype):
        self.seeds.append(seed)
        self.heads.append(num_heads)
        generator = torch.Generator().manual_seed(seed)
        drawn = 1 if self.shared else num_heads
        # The size of the budget's test is only said, never drawn.
        rows = min(self.options["num_features"], 1024)
        omega = torch.randn(drawn, rows, head_dim, generator=generator, dtype=getattr(torch, dtype))
        self.last = Instance(omega.expand(num_heads, -1, -1), self.factor, self.zero)
        return self.last


class Exact(Subject):
    """The features of exp(-|q|^2) exp(-|k|^2): one, and nothing is drawn."""

    def draw(self, seed, **sizes):
        instance = super().draw(seed, **sizes)
        instance.omega = torch.zeros_like(instance.omega)
        instance.log_kernel = lambda q, k: (
            -0.25 * (q.square().sum(-1)[..., :, None] + k.square().sum(-1)[..., None, :])
        )
        return instance


def measure(subject, seed: int = 0, **settings):
    request = ProbeRequest(settings=QUICK | settings, seed=seed)
    points = list(TASK.run(subject, request, lambda *_: None))
    return points, request.card["verdict"]


def of(points, quantity: str):
    return [point for point in points if point.quantity == quantity]


def test_right_features_show_no_bias_and_the_power_is_stated():
    points, verdict = measure(Subject())
    assert verdict.startswith("no bias found")
    (threshold,), (largest,) = of(points, "threshold"), of(points, "largest-z")
    assert abs(largest.value) < threshold.value
    least = max(point.value for point in of(points, "detectable-bias"))
    assert f"a bias of {least:.1%}" in verdict


def test_wrong_features_are_biased_and_by_how_much_is_told():
    points, verdict = measure(Subject(factor=1.5))
    assert verdict.startswith("biased")
    assert "too high" in verdict
    for point in of(points, "relative-bias"):
        assert point.predicted == 0.0
        # Twice the interval: one pair in twenty lies outside of the interval itself.
        margin = 2 * (point.high - point.low) / 2
        assert abs(point.value - 0.5) < margin


def test_features_of_which_nothing_is_drawn_are_exact_or_biased():
    assert measure(Exact())[1].startswith("exact")
    assert measure(Exact(factor=1.001))[1].startswith("biased")


@pytest.mark.parametrize(
    ("shared", "num_features", "settings"),
    [
        (False, 16, {"strength": 0.2}),
        (True, 16, {"strength": 0.2}),
        (False, 4, {"strength": 2.0, "num_heads": 1, "num_draws": 64}),
    ],
)
def test_right_features_are_called_biased_as_rarely_as_asked(shared, num_features, settings):
    """At a significance of a fifth, Bonferroni's bound leaves 12 of 60 or fewer to chance."""
    subject = Subject(shared=shared, num_features=num_features)
    verdicts = [measure(subject, seed, significance=0.2, **settings)[1] for seed in range(60)]
    flagged = sum(verdict.startswith("biased") for verdict in verdicts)
    # Thrice the standard deviation of 12 of 60 is 9.
    assert flagged <= 21


def test_the_detectable_bias_is_found_with_the_chance_stated():
    points, _ = measure(Subject(), strength=0.2, num_draws=64, power=0.7)
    pair = of(points, "detectable-bias")[0]
    found = 0
    for seed in range(1, 41):
        points, _ = measure(Subject(factor=1 + pair.value), seed, strength=0.2, num_draws=64)
        (threshold,) = of(points, "threshold")
        found += abs(of(points, "z")[0].value) > threshold.value
    # 28 of 40 are due; thrice the standard deviation is 9.
    assert 19 <= found <= 37


def test_there_is_no_verdict_where_a_few_draws_make_the_whole_mean():
    points, verdict = measure(Subject(num_features=1), num_heads=1, strength=25.0, num_draws=64)
    assert verdict.startswith("no verdict")
    assert all("heavy a tail" in p.reason for p in of(points, "relative-bias"))
    half, verdict = measure(Subject(num_features=4), num_heads=1, strength=2.0, num_draws=64)
    judged = [p.value is not None for p in of(half, "relative-bias")]
    assert any(judged)
    assert f"at {judged.count(True)} of 8 pairs, no verdict at the others" in verdict


def test_each_seed_has_draws_of_its_own():
    one, two = Subject(), Subject()
    measure(one, 0)
    measure(two, 1)
    assert len({*one.seeds, *two.seeds}) == 64


def test_a_method_is_calibrated_from_data_with_a_spread_and_a_mean():
    subject = Subject()
    measure(subject)
    q, k = subject.last.data
    assert q.shape == k.shape
    assert q.shape[1] == 4
    deviation = q[0, 0].std(0)
    assert deviation[-1] > 4 * deviation[0]
    assert not torch.equal(q, k)
    assert q[0, 0].mean(0).norm() > 0.2


def test_many_features_are_drawn_for_fewer_heads():
    few, many = Subject(), Subject(num_features=2**22)
    measure(few)
    measure(many, num_draws=8)
    assert set(few.heads) == {4}
    assert set(many.heads) == {1}


def test_where_the_kernel_is_zero_there_is_a_reason_and_no_number():
    points, verdict = measure(Subject(zero=True))
    assert {p.quantity for p in points} == {"relative-bias", "threshold"}
    assert all(p.value is None and p.reason for p in of(points, "relative-bias"))
    assert verdict.startswith("no verdict")


def test_pairs_are_kept_where_the_kernels_of_features_have_little_variance():
    for dim, strength in ((4, 1.0), (64, 2.0), (1, 0.3)):
        chosen = pairs(dim, strength)
        size = (chosen.q + chosen.k).square().sum(-1) / math.sqrt(dim)
        assert len(chosen.names) == size.numel()
        assert size.max().item() <= strength * 1.0001
        assert size.max().item() > 0.9 * strength


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"head_dim": "8,x"}, "head_dim takes whole numbers"),
        ({"head_dim": "8,0"}, "head_dim must be 1 or more"),
        ({"num_draws": 7}, "num_draws must be 8 or more"),
        ({"num_heads": 0}, "num_heads must be 1 or more"),
        ({"significance": 1.0}, "significance must lie between"),
        ({"power": 0.0}, "power must lie between"),
        ({"strength": -1.0}, "strength must be above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        TASK.check(QUICK | settings)


def test_every_preset_makes_sense():
    for preset in TASK.presets:
        TASK.check(preset.settings)
