"""What every verdict shares: missing records, failed trials, conditions that must all hold."""

import math

import pytest

from reports.claims.claim import Claim, Effect, Finding, Runs, judged
from reports.claims.evidence import (
    Arm,
    exponential,
    is_above,
    is_below,
    minus,
    of_arm,
    verdict_of,
)
from reports.claims.papers import papers
from results.statistics import Interval
from tests.results.records import failed_record, fake_identity, fake_record

RUNS = Runs(methods=("fake-attention",), task="lra/listops", preset="quick")


def claim(judge=lambda records: Finding(verdict="reproduced")) -> Claim:
    return Claim(
        name="made-up",
        statement="It is so.",
        source="nowhere",
        rule="None.",
        judge=judge,
        runs={"quick": (RUNS,), "small": ()},
    )


def needs_performer(records) -> Finding:
    of_arm(records, "lra/listops", Arm(method="performer"))
    return Finding(verdict="reproduced")


def test_a_preset_without_trials_leaves_a_claim_untested():
    found = judged(claim(), "small", []).finding
    assert found.verdict == "not tested here"
    assert "preset small has no trials" in found.note
    assert "quick" in found.note


def test_a_trial_that_could_not_run_says_why_the_claim_is_untested():
    absent = failed_record(fake_identity("performer"), status="unavailable", reason="No network.")
    found = judged(claim(needs_performer), "quick", [absent]).finding
    assert found.verdict == "not tested here"
    assert found.note == "performer on lra/listops: unavailable. No network."


def test_a_trial_that_was_not_run_leaves_a_claim_untested():
    found = judged(claim(needs_performer), "quick", []).finding
    assert (found.verdict, found.note) == (
        "not tested here",
        "performer on lra/listops is not on record.",
    )


def test_an_arm_is_told_by_its_options_and_ordered_by_seed():
    records = [
        fake_record(fake_identity("performer", seed=seed, options={"proposal": proposal, "m": 8}))
        for seed in (1, 0)
        for proposal in ("isotropic", "optimal")
    ]
    arm = Arm(method="performer", options={"proposal": "optimal"})
    found = of_arm(records, "lra/listops", arm)
    assert [r.identity.seed for r in found] == [0, 1]
    assert {r.identity.method_options["proposal"] for r in found} == {"optimal"}
    assert str(arm) == "performer:proposal=optimal"


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([True, True], "reproduced"),
        ([True, None], "inconclusive"),
        ([None, False, True], "not reproduced"),
        ([], "inconclusive"),
    ],
)
def test_a_claim_holds_if_every_condition_does_and_fails_if_one_does(states, verdict):
    assert verdict_of(states) == verdict


@pytest.mark.parametrize(
    ("low", "high", "known", "above", "below"),
    [
        (1.1, 1.3, True, True, False),
        (0.7, 0.85, True, False, True),
        (0.92, 0.98, True, False, True),
        (0.9, 1.1, True, None, None),
        (1.1, 1.3, False, None, None),
    ],
)
def test_an_interval_decides_only_where_all_of_it_lies_on_one_side(low, high, known, above, below):
    interval = Interval(mean=(low + high) / 2, low=low, high=high, known=known)
    assert is_above(interval, 1.0) is above
    assert is_below(interval, 1.0) is below


def test_too_small_an_effect_counts_against_a_claim():
    small = Interval(mean=0.97, low=0.96, high=1.01)
    assert is_below(small, 1.0) is None
    assert is_below(small, 1.0, fails_above=0.95) is False
    assert is_above(small, 1.0, fails_below=1.05) is False


def test_the_difference_of_independent_estimates_joins_their_distances():
    found = minus(Interval(mean=5, low=2, high=9), Interval(mean=1, low=-2, high=5))
    assert (found.mean, found.low, found.high) == (4, -1, 9)
    assert exponential(Interval(mean=0, low=0, high=1)).high == math.e


def test_an_effect_is_shown_with_its_interval_where_there_is_one():
    gap = Interval(mean=2.13, low=1.04, high=3.2)
    signed = Effect(what="a - b", interval=gap, unit="points", signed=True)
    assert str(signed) == "a - b +2.1 [+1.0, +3.2] points"
    alone = Interval(mean=0.339, low=0.1, high=0.9, known=False)
    assert str(Effect(what="times", interval=alone)) == "times 0.339"
    endless = Interval(mean=math.inf, low=3.0, high=math.inf)
    assert str(Effect(what="condition", interval=endless)) == "condition inf [3.00, inf]"


def test_a_paper_is_found_in_its_folder_and_its_claims_have_names_of_their_own():
    found = papers()
    assert "darkformer" in found
    for paper in found.values():
        names = [claim.name for claim in paper.claims]
        assert len(names) == len(set(names))
        assert all(set(claim.runs) <= {"quick", "small", "paper"} for claim in paper.claims)
