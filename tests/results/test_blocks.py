"""Intervals and tests over the blocks of a text, and the share of a gap."""

import math

import numpy as np
import pytest
from scipy import stats

from results.blocks import paired_blocks
from results.gap import share_of_gap
from results.statistics import Score, difference, over_seeds, tied_with_best


def score(values: np.ndarray, seed: int = 0, text: str = "fake") -> Score:
    return Score(seed=seed, value=float(np.mean(values)), test_set=text, blocks=tuple(values))


def models(
    rng: np.random.Generator, means: tuple[float, ...], *, seeds: int = 1, blocks: int = 24
) -> list[list[Score]]:
    """Hard blocks are hard for all; seeds differ by luck of their own."""
    hard = rng.normal(0, 0.1, blocks)
    return [
        [
            score(mean + hard + rng.normal(0, 0.02) + rng.normal(0, 0.03, blocks), seed)
            for seed in range(seeds)
        ]
        for mean in means
    ]


def test_one_seeds_interval_is_students_over_blocks():
    values = np.random.default_rng(0).normal(0.3, 0.1, 33)
    interval = over_seeds([score(values)])
    expected = stats.t.interval(0.95, 32, values.mean(), stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_tokens_of_one_block_are_no_independent_samples():
    values = np.array([0.1] * 16 + [0.5] * 16)
    counted = Score(seed=0, value=0.3, successes=2400, trials=8000, test_set="fake")
    blocks = Score(
        seed=0, value=0.3, successes=2400, trials=8000, test_set="fake", blocks=tuple(values)
    )
    assert over_seeds([blocks]).half_width > 5 * over_seeds([counted]).half_width


def test_one_block_of_one_seed_says_nothing_of_the_spread():
    assert not over_seeds([score(np.array([0.3]))]).known
    assert difference([score(np.array([0.3]))], [score(np.array([0.1]))]).p_value == 1.0


def test_seeds_widen_the_interval_of_blocks():
    values = np.random.default_rng(1).normal(0.3, 0.05, 24)
    alike = [score(values, seed) for seed in range(3)]
    apart = [score(values + 0.05 * seed, seed) for seed in range(3)]
    assert over_seeds(apart).half_width > 2 * over_seeds(alike).half_width


def test_two_models_of_one_seed_are_compared_by_the_paired_t_test():
    first, second = models(np.random.default_rng(2), (0.3, 0.29))
    found = difference(first, second)
    expected = stats.ttest_rel(first[0].blocks, second[0].blocks)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.test == "paired over blocks"


def test_blocks_of_two_texts_are_never_paired():
    assert paired_blocks([score(np.ones(4))], [score(np.ones(4), text="other")]) == []
    assert paired_blocks([score(np.ones(4))], [score(np.ones(5))]) == []


def test_an_unequal_number_of_seeds_still_pairs_the_blocks():
    hard = np.random.default_rng(4).normal(0.3, 0.2, 64)
    luck = np.random.default_rng(5).normal(0, 0.005, (4, 64))
    one = [score(hard + 0.02 + luck[0])]
    three = [score(hard + luck[1 + seed], seed) for seed in range(3)]
    # Unpaired, blocks alone would hide the gap: their spread is ten times as large.
    assert difference(one, three).p_value < 0.01


def test_a_tie_is_a_matter_of_blocks_and_not_of_tokens():
    rng = np.random.default_rng(6)
    hard, noise = rng.normal(0.3, 0.1, 64), rng.normal(0, 0.05, 64)
    column = {
        "best": [score(hard)],
        "close": [score(hard - 0.001 - noise + noise.mean())],
        "worse": [score(hard - 0.05 - rng.normal(0, 0.01, 64))],
    }
    assert tied_with_best(column) == ("best", frozenset({"close"}))


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_share_of_a_gap_is_covered_nearly_as_often_as_promised(seeds):
    covered, runs = 0, 400
    for run in range(runs):
        rng = np.random.default_rng([7, run])
        hard = rng.normal(0, 0.1, 24)
        method, floor, ceiling = (
            [
                score(mean + hard + rng.normal(0, 0.01) * (seeds > 1) + rng.normal(0, 0.03, 24), s)
                for s in range(seeds)
            ]
            for mean in (0.25, 0.1, 0.4)
        )
        share = share_of_gap(method, floor, ceiling)
        covered += share is not None and share.low <= 0.5 <= share.high
    # Three binomial standard errors below 95 %; crossed designs err wide.
    assert covered / runs > 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    assert seeds > 1 or covered / runs < 0.99


def test_floor_and_ceiling_close_nothing_and_all_of_the_gap():
    (floor, ceiling) = models(np.random.default_rng(8), (0.1, 0.4))
    nothing, whole = share_of_gap(floor, floor, ceiling), share_of_gap(ceiling, floor, ceiling)
    assert (nothing.mean, whole.mean) == pytest.approx((0.0, 1.0))
    assert nothing.half_width == pytest.approx(0.0, abs=1e-12)
    assert whole.half_width == pytest.approx(0.0, abs=1e-12)


def test_the_share_of_a_gap_that_may_be_none_is_not_given():
    (floor, ceiling, method) = models(np.random.default_rng(9), (0.1, 0.4, 0.3))
    assert share_of_gap(method, ceiling, floor) is None
    noise = np.random.default_rng(9).normal(0, 0.05, 24)
    beside = [score(np.array(floor[0].blocks) + noise - noise.mean() + 0.001)]
    assert share_of_gap(method, floor, beside) is None
    other = [score(np.array(ceiling[0].blocks), text="another text")]
    assert share_of_gap(method, floor, other) is None
