"""Verdicts on loss spikes: exact counts, and no single run that decides."""

import math

import pytest
from scipy import stats

from reports.claims.darkformer import DARKFORMER, PERFORMER
from reports.claims.spikes import Count, fewer_spikes, num_events, rate_ratio
from results.record import Record
from results.spikes import RULE, spikes
from tests.results.language import RATES, fake_run, fake_stability_record

judge = fewer_spikes(DARKFORMER, PERFORMER)
SOUND = dict.fromkeys(RATES, 3.0)


def stability(method: str, num: int, *, rates: tuple[float, ...] = RATES) -> list[Record]:
    """Three seeds with so many events at each of these rates."""
    options = {"initial": "identity"} if method == "darkformer" else {"proposal": "isotropic"}
    spikes = {rate: [1 + 12 * i for i in range(num)] for rate in rates}
    return [
        fake_stability_record(method, SOUND, spikes=spikes, seed=seed, options=options)
        for seed in range(3)
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (0, 1, "reproduced"),
        (1, 0, "not reproduced"),
        (1, 1, "inconclusive"),
        (0, 0, "inconclusive"),
    ],
)
def test_counts_decide_over_seeds_and_rates(ours, theirs, verdict):
    found = judge(stability("darkformer", ours) + stability("performer", theirs))
    assert found.verdict == verdict
    assert f"{15 * ours} events of DARKFormer" in found.note
    assert "15 pairs of runs" in found.note


def test_no_single_run_decides():
    records = stability("darkformer", 0) + stability("performer", 0)
    wild = {RATES[-1]: [1, 12, *range(23, 200, 11)]}
    records[-1] = fake_stability_record(
        "performer", SOUND, spikes=wild, seed=2, options={"proposal": "isotropic"}
    )
    found = judge(records)
    assert found.effects[0].interval.high < 0.5
    assert found.verdict == "inconclusive"


def test_high_losses_of_one_disturbance_are_one_event():
    assert num_events(fake_run(1e-3, spikes=[3, 4, 5, 14, 40])) == 2
    assert num_events(fake_run(1e-3)) == 0


def test_a_divergence_is_an_event_unless_a_spike_announced_it():
    assert num_events(fake_run(1e-3, None, steps=60)) == 1
    assert num_events(fake_run(1e-3, None, spikes=[28], steps=60)) == 1
    assert num_events(fake_run(1e-3, None, spikes=[5], steps=60)) == 2


def test_a_divergence_alone_is_an_event_and_no_spike():
    losses = [*[1.0] * 20, math.inf]
    assert spikes(losses) == []
    assert "not finite is a divergence" in RULE
    assert num_events(fake_run(1e-3, None, spikes=spikes(losses), steps=21)) == 1


def test_a_record_that_counts_a_divergence_as_a_spike_too_has_one_event():
    at = fake_run(1e-3, None, steps=21).diverged_at
    assert num_events(fake_run(1e-3, None, spikes=[at], steps=21)) == 1


def test_the_interval_is_the_exact_binomial_one():
    found = rate_ratio([Count(ours=4, theirs=13, our_steps=100, their_steps=100)])
    exact = stats.binomtest(4, 17).proportion_ci(method="exact")
    ends = [share / (1 - share) for share in exact]
    assert [found.low, found.high] == pytest.approx(ends)
    assert found.mean == pytest.approx(4 / 13)


def test_steps_that_a_divergence_cut_off_count_for_less():
    equal = rate_ratio([Count(ours=4, theirs=4, our_steps=100, their_steps=50)])
    assert equal.mean == pytest.approx(0.5)
    none = rate_ratio([Count(ours=3, theirs=0, our_steps=9, their_steps=9)])
    assert none.high == math.inf
    assert none.low > 0
