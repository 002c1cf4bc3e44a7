"""Laws of the probe of real queries and keys: its spectra, and what it finds of a model's heads."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.probe import ProbeRequest
from tasks.probes import real_heads
from tasks.probes.anisotropy import condition, effective_rank, spectra
from tasks.probes.capture import Captured
from tasks.probes.exact import exact_outputs, softmax_log_kernel
from tasks.probes.real_qk import TASK, check, feature_counts, run
from tests.bench.test_probe import subject

QUICK = TASK.preset("quick").settings


def test_spectra_are_those_of_the_vectors_scaled():
    generator = torch.Generator().manual_seed(0)
    deviations = torch.tensor([2.0, 1.0, 0.5, 0.1], dtype=torch.float64)
    x = torch.randn(200_000, 4, generator=generator, dtype=torch.float64) * deviations
    mean = torch.tensor([0.0, 3.0, 0.0, 0.0], dtype=torch.float64)
    found = spectra(x + mean)
    # d^(-1/4) squared is 1/2 at four dimensions.
    expected = deviations.square() / 2
    torch.testing.assert_close(found.covariance, expected, rtol=0.02, atol=1e-4)
    moment = torch.tensor([5.0, 2.0, 0.125, 0.005], dtype=torch.float64)
    torch.testing.assert_close(found.moment, moment, rtol=0.02, atol=1e-4)
    assert condition(found.covariance) == pytest.approx(400, rel=0.03)
    assert effective_rank(found.covariance) == pytest.approx(5.26**2 / 17.0626, rel=0.02)
    assert found.mean_share == pytest.approx(3 / (x + mean).norm(dim=-1).mean().item(), rel=0.01)


def test_parts_are_centred_each_about_its_own_mean():
    x = torch.randn(500, 3, dtype=torch.float64)
    apart, whole = spectra(x + 5, x - 5), spectra(x)
    torch.testing.assert_close(apart.covariance, whole.covariance)
    assert apart.moment[0] > 10 * whole.moment[0]


def test_fewer_vectors_than_dimensions_have_no_condition():
    assert condition(spectra(torch.randn(4, 8)).covariance) is None


def test_round_vectors_fill_every_dimension():
    assert effective_rank(torch.ones(7, dtype=torch.float64)) == pytest.approx(7)
    assert effective_rank(torch.tensor([1.0, 0, 0])) == pytest.approx(1)


@dataclass
class FakeInstance:
    """Exact attention of softmax, too large by a share of error / sqrt(m)."""

    error: torch.Tensor
    calibrated: list = field(default_factory=list)

    def calibrate(self, q, k):
        self.calibrated.append((q, k))

    def attend(self, q, k, v, *, causal=False, key_padding=None):
        exact = exact_outputs(softmax_log_kernel, q, k, v, causal=causal)
        return exact * (1 + self.error[:, None, None])

    def log_kernel(self, q, k):
        return softmax_log_kernel(q, k)


class FakeSubject:
    """Needs 40 times (head + 1) features for an error of 10 %."""

    name, is_feature_map = "fake", True
    directions, dtypes = (False, True), ("float32",)

    def __init__(self):
        self.options = {"num_features": 8}
        self.drawn = []

    def draw(self, seed, *, num_heads, head_dim, num_features=None, max_time=256, dtype=None):
        needed = 40.0 * (torch.arange(num_heads) + 1)
        instance = FakeInstance((needed / num_features).sqrt().double() * 0.1)
        self.drawn.append((seed, num_features, instance))
        return instance


@dataclass
class FakeCapture:
    """Two layers of four heads that share two, random, with a mean."""

    what: str = "a fake"
    digest: str = "abc"
    num_layers: int = 2

    def layer(self, number):
        generator = torch.Generator().manual_seed(number)

        def part(blocks):
            drawn = [torch.randn(blocks, h, 12, 8, generator=generator) for h in (4, 2, 2)]
            return Captured(*((x + 1).numpy() for x in drawn))

        return part(3), part(2)


@pytest.fixture
def captures(monkeypatch):
    asked = []

    @contextmanager
    def serve(one, cache):
        asked.append(one)
        yield FakeCapture()

    monkeypatch.setattr(real_heads, "captured", serve)
    return asked


def measure(method, **settings):
    request = ProbeRequest(settings=QUICK | settings, source="packaged")
    return list(run(method, request, lambda *step: None)), request.card


def test_the_search_finds_what_each_head_needs(captures):
    method = FakeSubject()
    points, card = measure(method, targets="0.1", draws=2)
    needed = [p for p in points if p.quantity == "features-needed"]
    assert len(needed) == 2 * 2 * 4
    for point in needed:
        assert point.value == pytest.approx(40 * (point.where["head"] + 1), rel=1e-4)
        assert point.where["causal"] is True
    medians = [p for p in points if p.quantity == "features-needed-median"]
    assert [p.value for p in medians] == pytest.approx([100] * 6, rel=1e-4)
    assert card["verdict"] == "8 of 8 heads of glassllm come within 10% of softmax"
    assert card["glassllm: digest"] == "abc"
    # Twice within the target is enough: 16 to 512 for the 160 features of the last head.
    assert max(m for _, m, _ in method.drawn) == 512
    assert {seed for seed, _, _ in method.drawn} == {0, 1}


def test_heads_beyond_the_search_are_counted(captures):
    points, card = measure(FakeSubject(), targets="0.1", most_features=64, draws=1)
    values = [p.value for p in points if p.quantity == "features-needed"][:4]
    assert values == [pytest.approx(40, rel=1e-4), None, None, None]
    median = next(p for p in points if p.quantity == "features-needed-median")
    assert (median.value, median.reason) == (None, "not reached by 3 of 4 heads")
    assert card["verdict"].startswith("2 of 8 heads")


def test_calibration_sees_none_of_the_text_that_is_tested(captures):
    method = FakeSubject()
    measure(method, draws=1, most_features=16)
    calibration, test = FakeCapture().layer(0)
    ((q, k),) = method.drawn[0][2].calibrated
    np.testing.assert_array_equal(q, calibration.q)
    np.testing.assert_array_equal(k, np.repeat(calibration.k, 2, axis=1))
    assert not set(test.q.flatten()) & set(q.flatten().tolist())


def test_blocks_too_long_for_exact_attention_are_refused_with_a_length_that_fits(
    captures, monkeypatch
):
    monkeypatch.setattr(real_heads, "MOST_WEIGHTS", 4 * 11**2)
    with pytest.raises(SourceUnavailableError, match=r"4 heads over 12 tokens .* length=11` fits"):
        measure(FakeSubject())


def test_every_layer_tells_its_spectra(captures):
    points, _ = measure(FakeSubject(), draws=1, most_features=16)
    by_name: dict[str, list] = {}
    for point in points:
        by_name.setdefault(point.quantity, []).append(point)
    assert len(by_name["largest-eigenvalue"]) == 2 * 2 * 3 * 2
    assert len(by_name["mean-share"]) == 2 * 2 * 2
    for point in by_name["mean-share"]:
        assert 0.5 < point.value < 0.9
    for point in by_name["effective-rank"]:
        assert 5 < point.value < 8
    # The mean's square, 8 / sqrt(8), is over both poles; the deviations' 1 / sqrt(8) over one.
    poles = {(p.where["centred"], p.where["pole"]): p.value for p in by_name["heads-past-pole"]}
    assert poles[False, "1/2"] == poles[False, "1/6"] == poles[True, "1/6"] == 1
    captured = FakeCapture().layer(0)
    keys = np.concatenate([part.k[:, 0] for part in captured]).reshape(-1, 8) * 8**-0.25
    expected = np.linalg.eigvalsh(np.cov(keys.T, bias=True))[-1]
    (found,) = (
        p.value
        for p in by_name["largest-eigenvalue"]
        if p.where | {"model": "", "of": "keys", "centred": True, "layer": 0, "kv_head": 0}
        == p.where | {"model": ""}
    )
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_method_without_a_number_of_features_has_an_error_alone(captures):
    points, card = measure(subject("softmax"), draws=2)
    names = {p.quantity for p in points}
    assert "features-needed" not in names
    assert "kernel-gap" not in names
    errors = [p for p in points if p.quantity == "output-error"]
    assert len(errors) == 2
    assert all(p.value < 1e-6 and "num_features" not in p.where for p in errors)
    assert "verdict" not in card
    uniform = [p.value for p in points if p.quantity == "uniform-error"]
    assert all(value > 0.01 for value in uniform)


def test_a_method_that_is_not_causal_is_measured_without_a_mask(captures):
    points, _ = measure(subject("nystromformer"), draws=1)
    assert {p.where["causal"] for p in points if p.quantity == "output-error"} == {False}


def test_a_learned_kernel_is_its_own_and_has_a_gap_to_softmax(captures):
    points, _ = measure(subject("lfk"), draws=2, most_features=32)
    own = [p for p in points if p.where.get("against") == "own kernel"]
    assert all(p.value == 16 for p in own if p.quantity.startswith("features-needed"))
    assert all(p.value < 1e-5 for p in own if p.quantity == "output-error")
    gaps = [p.value for p in points if p.quantity == "kernel-gap"]
    assert len(gaps) == 2
    assert min(gaps) > 0.01


def test_glassllm_on_real_text_is_far_from_round():
    pytest.importorskip("glassllm")
    pytest.importorskip("transformers")
    settings = {"calibration_blocks": 2, "test_blocks": 1, "draws": 1, "most_features": 16}
    points, card = measure(subject("performer"), length=64, **settings)
    shares = [p.value for p in points if p.quantity == "mean-share" and p.where["of"] == "keys"]
    assert len(shares) == 8
    assert max(shares) > 0.3
    assert {p.where["layer"] for p in points if "layer" in p.where} == {0, 1, 2, 3}
    assert "state-of-the-union" in card["glassllm: text"]
    assert len(card["glassllm: digest"]) == 64


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"length": 1}, "length must be 2 or more"),
        ({"draws": "2,3"}, "draws takes one number"),
        ({"most_features": 8}, "most_features is 8, fewer than least_features, 16"),
        ({"targets": "0.1,1"}, "targets must lie between 0 and 1"),
        ({"targets": "much"}, "targets takes numbers"),
        ({"models": "glassllm,,smollm2"}, "models takes names"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(QUICK | changed)


@pytest.mark.parametrize("preset", TASK.presets, ids=lambda preset: preset.name)
def test_every_preset_makes_sense(preset):
    check(preset.settings)
    counts = feature_counts(preset.settings)
    assert counts[0] == 16
    assert counts[-1] == preset.settings["most_features"]


@pytest.mark.parametrize(
    ("source", "changed", "path", "sentence"),
    [
        ("packaged", {"models": "some/model"}, None, "take `--source hub`"),
        ("packaged", {"text": "nowhere.txt"}, None, "there is no text file 'nowhere.txt'"),
        ("release", {}, Path("nowhere"), "is no folder of a model of transformers"),
        ("hub", {"models": "some/model", "text": "nowhere.txt"}, None, "no text file"),
    ],
)
def test_data_that_cannot_be_had_are_answered_with_what_to_do(source, changed, path, sentence):
    pytest.importorskip("transformers")
    pytest.importorskip("glassllm")
    request = LoadRequest(data=QUICK | changed, path=path)
    assert sentence in TASK.source(source).missing(request)
