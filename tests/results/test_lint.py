"""The lint of published numbers: it finds nothing in ours, and everything in doctored ones."""

import pytest

from results.lint import flaws, main, slips
from results.protocols import near, published_protocols
from results.published import LRA_TASKS, Table, published_tables
from tasks.lra import protocols
from tests.processes import run_command

TABLES = {table.name: table for table in published_tables()}


def doctored(table: str, method: str, **change) -> list[Table]:
    """All tables, one row changed: a cell by its column, or the row's own fields."""
    document = TABLES[table].model_dump()
    row = next(row for row in document["rows"] if row["method"] == method)
    for cell in row["cells"]:
        cell |= change.get("cells", {}).get(cell["column"], {})
    for printed in row["printed"]:
        printed |= change.get("printed", {})
    row |= change.get("row", {})
    return [Table.model_validate(document), *(t for n, t in TABLES.items() if n != table)]


def test_the_published_tables_have_no_flaw():
    assert flaws(published_tables()) == []


def test_the_three_slips_are_told_with_what_is_right():
    told = slips(published_tables())
    assert len(told) == 3
    assert all(f"the cells give {right}" in " ".join(told) for right in ("51.48", "68.20"))


@pytest.mark.parametrize(
    ("table", "method", "change", "sentence"),
    [
        ("lra-table-1", "Performer", {"printed": {"value": 51.42}}, "which give 51.41"),
        ("lra-table-1", "Performer", {"cells": {"lra/text": {"value": 56.4}}}, "which give 49.61"),
        ("lra-table-1", "Performer", {"printed": {"slip": True, "note": "51.41"}}, "is marked as"),
        ("lra-table-1", "Sinkhorn Trans.", {"printed": {"note": ""}}, "does not say 51.48"),
        ("lra-table-1", "Local Attention", {"cells": {"lra/text": {"value": -1}}}, "no percentage"),
        ("lra-table-1", "Performer", {"cells": {"lra/pathx": {"note": ""}}}, "does not say why"),
        ("lra-table-1", "Performer", {"row": {"mark": "R"}}, "read nowhere"),
        ("lra-table-1", "Performer", {"row": {"bench_method": "softmax"}}, "are both softmax"),
        ("lra-table-2-speed", "Synthesizer", {"cells": {"3K": {"note": ""}}}, "6.6 after 5.7"),
        ("lra-table-2-speed", "Performer", {"cells": {"4K": {"value": 7.0}}}, "which give 5.00"),
        (
            "lra-table-2-memory",
            "Linformer",
            {"cells": {"3K": {"note": ""}, "4K": {"note": ""}}},
            "4K is 0.99 after 0.99",
        ),
        ("lra-table-2-memory", "Performer", {"cells": {"1K": {"value": 0.0}}}, "is not above 0"),
    ],
)  # fmt: skip
def test_a_flaw_is_found(table, method, change, sentence):
    found = flaws(doctored(table, method, **change))
    assert any(sentence in flaw and method in flaw for flaw in found), found


def test_a_row_copied_by_mistake_is_found():
    cells = next(r for r in TABLES["lra-table-1"].rows if r.method == "Performer").cells
    row = {"cells": [cell.model_dump() for cell in cells], "printed": []}
    found = flaws(doctored("lra-table-1", "Linear Trans.", row=row))
    assert any("agree in 5 cells: a row copied?" in flaw for flaw in found)


def test_a_number_that_two_tables_tell_differently_is_found():
    other = doctored("lra-table-1", "Performer", cells={"lra/image": {"value": 42.78}})
    found = flaws([TABLES["lra-table-1"], other[0].model_copy(update={"name": "again"})])
    assert any("lra/image" in flaw and "in another table" in flaw for flaw in found)


def test_the_command_tells_the_slips_and_succeeds(capsys):
    assert main() == 0
    assert "3 slips, all marked; 0 flaws." in capsys.readouterr().out
    assert run_command("-m", "results.lint").returncode == 0


@pytest.mark.parametrize("name", ["lra-paper", "nystrom", "s4"])
def test_published_conditions_are_those_of_our_preset_of_the_name(name):
    for theirs in published_protocols()[name].tasks:
        model, training, _ = protocols.published(name, theirs.task.removeprefix("lra/"))
        assert (theirs.steps, theirs.batch_size) == (training.steps, training.batch_size)
        assert (theirs.num_layers, theirs.d_model) == (model.num_layers, model.d_model)


def test_every_protocol_of_conditions_has_lras_five_tasks():
    for protocol in published_protocols().values():
        assert set(LRA_TASKS) <= {each.task for each in protocol.tasks}


def test_every_named_protocol_of_a_row_has_its_conditions():
    named = {row.protocol or table.protocol for table in TABLES.values() for row in table.rows}
    assert named - set(published_protocols()) == {"own", "unknown", "spt"}


@pytest.mark.parametrize(("ours", "same"), [(90, True), (110, True), (89, False), (111, False)])
def test_what_differs_by_a_tenth_is_near(ours, same):
    assert near(ours, 100) is same
