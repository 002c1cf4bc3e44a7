"""Laws of the equivalence probe: both theorems hold in numbers, and what they do not say fails."""

import pytest
import torch

from tasks.probe import ProbeRequest
from tasks.probes.equivalence import TASK, learned_points, representation_points
from tasks.probes.theory_points import case

STRICT = 4.5


def z_score(point):
    return (point.value - point.predicted) / ((point.high - point.low) / 3.92)


@pytest.mark.parametrize("dim", [2, 7, 33])
def test_learning_sigma_is_importance_sampling_without_weights(dim):
    points = list(learned_points(dim, 20_000, torch.Generator().manual_seed(0)))
    difference, *means = points
    assert difference.value < 1e-12
    assert len(means) == 4
    assert all(abs(z_score(p)) < STRICT for p in means)


def test_weights_have_moments_enough_for_their_standard_errors_to_hold():
    seeds = range(40)
    scores = torch.tensor(
        [
            [
                z_score(point)
                for point in learned_points(8, 4_000, torch.Generator().manual_seed(seed))
                if point.quantity != "feature-difference"
            ]
            for seed in seeds
        ]
    )
    # Of a mean over n seeds the spread is n^(-1/2), of a spread about (2 n)^(-1/2): four of each.
    assert scores.mean(0).abs().max() < 4 / len(seeds) ** 0.5
    assert scores.std(0).max() < 1 + 4 / (2 * len(seeds)) ** 0.5


def test_the_learned_kernel_is_not_softmax():
    points = list(learned_points(7, 20_000, torch.Generator().manual_seed(0)))
    (own,) = [
        p
        for p in points
        if p.quantity == "mean-over-softmax" and p.where["estimator"].endswith("no weights")
    ]
    assert own.low > 1.02


@pytest.mark.parametrize("largest", [0.05, 0.2, 0.45])
def test_representations_reach_the_same_second_moment_under_their_own_proposals(largest):
    found = case("power-law", 6, largest, 50.0)
    points = {
        (p.quantity, p.where["estimator"]): p
        for p in representation_points(found, 20_000, torch.Generator().manual_seed(1))
    }
    for point in points.values():
        assert point.value is None or abs(z_score(point)) < STRICT
    bound = points["bound", "any"].predicted
    assert points["second-moment", "optimal proposal"].predicted == bound
    assert points["second-moment", "trigonometric, optimal proposal"].predicted == bound
    assert points["second-moment", "trigonometric"].predicted > bound
    assert points["second-moment", "paired trigonometric"].predicted < bound
    assert points["second-moment", "paired trigonometric"].high < bound


def test_past_a_half_there_is_nothing_to_reach():
    found = case("spiked", 6, 0.5, 50.0)
    (point,) = representation_points(found, 100, torch.Generator())
    assert point.value is None
    assert "lambda_max 0.5 >= 1/2" in point.reason


def test_the_probe_needs_no_method():
    settings = TASK.preset("quick").settings | {"head_dims": "3", "num_samples": 200}
    points = list(TASK.run(None, ProbeRequest(settings=settings), lambda *_: None))
    places = [(p.quantity, tuple(sorted(p.where.items()))) for p in points]
    assert len(set(places)) == len(places) > 50


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"num_samples": 2}, "32 or more"),
        ({"lambda_max": "0"}, "above 0"),
        ({"head_dims": "1"}, "head_dims"),
        ({"conditions": "0.1"}, "1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_answered_with_a_sentence(wrong, word):
    with pytest.raises(ValueError, match=word):
        TASK.check(TASK.preset("quick").settings | wrong)


def test_every_preset_passes_its_own_check():
    for preset in TASK.presets:
        TASK.check(preset.settings)
