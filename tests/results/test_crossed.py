"""The variance of a mean over a crossed table, against mean squares written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from results.crossed import Term, joined, parts_of

tables = arrays(np.float64, (3, 7), elements=st.floats(-5, 5, width=32))


def term(values: np.ndarray, weight: float = 1.0, first_seed: int = 0) -> Term:
    seeds = tuple(range(first_seed, first_seed + len(values)))
    return Term(weight=weight, seeds=seeds, values=np.asarray(values, dtype=np.float64))


def mean_squares(table: np.ndarray) -> tuple[float, float, float]:
    """Between rows, between columns, of the rest, entry by entry."""
    rows, columns = table.shape
    grand = table.mean()
    by_row, by_column, rest = 0.0, 0.0, 0.0
    for i in range(rows):
        by_row += columns * (table[i].mean() - grand) ** 2 / (rows - 1)
        for j in range(columns):
            left = table[i, j] - table[i].mean() - table[:, j].mean() + grand
            rest += left**2 / ((rows - 1) * (columns - 1))
    for j in range(columns):
        by_column += rows * (table[:, j].mean() - grand) ** 2 / (columns - 1)
    return by_row, by_column, rest


@given(tables)
def test_the_parts_are_the_mean_squares_over_the_number_of_entries(table):
    by_row, by_column, rest = (each / table.size for each in mean_squares(table))
    found = parts_of([term(table)])
    assert [freedom for _, freedom in found] == [6.0, 2.0, 12.0]
    assert [part for part, _ in found] == pytest.approx([by_column, by_row, -rest], abs=1e-9)


@given(tables, st.floats(-3, 3))
def test_a_shift_changes_nothing_and_a_factor_goes_in_squared(table, shift):
    variance, _ = joined(parts_of([term(table)]))
    assert joined(parts_of([term(table + shift)]))[0] == pytest.approx(variance, abs=1e-9)
    assert joined(parts_of([term(table, -2.0)]))[0] == pytest.approx(4 * variance, abs=1e-9)


@given(tables)
def test_the_whole_is_never_less_than_one_of_its_parts(table):
    parts = parts_of([term(table)])
    variance, freedom = joined(parts)
    assert variance >= max(part for part, _ in parts)
    assert freedom > 0


def test_a_paired_difference_of_tables_is_the_table_of_differences():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 4, 9))
    together = joined(parts_of([term(first), term(second, -1.0)]))
    assert together == pytest.approx(joined(parts_of([term(first - second)])))


def test_other_seeds_are_not_paired_and_columns_still_are():
    rng = np.random.default_rng(4)
    hard = rng.normal(size=64)
    first, second = (hard + 0.01 * rng.normal(size=(3, 64)) for _ in range(2))
    apart = parts_of([term(first), term(second, -1.0, first_seed=3)])
    assert len(apart) == 5
    assert joined(apart)[0] < 1e-5 < joined(parts_of([term(first)]))[0]


def test_the_estimate_is_right_on_average():
    rng = np.random.default_rng(7)
    a, b, c = 0.3, 1.0, 2.0
    seeds, examples, found = 4, 12, []
    for _ in range(3000):
        table = (
            a * rng.normal(size=(seeds, 1))
            + b * rng.normal(size=(1, examples))
            + c * rng.normal(size=(seeds, examples))
        )
        found.append(sum(part for part, _ in parts_of([term(table)])))
    truth = a**2 / seeds + b**2 / examples + c**2 / seeds / examples
    error = float(np.std(found) / np.sqrt(len(found)))
    assert abs(np.mean(found) - truth) < 4 * error


def test_one_row_has_the_spread_of_its_columns_alone_and_one_entry_none():
    values = np.array([[1.0, 2.0, 4.0]])
    assert parts_of([term(values)]) == [(pytest.approx(values.var(ddof=1) / 3), 2.0)]
    assert parts_of([term(values[:, :1])]) == []
    assert joined([]) == (0.0, float("inf"))
