"""Mean ranks beside the scores of a suite."""

import csv
import io

import pytest

from reports.cells import compare
from reports.frame import rows
from reports.ranking import suite_ranks
from reports.table import render
from tests.reports.samples import METHODS, TASKS, suite
from tests.results.records import fake_identity, fake_record


def ranked(records):
    comparison = compare(rows(records))
    return suite_ranks(comparison, list(comparison.columns))


def test_methods_are_ranked_and_floors_and_ceilings_are_not():
    found = ranked(suite())
    assert set(found) == set(METHODS)
    assert found["hopeless"].mean == 4.0
    assert found["strong"].mean < found["weak"].mean == 3.0


def test_who_lacks_a_task_is_ranked_nowhere_and_says_so():
    records = [r for r in suite() if (r.identity.method, r.identity.task) != ("weak", TASKS[3])]
    found = ranked(records)
    assert set(found) == set(METHODS) - {"weak"}
    assert found["hopeless"].mean == 3.0
    assert "incomplete" in render(records, "markdown", cost=False)


def test_two_tasks_or_two_methods_are_too_few():
    assert ranked(suite(tasks=TASKS[:2])) == {}
    assert ranked(suite(tasks=TASKS[:3]))
    records = [r for r in suite() if r.identity.method not in ("weak", "hopeless")]
    assert ranked(records) == {}


def test_a_task_in_two_columns_does_not_count_twice():
    again = [
        fake_record(fake_identity(m, "lra/listops", source="hub"), accuracy=a)
        for m, a in METHODS.items()
    ]
    assert ranked([*suite(), *again]) == {}


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_the_table_has_a_column_of_ranks_and_says_what_its_interval_is(format):
    text = " ".join(render(suite(), format, cost=False, width=200).split())
    assert "Mean rank among 4 methods over 5 tasks, 1 the best" in text
    assert "mean rank" in render(suite(), "markdown", cost=False)


def test_ranks_are_rows_for_machines_too():
    found = list(csv.DictReader(io.StringIO(render(suite(), "csv"))))
    (row,) = (r for r in found if (r["quantity"], r["method"]) == ("mean-rank", "hopeless"))
    assert (row["task"], row["value"], row["samples"], row["low"]) == ("lra", "4.0", "5", "")
