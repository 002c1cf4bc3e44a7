"""Laws of the search for the number of features, and of the typical error."""

import math

import numpy as np
import pytest

from tasks.probes.features_needed import features_needed, typical

COUNTS = (16, 32, 64, 128, 256)


def falling(constant: float, draws: int = 3) -> np.ndarray:
    """Errors of constant / sqrt(m), the same in every draw."""
    return np.tile(constant / np.sqrt(np.array(COUNTS)), (draws, 1))


@pytest.mark.parametrize("needed", [20.0, 64.0, 100.0])
def test_the_number_of_features_is_found_between_doublings(needed):
    found = features_needed(COUNTS, falling(0.1 * math.sqrt(needed)), 0.1)
    assert found.value == pytest.approx(needed)
    assert found.low == pytest.approx(needed)
    assert found.high == pytest.approx(needed)


def test_what_is_not_reached_is_said_with_what_was():
    found = features_needed(COUNTS, falling(16.0), 0.1)
    assert found.value is None
    assert found.reason == "more than 256 features: there the error is 1"


def test_what_fewer_features_reach_needs_the_fewest_tried():
    assert features_needed(COUNTS, falling(0.01), 0.1).value == 16


def test_a_dip_before_the_error_rises_again_does_not_count():
    errors = np.array([[0.2, 0.05, 0.2, 0.1, 0.05]])
    found = features_needed(COUNTS, errors, 0.1)
    assert found.value == pytest.approx(128)
    assert found.low is found.high is None


def test_draws_that_differ_widen_the_interval():
    errors = falling(0.8, draws=4) * np.array([0.8, 0.9, 1.1, 1.3])[:, None]
    found = features_needed(COUNTS, errors, 0.1)
    assert 16 < found.low < found.value < found.high < 256
    wild = features_needed(COUNTS, falling(1.5, draws=2) * np.array([[0.5], [2.0]]), 0.1)
    assert wild.value == pytest.approx(225)
    assert wild.low == 16
    assert wild.high is None


def test_errors_that_are_not_finite_reach_nothing():
    errors = falling(0.8)
    errors[1, :4] = math.inf
    found = features_needed(COUNTS, errors, 0.1)
    assert (found.value, found.low) == (256, 256)
    errors[1, 4] = math.inf
    assert features_needed(COUNTS, errors, 0.1).reason.endswith("the error is inf")


def test_no_error_at_all_needs_the_fewest():
    assert features_needed(COUNTS, np.zeros((2, 5)), 0.1).value == 16


@pytest.mark.parametrize(
    ("counts", "target"), [((32, 16), 0.1), ((16, 16), 0.1), ((), 0.1), ((16, 32), 0.0)]
)
def test_a_search_that_makes_no_sense_is_refused(counts, target):
    with pytest.raises(ValueError, match="must"):
        features_needed(counts, np.ones((1, len(counts))), target)


def test_a_typical_error_is_the_geometric_mean():
    found = typical(np.array([0.1, 0.4]))
    assert found.value == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert found.low * found.high == pytest.approx(0.04)
    assert typical(np.array([0.3])) == typical(np.array([0.3]))
    assert typical(np.array([0.3])).low is None
    assert "1 of 2 draws" in typical(np.array([0.3, math.inf])).reason
    assert typical(np.array([0.0, 0.0])).value == 0
