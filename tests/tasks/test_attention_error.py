"""Laws of the probe of output errors: its references, its places, and errors known beforehand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from tasks.probe import ProbeRequest
from tasks.probes.attention_error import TASK, Place, check, places, run
from tasks.probes.exact import (
    exact_outputs,
    relative_error,
    softmax_log_kernel,
    uniform_log_kernel,
)
from tasks.probes.output_errors import _Inputs, measure_place
from tests.bench.test_probe import subject

QUICK = TASK.preset("quick").settings
BASE = Place(
    num_features=64,
    length=48,
    lambda_max=0.05,
    spectrum="power-law",
    condition=10.0,
    dtype="float32",
    causal=False,
)
SIZES = {"head_dim": 8, "heads": 3, "draws": 2}


def qkv(time: int = 9):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 2, 3, time, 4, generator=generator, dtype=torch.float64).unbind()


def errors(method, place, **settings) -> dict[str, float]:
    """By what outputs are held against."""
    request = ProbeRequest(settings=SIZES | settings)
    points = measure_place(method, request, place)
    return {p.where["against"]: p.value for p in points if p.quantity == "output-error"}


@pytest.mark.parametrize("causal", [False, True])
def test_exact_outputs_are_those_of_torch(causal):
    q, k, v = qkv()
    exact = scaled_dot_product_attention(q, k, v, is_causal=causal)
    torch.testing.assert_close(
        exact_outputs(softmax_log_kernel, q, k, v, causal=causal), exact, rtol=1e-12, atol=1e-12
    )


def test_exact_outputs_are_of_float64_whatever_comes():
    q, k, v = (x.to(torch.bfloat16) for x in qkv())
    found = exact_outputs(softmax_log_kernel, q, k, v, causal=True)
    wide = exact_outputs(softmax_log_kernel, q.double(), k.double(), v.double(), causal=True)
    assert found.dtype == torch.float64
    assert torch.equal(found, wide)


def test_equal_weights_average_what_is_seen():
    q, k, v = qkv()
    running = v.cumsum(2) / torch.arange(1, 10)[:, None]
    found = exact_outputs(uniform_log_kernel, q, k, v, causal=True)
    torch.testing.assert_close(found, running)


def test_exact_outputs_of_too_many_weights_are_refused():
    q = torch.zeros(1, 2, 2**12, 1)
    k = torch.zeros(1, 2, 2**13, 1)
    with pytest.raises(ValueError, match="67108864 weights; at most 33554432"):
        exact_outputs(softmax_log_kernel, q, k, k, causal=False)


def test_an_error_is_relative_and_of_each_head_alone():
    reference = qkv()[0]
    factors = torch.tensor([1.0, 1.1, 0.5], dtype=torch.float64)[:, None, None]
    found = relative_error(reference * factors, reference)
    np.testing.assert_allclose(found, [0, 0.1, 0.5], atol=1e-12)


def test_an_output_that_is_not_finite_is_infinitely_wrong():
    reference = qkv()[0]
    outputs = reference.clone()
    outputs[0, 1, 3, 2] = torch.nan
    assert relative_error(outputs, reference).tolist() == [0, math.inf, 0]


@pytest.mark.parametrize("causal", [False, True])
def test_exact_attention_has_no_error_and_its_rounding_shows_in_bfloat16(causal):
    place = dataclasses.replace(BASE, num_features=None, causal=causal)
    assert errors(subject("softmax"), place)["softmax"] < 1e-6
    rounded = errors(subject("softmax"), dataclasses.replace(place, dtype="bfloat16"))
    assert 5e-4 < rounded["softmax"] < 2e-2


def test_a_quarter_of_the_error_takes_sixteen_times_the_features():
    few, many = (
        errors(subject("performer"), dataclasses.replace(BASE, num_features=m), draws=6)
        for m in (64, 1024)
    )
    assert few.keys() == many.keys() == {"softmax", "own kernel"}
    for against in few:
        assert few[against] / many[against] == pytest.approx(4, rel=0.25)


def test_a_method_of_another_kernel_is_near_its_own_and_far_from_softmax():
    place = dataclasses.replace(BASE, num_features=None, causal=True)
    found = errors(subject("linear-transformer"), place)
    assert found["own kernel"] < 1e-5
    assert found["softmax"] > 0.02


def test_a_method_that_calibrates_itself_has_seen_the_same_distribution():
    calibrated = subject("darkformer", initial="whitening", num_features=4)
    kernels = []
    draw = calibrated.draw

    def keep(*given, **sizes):
        kernels.append(draw(*given, **sizes))
        return kernels[-1]

    calibrated.draw = keep
    place = dataclasses.replace(BASE, length=2000, spectrum="spiked", condition=100.0)
    errors(calibrated, dataclasses.replace(place, num_features=None), draws=1)
    # A unit vector weighs by one over its variance: 100 times more across the spike than along.
    unit = torch.eye(8, dtype=torch.float64)[None, None].expand(1, 3, 8, 8)
    weights = kernels[0].log_kernel(unit, unit)[0].diagonal(dim1=-2, dim2=-1)
    along, across = weights[:, 0], weights[:, 1]
    np.testing.assert_allclose(across / along, 100, rtol=0.2)


def test_a_method_that_is_no_feature_map_has_an_error_against_softmax_alone():
    place = dataclasses.replace(BASE, num_features=None)
    assert errors(subject("nystromformer"), place).keys() == {"softmax"}


def test_a_row_that_collapses_is_counted():
    request = ProbeRequest(settings=SIZES)
    for scale, least, most in ((0.05, 0.0, 0.0), (3e4, 0.1, 1.0)):
        place = dataclasses.replace(BASE, num_features=4, lambda_max=scale)
        points = measure_place(subject("performer", orthogonal=False), request, place)
        (found,) = (p for p in points if p.quantity == "collapsed-rows")
        assert least <= found.value <= most


def test_queries_have_the_covariance_asked_once_they_are_scaled():
    place = dataclasses.replace(BASE, length=40_000, spectrum="spiked")
    x: Tensor = _Inputs(place, 1, 4, seed=0, device="cpu").draw()[0, 0] * 4**-0.25
    covariance = x.double().mT @ x.double() / len(x)
    expected = torch.diag(torch.tensor([0.05, 0.005, 0.005, 0.005], dtype=torch.float64))
    torch.testing.assert_close(covariance, expected, rtol=0.05, atol=5e-4)


def test_every_method_gets_the_same_inputs():
    first, again, other = (_Inputs(BASE, 1, 4, seed=s, device="cpu").draw() for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("preset", TASK.presets, ids=lambda preset: preset.name)
def test_one_thing_varies_at_a_time_and_both_poles_are_passed(preset):
    chosen = places(
        preset.settings, varies=True, directions=(False, True), dtypes=("float32", "bfloat16")
    )
    assert len(set(chosen)) == len(chosen)
    for dtype in ("float32", "bfloat16"):
        base, *others = (dataclasses.asdict(p) for p in chosen if p.dtype == dtype)
        for other in others:
            changed = {name for name in base if base[name] != other[name]}
            assert len(changed) == 1 or changed == {"spectrum", "condition"}
        scales = {other["lambda_max"] for other in others}
        assert min(scales) < 1 / 6 < sorted(scales)[-2] < 1 / 2 < max(scales)
        for name in ("num_features", "length", "spectrum", "condition", "causal"):
            assert len({p[name] for p in (base, *others)}) > 1


def test_what_a_method_cannot_do_has_no_place():
    chosen = places(QUICK, varies=False, directions=(True,), dtypes=("float32",))
    assert {(p.num_features, p.causal, p.dtype) for p in chosen} == {(None, True, "float32")}


def test_the_probe_names_every_place_in_its_points():
    settings = QUICK | SIZES | {"lengths": "8,16", "num_features": "4", "dtypes": "float32"}
    settings |= {"lambda_max": "0.1,0.6", "conditions": "10", "spectra": "flat,spiked"}
    told = []
    report = lambda *step: told.append(step)  # noqa: E731
    found = list(run(subject("performer"), ProbeRequest(settings=settings), report))
    chosen = places(settings, varies=True, directions=(False, True), dtypes=("float32",))
    assert len(told) == len(chosen) == len(found) / 3 == 5
    for point in found:
        assert point.where.keys() >= dataclasses.asdict(BASE).keys() | {"head_dim"}
        assert point.samples == (2 if point.quantity == "collapsed-rows" else 6)
        if point.quantity == "output-error":
            assert point.low < point.value < point.high


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"lambda_max": "0.1,0"}, "lambda_max takes numbers of 1e-09 or more"),
        ({"lambda_max": "inf"}, "lambda_max takes numbers of 1e-09 or more"),
        ({"conditions": "0.5"}, "conditions takes numbers of 1 or more"),
        ({"conditions": "many"}, "conditions takes numbers of 1 or more"),
        ({"spectra": "flat,round"}, "'round' is none of them"),
        ({"dtypes": "float8"}, "'float8' is none of them"),
        ({"num_features": "0"}, "num_features must be 1 or more"),
        ({"lengths": "one"}, "lengths takes whole numbers"),
        ({"lengths": "100000"}, "need too much memory"),
        ({"heads": "2,3"}, "heads takes one number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(QUICK | changed)


@pytest.mark.parametrize("preset", TASK.presets, ids=lambda preset: preset.name)
def test_every_preset_makes_sense(preset):
    check(preset.settings)
