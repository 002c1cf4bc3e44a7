"""Ranks and their means over tasks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from results.ranks import mean_ranks, ranks

values = arrays(np.float64, (4, 5), elements=st.integers(0, 6).map(float))


@given(values)
def test_ranks_are_scipys_with_ties_shared(table):
    assert ranks(table).tolist() == stats.rankdata(-table, axis=1).tolist()


def named(table: np.ndarray) -> list[dict[str, float]]:
    return [{f"m{i}": float(v) for i, v in enumerate(row)} for row in table]


@given(values)
def test_mean_ranks_stay_between_the_first_and_the_last_and_average_the_middle_one(table):
    found = mean_ranks(named(table))
    assert np.mean([each.mean for each in found.values()]) == pytest.approx(3.0)
    for each in found.values():
        assert each.low >= 1.0 - 1e-9
        assert each.low <= each.mean + 1e-9 <= each.high + 2e-9
        assert each.high <= 5.0 + 1e-9


@given(values)
def test_turning_the_scale_turns_the_ranks(table):
    up = mean_ranks(named(table))
    down = mean_ranks(named(-table), higher_is_better=[False] * 4)
    assert [each.mean for each in up.values()] == [each.mean for each in down.values()]


def test_scales_do_not_matter():
    tasks = [{"a": 0.9, "b": 0.8}, {"a": 1e6, "b": 2e6}, {"a": -3.0, "b": -4.0}]
    assert mean_ranks(tasks)["a"].mean == pytest.approx(4 / 3)


def test_who_lacks_a_task_or_has_no_number_there_is_left_out_for_all():
    tasks = [{"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0}, {"a": 1.0, "b": 2.0, "c": math.nan}]
    found = mean_ranks(tasks)
    assert set(found) == {"a", "b"}
    assert found["b"].mean == 1.0


def test_tasks_that_agree_or_are_one_do_not_tell_the_spread():
    agreeing = mean_ranks([{"a": 2.0, "b": 1.0}] * 5)
    assert not any(each.known for each in agreeing.values())
    assert not any(each.known for each in mean_ranks([{"a": 2.0, "b": 1.0}]).values())


def test_nobody_in_common_is_nobody_ranked():
    assert mean_ranks([{"a": 1.0}, {"b": 1.0}]) == {}


@pytest.mark.parametrize(("tasks", "better"), [([], []), ([{"a": 1.0}], [True, False])])
def test_directions_go_with_tasks(tasks, better):
    with pytest.raises(ValueError, match="cannot be ranked"):
        mean_ranks(tasks, higher_is_better=better)
