"""The published numbers are whole, cited and add up."""

import pytest
from pydantic import ValidationError

from results.published import LRA_TASKS, Table, published_tables, recompute

TABLES = {table.name: table for table in published_tables()}
SUMMARIES = [
    pytest.param(table, row, printed, id=f"{row.method}: {printed.where}")
    for table in TABLES.values()
    for row in table.rows
    for printed in row.printed
]


@pytest.mark.parametrize(("table", "row", "printed"), SUMMARIES)
def test_a_printed_summary_follows_from_its_cells_or_is_noted_as_a_slip(table, row, printed):
    ours = recompute(row, printed, table)
    digits = 1 if printed.quantity.startswith("ratio") else len(str(printed.value).split(".")[1])
    agrees = abs(ours - printed.value) <= 0.5 * 10**-digits + 1e-6
    assert agrees is not printed.slip
    if printed.slip:
        assert f"{row.mean():.2f}" in printed.note


def test_the_known_slips_are_noted():
    slips = {
        (row.method, printed.value)
        for table in TABLES.values()
        for row in table.rows
        for printed in row.printed
        if printed.slip
    }
    assert slips == {("Sinkhorn Trans.", 51.39), ("Sinkhorn Trans.", 51.29), ("RWKV-4", 72.07)}


@pytest.mark.parametrize(
    ("method", "mean"), [("softmax", 54.39), ("performer", 51.41), ("linear-transformer", 50.55)]
)
def test_lras_averages_are_the_known_ones(method, mean):
    row = next(r for r in TABLES["lra-table-1"].rows if r.bench_method == method)
    assert row.mean() == pytest.approx(mean, abs=0.006)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_every_number_has_source_protocol_mark_and_citation(table):
    values = list(table.values())
    assert values
    assert all(v.source and v.protocol and v.mark and v.citation for v in values)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_every_missing_number_says_why(table):
    assert all(v.value is not None or v.note for v in table.values())


def test_every_accuracy_is_a_percentage():
    values = [v for t in TABLES.values() if t.unit == "percent" for v in t.values()]
    assert all(v.value is None or 0 <= v.value <= 100 for v in values)


def test_every_row_of_lras_own_table_has_its_five_tasks():
    assert all(row.mean(LRA_TASKS) is not None for row in TABLES["lra-table-1"].rows)


def test_no_method_stands_twice_in_a_table():
    for table in TABLES.values():
        names = [row.bench_method for row in table.rows]
        assert len(set(names)) == len(names)


def test_a_number_under_an_unknown_column_is_refused():
    document = TABLES["lra-table-1"].model_dump()
    document["rows"][0]["cells"][0]["column"] = "lra/typo"
    with pytest.raises(ValidationError, match="doubtful columns"):
        Table.model_validate(document)
