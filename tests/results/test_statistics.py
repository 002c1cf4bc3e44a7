"""The laws of intervals over seeds, tests of differences and ties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from results.statistics import (
    Score,
    bounded,
    difference,
    holm,
    mean_of,
    over_seeds,
    tied_with_best,
    wilson,
)
from tests.results.draws import EASY, drawn, score

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_a_wilson_interval_is_scipys(count):
    successes, trials = count
    ours = wilson(successes, trials)
    theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(counts)
def test_a_wilson_interval_holds_its_estimate_and_stays_in_the_unit_interval(count):
    interval = wilson(*count)
    assert 0 <= interval.low <= interval.mean <= interval.high <= 1


@given(counts, st.floats(0.5, 0.9))
def test_a_higher_level_never_gives_a_narrower_interval(count, level):
    narrow, wide = wilson(*count, level=level), wilson(*count, level=0.99)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@pytest.mark.parametrize(("successes", "trials"), [(-1, 7), (8, 7), (0, 0)])
def test_what_is_no_proportion_is_refused(successes, trials):
    with pytest.raises(ValueError, match="not a proportion"):
        wilson(successes, trials)


@given(counts)
def test_one_seed_gives_the_wilson_interval(count):
    successes, trials = count
    one = Score(seed=0, value=successes / trials, successes=successes, trials=trials)
    ours, theirs = over_seeds([one]), wilson(successes, trials)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_without_counts_the_interval_is_students():
    values = [0.31, 0.37, 0.33, 0.40]
    ours = over_seeds([Score(seed=i, value=value) for i, value in enumerate(values)])
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_a_lone_score_without_counts_has_no_known_interval():
    assert not over_seeds([Score(seed=0, value=0.5)]).known


@given(st.lists(st.integers(0, 33), min_size=2, max_size=7))
def test_more_seeds_on_the_same_test_set_never_beat_its_own_noise(successes):
    scores = [
        Score(seed=i, value=k / 33, successes=k, trials=33, test_set="fake")
        for i, k in enumerate(successes)
    ]
    interval = over_seeds(scores)
    noise = wilson(round(interval.mean * 33), 33)
    slack = 1.0 / 33
    assert interval.high - interval.low >= (noise.high - noise.low) - slack


def test_separate_test_sets_count_as_more_examples():
    def scores(names):
        return [
            Score(seed=i, value=0.5, successes=50, trials=100, test_set=name)
            for i, name in enumerate(names)
        ]

    apart, shared = over_seeds(scores("ab")), over_seeds(scores("aa"))
    assert apart.half_width < shared.half_width


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_methods_are_rarely_told_apart(paired, seeds):
    rng = np.random.default_rng(13)
    false_alarms = 0
    for _ in range(300):
        a, b = (
            drawn(rng, EASY[:151], seeds=seeds, spread=0.03 * (seeds > 1), kept=paired)
            for _ in range(2)
        )
        false_alarms += difference(a, b).p_value < 0.05
    assert false_alarms / 300 <= 0.075


def score_without_outcomes(old: Score) -> Score:
    return Score(
        seed=old.seed,
        value=old.value,
        successes=old.successes,
        trials=old.trials,
        test_set=old.test_set,
    )


def test_one_pair_of_seeds_is_mcnemars_exact_test():
    a = score(np.array([1] * 20 + [0] * 5 + [1] * 30 + [0] * 10), 0)
    b = score(np.array([0] * 20 + [1] * 5 + [1] * 30 + [0] * 10), 0)
    found = difference([a], [b])
    assert found.test == "McNemar, exact"
    assert found.p_value == pytest.approx(stats.binomtest(5, 25).pvalue)


def test_pairing_sees_what_independent_groups_hide():
    rng = np.random.default_rng(17)
    hard = rng.random(2001) < 0.5
    better = hard | (rng.random(2001) < 0.02)
    paired = difference([score(better, 0)], [score(hard, 0)])
    apart = difference([score(better, 0, kept=False)], [score(hard, 0, kept=False)])
    assert paired.p_value < 0.01 < apart.p_value


def test_two_single_seeds_without_outcomes_are_compared_as_proportions():
    a = Score(seed=0, value=0.60, successes=600, trials=1000)
    b = Score(seed=0, value=0.50, successes=500, trials=1000)
    found = difference([a], [b])
    assert found.test == "two proportions"
    assert found.p_value == pytest.approx(7e-6, rel=0.5)


def test_metrics_without_counts_are_compared_by_welchs_test():
    first, second = [1.0, 1.3, 0.9, 1.2], [2.0, 2.6, 1.8]
    found = difference(
        [Score(seed=i, value=v) for i, v in enumerate(first)],
        [Score(seed=i, value=v) for i, v in enumerate(second)],
    )
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)


@given(st.lists(counts, min_size=2, max_size=2))
def test_swapping_the_groups_turns_the_sign_and_keeps_the_verdict(pair):
    a, b = ([Score(seed=0, value=k / n, successes=k, trials=n)] for k, n in pair)
    there, back = difference(a, b), difference(b, a)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.interval.low == pytest.approx(-back.interval.high)


def test_other_seeds_on_the_same_examples_are_paired_by_example():
    rng = np.random.default_rng(18)
    hard = rng.random(2001) < 0.5
    one = [score(hard | (rng.random(2001) < 0.03), 7)]
    three = [score(hard & (rng.random(2001) > 0.001), seed) for seed in range(3)]
    assert difference(one, three).test == "paired over examples and seeds"
    apart = [[score_without_outcomes(s) for s in group] for group in (one, three)]
    assert difference(one, three).p_value < 0.01 < difference(*apart).p_value


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=60))
def test_mcnemars_interval_holds_the_gap_and_stays_on_the_scale(gains):
    first, second = (score(sign * np.array(gains) > 0, 0) for sign in (1, -1))
    interval = difference([first], [second]).interval
    assert -1.0 <= interval.low <= interval.mean <= interval.high <= 1.0
    assert interval.mean == pytest.approx(np.mean(gains))


@given(counts, st.floats(1e-6, 0.2), st.floats(1.0, 1e6))
def test_a_bounded_interval_holds_its_estimate_and_stays_on_the_scale(count, variance, freedom):
    share = count[0] / count[1]
    interval = bounded(share, variance, freedom)
    assert 0.0 <= interval.low <= share <= interval.high <= 1.0


def test_the_mean_of_students_intervals_has_the_degrees_of_freedom_of_all():
    rng = np.random.default_rng(19)
    tasks = [
        over_seeds([Score(seed=i, value=v) for i, v in enumerate(rng.normal(0, 1, 3))])
        for _ in range(5)
    ]
    joint = mean_of(tasks)
    assert 2 < joint.freedom <= 10
    assert joint.half_width < np.hypot.reduce([task.half_width for task in tasks]) / 5


def test_damaged_outcomes_are_not_used():
    sound = score(np.arange(33) % 2, 0)
    damaged = Score(
        seed=0, value=sound.value, successes=16, trials=33, test_set="fake", outcomes="not base64!"
    )
    assert difference([sound], [damaged]).test == "two proportions"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_gives_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_close_second_is_tied_and_a_far_third_is_not():
    column = {
        name: [Score(seed=0, value=v, successes=round(v * 1000), trials=1000)]
        for name, v in {"first": 0.60, "second": 0.59, "third": 0.30}.items()
    }
    assert tied_with_best(column) == ("first", {"second"})


def test_where_less_is_better_the_least_is_best():
    column = {"a": [Score(seed=0, value=2.0)], "b": [Score(seed=0, value=1.0)]}
    assert tied_with_best(column, higher_is_better=False)[0] == "b"


def test_the_mean_of_a_suite_is_surer_than_its_tasks():
    tasks = [wilson(k, 101) for k in (33, 50, 71)]
    assert mean_of(tasks).half_width < min(task.half_width for task in tasks)
