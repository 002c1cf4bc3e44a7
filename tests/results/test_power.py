"""What a power analysis promises is what the tests then find."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from results.power import (
    Spread,
    deviation_bounds,
    examples_needed,
    power,
    seeds_needed,
    smallest_difference,
    spread_of_numbers,
    spread_of_pilot,
)
from results.statistics import Score, difference
from tests.results.draws import blocks, drawn

spreads = st.builds(
    Spread,
    seeds=st.floats(1e-6, 1e-2),
    examples=st.floats(1e-3, 0.5),
    rest=st.floats(0.0, 0.5),
    paired=st.booleans(),
)


def test_the_power_of_two_proportions_is_the_textbooks():
    # Fleiss's formula without its correction: 387 in each group for 0.5 against 0.6.
    found = examples_needed(0.1, spread_of_numbers(0.5, 0.1), seeds=1)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found == math.ceil(z**2 * (0.25 + 0.24) / 0.01)


def test_the_power_of_paired_seeds_is_the_noncentral_t():
    found = power(0.03, Spread(seeds=0.0004, examples=0.0, paired=True), seeds=5, examples=100)
    edge, shift = stats.t.ppf(0.975, 4), 0.03 / math.sqrt(0.0004 / 5)
    tails = stats.nct.sf(edge, 4, shift) + stats.nct.cdf(-edge, 4, shift)
    assert found == pytest.approx(tails)


@settings(max_examples=25)
@given(spreads, st.floats(0.005, 0.3), st.integers(2, 12), st.integers(20, 5000))
def test_more_seeds_or_a_greater_difference_never_lessen_the_power(spread, gap, seeds, examples):
    base = power(gap, spread, seeds=seeds, examples=examples)
    assert 0.0 <= base <= 1.0
    slack = 1e-6
    assert power(gap, spread, seeds=seeds + 1, examples=examples) >= base - slack
    assert power(1.5 * gap, spread, seeds=seeds, examples=examples) >= base - slack


@settings(max_examples=25)
@given(spreads, st.floats(0.005, 0.3), st.integers(4, 12), st.integers(20, 5000))
def test_more_examples_lessen_the_power_by_a_hair_at_most(spread, gap, seeds, examples):
    # They leave the seeds to dominate, and with them their few degrees of freedom.
    base = power(gap, spread, seeds=seeds, examples=examples)
    assert power(gap, spread, seeds=seeds, examples=2 * examples) >= base - 0.02


@settings(max_examples=25)
@given(spreads, st.floats(0.005, 0.3), st.integers(2, 12), st.integers(20, 5000))
def test_what_is_needed_is_enough_and_one_less_is_not(spread, gap, seeds, examples):
    needed = examples_needed(gap, spread, seeds=seeds)
    if needed is not None:
        assert power(gap, spread, seeds=seeds, examples=needed) >= 0.8
        if needed > 2:
            assert power(gap, spread, seeds=seeds, examples=needed - 1) < 0.8
    fewest = seeds_needed(gap, spread, examples=examples)
    if fewest is not None:
        assert power(gap, spread, seeds=fewest, examples=examples) >= 0.8
    seen = smallest_difference(spread, seeds=seeds, examples=examples)
    if seen is not None:
        assert power(seen, spread, seeds=seeds, examples=examples) == pytest.approx(0.8, abs=0.01)


def test_no_number_of_seeds_makes_up_for_a_small_test_set():
    spread = spread_of_numbers(0.5, 0.02, seed_deviation=0.01)
    assert seeds_needed(0.02, spread, examples=500) is None
    assert examples_needed(0.02, spread, seeds=2) is None


def found_share(gap: float, *, kept: bool, spread: float = 0.01, examples: int = 600) -> float:
    """How often four seeds show a gap, where all examples are of one kind."""
    rng, runs, found = np.random.default_rng(31), 400, 0
    easy = np.full(examples, 0.5)
    for _ in range(runs):
        a = drawn(rng, easy, seeds=4, spread=spread, gain=gap, kept=kept)
        b = drawn(rng, easy, seeds=4, spread=spread, kept=kept)
        found += difference(a, b).p_value < 0.05
    return found / runs


def test_the_promised_power_is_what_repeated_experiments_find():
    gap = 0.06
    plan = Spread(seeds=2 * 0.01**2, examples=0.0, rest=0.25 + 0.56 * 0.44, paired=True)
    promised = power(gap, plan, seeds=4, examples=600)
    assert 0.6 < promised < 0.95
    assert found_share(gap, kept=True) == pytest.approx(promised, abs=0.08)


def test_a_promise_for_a_test_without_outcomes_is_kept_and_more():
    # That test counts twice what neither seed nor example explains.
    gap, seen = 0.09, math.sqrt(0.01**2 + 0.25 / 600)
    plan = spread_of_numbers(0.5, gap, seed_deviation=seen)
    promised = power(gap, plan, seeds=4, examples=600)
    assert 0.6 < promised < found_share(gap, kept=False)


def test_a_pilots_parts_are_those_that_it_was_drawn_from():
    rng = np.random.default_rng(37)
    easy = rng.beta(1.2, 1.8, size=20_000)
    pilot = [drawn(rng, 0.1 + 0.7 * easy, seeds=60, spread=0.03) for _ in range(2)]
    found = spread_of_pilot(pilot[0], pilot[1])
    assert found.paired
    assert found.seeds == pytest.approx(2 * 0.03**2, rel=0.4)
    # Luck of both methods: what is hard is hard for both, and drops out.
    chance = 0.1 + 0.7 * easy
    assert found.rest == pytest.approx(2 * float((chance * (1 - chance)).mean()), rel=0.05)
    assert found.examples < 0.02


def test_blocks_make_a_pilot_and_a_bare_number_does_not():
    rng = np.random.default_rng(41)
    hard = rng.normal(0, 0.1, 64)
    found = spread_of_pilot(blocks(rng, 0.3, hard, seeds=3), blocks(rng, 0.2, hard, seeds=3))
    assert found.paired
    assert found.examples + found.rest < 0.1**2
    bare = [Score(seed=0, value=2.5)]
    with pytest.raises(ValueError, match="proportions"):
        spread_of_pilot(bare, bare)


def test_a_pilot_of_blocks_that_is_not_paired_takes_how_far_blocks_lie_apart():
    # The variance of one token, m(1-m), would be a hundred times as much.
    rng = np.random.default_rng(43)
    hard = [rng.normal(0, 0.04, 2000) for _ in range(2)]
    pilot = [blocks(rng, 0.3, each, seeds=40) for each in hard]
    found = spread_of_pilot(*pilot, paired=False)
    assert not found.paired
    assert found.examples == pytest.approx(2 * 0.04**2, rel=0.1)
    assert found.rest == pytest.approx(2 * 0.03**2, rel=0.1)
    assert found.seeds == pytest.approx(2 * 0.01**2, rel=0.4)
    one = spread_of_pilot(*([group[0]] for group in pilot), paired=False)
    assert one.examples == pytest.approx(2 * (0.04**2 + 0.03**2), rel=0.1)


def test_a_pilot_is_paired_on_the_seeds_that_both_methods_have():
    rng = np.random.default_rng(47)
    hard = rng.normal(0, 0.1, 64)
    many, few = blocks(rng, 0.3, hard, seeds=3), blocks(rng, 0.2, hard, seeds=2)
    assert spread_of_pilot(many, few) == spread_of_pilot(many[:2], few)
    assert spread_of_pilot(many[1:], few[:1]) == spread_of_pilot(many[1:], few[:1], paired=False)


def test_a_method_of_one_seed_is_taken_to_vary_as_the_other_does():
    rng = np.random.default_rng(53)
    group = drawn(rng, np.full(500, 0.4), seeds=6, spread=0.05)
    both = spread_of_pilot(group, group, paired=False)
    assert spread_of_pilot(group, group[:1], paired=False).seeds == pytest.approx(both.seeds)


def test_one_block_does_not_tell_how_far_blocks_lie_apart():
    rng = np.random.default_rng(59)
    single = blocks(rng, 0.3, np.zeros(1), seeds=3)
    with pytest.raises(ValueError, match="two blocks or more"):
        spread_of_pilot(single, single)


def test_methods_that_never_disagreed_still_have_to_for_a_difference():
    agreeing = Spread(seeds=0.0, examples=0.0, paired=True)
    assert agreeing.with_gap(0.1).examples == pytest.approx(0.09)
    apart = Spread(seeds=0.0, examples=0.4)
    assert apart.with_gap(0.1) == apart


def test_a_deviation_of_three_seeds_is_hardly_known():
    assert deviation_bounds(3) == pytest.approx((0.521, 6.285), abs=1e-3)
    with pytest.raises(ValueError, match="one value"):
        deviation_bounds(1)


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ({"accuracy": 0.9, "difference": 0.2}, "sum is at most 1"),
        ({"accuracy": 0.5, "difference": 0.1, "seed_deviation": 2.0}, "do not deviate"),
        ({"accuracy": 0.5, "difference": 0.1, "disagreement": 0.05}, "disagree"),
        ({"accuracy": 0.9, "difference": 0.05, "disagreement": 0.5}, "disagree"),
    ],
)
def test_numbers_that_cannot_be_are_refused(numbers, match):
    with pytest.raises(ValueError, match=match):
        spread_of_numbers(**numbers)
