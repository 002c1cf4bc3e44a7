"""The bootstrap over seeds and examples agrees with the closed form where both are right."""

import numpy as np
import pytest

from results.bootstrap import bootstrapped, resampled_means
from results.statistics import over_seeds
from tests.results.draws import EASY, blocks, drawn, score


@pytest.mark.parametrize("spread", [0.05, 0.1])
def test_with_many_seeds_both_agree(spread):
    rng = np.random.default_rng(1)
    scores = drawn(rng, rng.choice(EASY, size=400), seeds=40, spread=spread)
    ours, theirs = over_seeds(scores), bootstrapped(scores, rng)
    assert theirs.mean == pytest.approx(ours.mean)
    assert theirs.high - theirs.low == pytest.approx(ours.high - ours.low, rel=0.12)


def test_blocks_are_resampled_as_examples_are():
    rng = np.random.default_rng(2)
    scores = blocks(rng, 0.3, rng.normal(0, 0.1, 64), seeds=20)
    ours, theirs = over_seeds(scores), bootstrapped(scores, rng)
    assert theirs.high - theirs.low == pytest.approx(ours.high - ours.low, rel=0.12)


def test_three_seeds_that_are_all_the_spread_hold_the_truth_in_three_of_four_cases():
    rng = np.random.default_rng(3)
    runs, hits = 400, 0
    for _ in range(runs):
        table = np.repeat(rng.normal(size=(3, 1)), 2, axis=1)
        low, high = np.quantile(resampled_means(table, rng, 400), [0.025, 0.975])
        hits += low <= 0 <= high
    assert hits / runs == pytest.approx(0.75, abs=0.065)


def test_the_same_generator_gives_the_same_interval():
    scores = drawn(np.random.default_rng(4), EASY[:50], seeds=3, spread=0.02)
    first, second = (bootstrapped(scores, np.random.default_rng(9)) for _ in range(2))
    assert first == second


def test_without_outcomes_it_is_refused():
    bare = [score(np.arange(9) % 2, seed, kept=False) for seed in range(3)]
    with pytest.raises(ValueError, match="what became of each"):
        bootstrapped(bare, np.random.default_rng(0))
