"""Verdicts on spectra, sampling and Proposition 4.1, each of them reached both ways."""

import math

import numpy as np
import pytest

from reports.claims.claim import NotTestedError
from reports.claims.darkformer import PERFORMER, PROPOSED
from reports.claims.equivalence import proposition
from reports.claims.sampling import errs_less, finite
from reports.claims.spectra import anisotropic, explodes
from results.record import Record
from tests.results.probes import fake_point, fake_probe_record, measured

REAL = "probes/real-qk"


def heads(condition: float | None, largest: float, num: int = 16) -> Record:
    """A model's heads, spread by a few percent around these values."""
    points = []
    for head in range(num):
        where = {"model": "fake-lm", "layer": head // 4, "kv_head": head % 4}
        spread = 1 + (head - num / 2) / 100
        for of in ("queries", "keys", "both"):
            here = where | {"of": of, "centred": True}
            lost = {} if condition else {"reason": "infinite: the smallest is lost in rounding"}
            value = condition and condition * spread
            points += [
                fake_point("condition", value, **lost, **here),
                fake_point("effective-rank", 9.0, **here),
                fake_point("largest-eigenvalue", largest * spread, **here | {"centred": False}),
            ]
    return fake_probe_record(points, "performer", REAL)


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [(300.0, "reproduced"), (None, "reproduced"), (3.0, "not reproduced"), (10.0, "inconclusive")],
)
def test_anisotropy_is_a_matter_of_the_median_condition_number(condition, verdict):
    found = anisotropic([heads(condition, 0.3)])
    assert found.verdict == verdict
    assert len(found.effects) == 2
    assert "effective rank of keys 9.00, median of 16 heads" in found.note


def test_too_few_heads_tell_nothing_of_anisotropy():
    assert anisotropic([heads(300.0, 0.3, num=4)]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("largest", "verdict"),
    [(0.9, "reproduced"), (0.1, "not reproduced"), (1 / 6, "inconclusive")],
)
def test_variance_explodes_where_most_heads_are_past_the_pole(largest, verdict):
    found = explodes([heads(300.0, largest)])
    assert found.verdict == verdict
    assert "past 1/2" in found.note


def moments(*, gain: float = 0.5, off: float = 0.5, error: float = 0.02) -> Record:
    """Second moments of both kinds of features; the optimal one is `gain` of the other."""
    points = []
    for at in (0.05, 0.1, 0.16, 0.3, 0.6):
        where = {"spectrum": "flat", "lambda_max": at, "head_dim": 8}
        for name, pole, truth in (
            ("isotropic iid", 1 / 6, 8.0),
            ("optimal proposal", 0.5, 8.0 * gain),
        ):
            here = where | {"estimator": name}
            if at >= pole:
                points.append(fake_point("second-moment", reason="infinite: past", **here))
            else:
                points.append(measured("second-moment", truth, off=off, error=error, **here))
    return fake_probe_record(points, "performer")


def test_a_proposal_that_lowers_every_second_moment_is_as_theory_says():
    found = finite([moments()])
    assert found.verdict == "reproduced"
    assert "Finite at 1 spectra" in found.note


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"gain": 1.5}, "not reproduced"),
        ({"off": 6.0}, "not reproduced"),
        ({"gain": 0.97}, "inconclusive"),
    ],
)
def test_a_larger_second_moment_or_another_than_predicted_speaks_against_theory(changed, verdict):
    assert finite([moments(**changed)]).verdict == verdict


def errors(
    proposal: str, level: float, *, noise: float = 0.01, features: int = 64, seed: int = 0
) -> Record:
    """Errors of outputs, layer by layer, around a level that is another in each."""
    luck = np.random.default_rng(seed).normal(0, noise, 6)
    points = [
        fake_point(
            "output-error",
            level * (1 + layer / 10) * math.exp(luck[layer]),
            model="fake-lm",
            layer=layer,
            num_features=features,
            against=against,
        )
        for layer in range(6)
        for against in ("softmax", "own kernel")
    ]
    options = {"proposal": proposal}
    return fake_probe_record(points, "performer", REAL, options=options, seed=seed)


@pytest.mark.parametrize(
    ("proposed", "noise", "verdict"),
    [
        (0.5, 0.2, "reproduced"),
        (0.9, 0.02, "reproduced"),
        (1.5, 0.02, "not reproduced"),
        (0.999, 0.02, "not reproduced"),
        (0.95, 0.2, "inconclusive"),
    ],
)
def test_errors_on_real_queries_and_keys_are_compared_layer_by_layer(proposed, noise, verdict):
    judge = errs_less(PROPOSED, PERFORMER, told="one over the other.")
    found = judge([errors("isotropic", 1.0, noise=0), errors("optimal", proposed, noise=noise)])
    assert found.verdict == verdict
    assert found.note == "one over the other."


def test_errors_at_another_number_of_features_do_not_count():
    judge = errs_less(PROPOSED, PERFORMER, told="")
    with pytest.raises(NotTestedError, match="64 features"):
        judge([errors("isotropic", 1.0, features=32), errors("optimal", 1.0, features=32)])


def learned(*, mean: float = 1.0, error: float = 0.01, difference: float = 1e-15) -> Record:
    where = {"head_dim": 8}
    other = where | {"estimator": "w from N(0, I), weights psi / p"}
    plain = where | {"estimator": "w from N(0, Sigma), no weights"}
    points = [
        fake_point("feature-difference", difference, **where, estimator="learned Sigma"),
        measured("mean-over-kernel", 1.0, off=0.3, **plain),
        measured("mean-over-kernel", 1.0, off=(mean - 1) / error, error=error, **other),
        measured("mean-over-softmax", 1.12, **plain),
    ]
    return fake_probe_record(points, "softmax", "probes/equivalence")


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "reproduced"),
        ({"mean": 1.06}, "not reproduced"),
        ({"difference": 1e-3}, "not reproduced"),
        ({"error": 0.06}, "inconclusive"),
    ],
)
def test_the_proposition_is_about_features_and_means_alike(changed, verdict):
    found = proposition([learned(**changed)])
    assert found.verdict == verdict
    assert "over softmax's the mean is 1.12" in found.note
