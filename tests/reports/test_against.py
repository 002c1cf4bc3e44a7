"""Published numbers beside ours: what is the same and what is not, and whose times stand where."""

import csv
import io
import json

import pytest

from reports.cells import compare
from reports.frame import rows
from reports.matching import matches, shared_blocks, verdict
from reports.table import render
from results.protocols import published_protocols
from results.published import LRA_TASKS, published_tables
from results.record import Record
from tests.reports.samples import TASKS, suite
from tests.results.records import fake_data, fake_identity, fake_record

TABLES = {table.name: table for table in published_tables()}
FIRST = TABLES["lra-table-1"]


def like(protocol: str, task: str, method: str = "performer", **other: object) -> Record:
    """A record of ours under the very conditions that were published, but for `other`."""
    theirs = published_protocols()[protocol].of(task)
    assert theirs is not None
    settings = theirs.model_dump(include={"steps", "batch_size", "num_layers", "d_model"})
    data = {"max_time": theirs.length, "num_train": theirs.num_train, "stand_in": False}
    settings |= {name: value for name, value in other.items() if name in settings}
    data |= {name: value for name, value in other.items() if name in data}
    record = fake_record(fake_identity(method, task, preset=str(other.get("preset", protocol))))
    card = fake_data(f"Made-up {task}").model_copy(update=data)
    return record.model_copy(update={"settings_resolved": settings, "data": card})


def matched(record: Record, table=FIRST):
    comparison = compare(rows([record]))
    (columns,) = shared_blocks(comparison, table)
    (match,) = matches(comparison, columns, table)
    return match


@pytest.mark.parametrize("task", LRA_TASKS)
def test_the_very_conditions_are_a_match(task):
    match = matched(like("lra-paper", task))
    assert match.same is True
    assert verdict([match]) == "The protocols match on all 1 tasks."


@pytest.mark.parametrize(
    ("aspect", "change"),
    [
        ("preset", {"preset": "small"}),
        ("data", {"stand_in": True}),
        ("length", {"max_time": 99}),
        ("training examples", {"num_train": 2_000}),
        ("steps x batch", {"steps": 2_000}),
        ("steps x batch", {"batch_size": 64}),
        ("layers x width", {"num_layers": 2}),
        ("layers x width", {"num_layers": 512, "d_model": 6}),
    ],
)
def test_each_condition_alone_can_make_a_protocol_another_one(aspect, change):
    match = matched(like("lra-paper", "lra/listops", **change))
    assert match.same is False
    assert match.differing == [aspect]
    assert aspect in verdict([match])


@pytest.mark.parametrize(
    "change", [{"max_time": 1_999}, {"num_train": 90_000}, {"steps": 2_500, "batch_size": 64}]
)
def test_what_differs_by_less_than_anyone_minds_is_the_same(change):
    assert matched(like("lra-paper", "lra/listops", **change)).same is True


def test_a_changed_setting_makes_it_another_preset():
    record = like("lra-paper", "lra/listops")
    identity = record.identity.model_copy(update={"settings": {"dropout": 0.2}})
    assert matched(record.model_copy(update={"identity": identity})).differing == ["preset"]


def test_what_nobody_told_is_not_known_and_no_match():
    record = fake_record(fake_identity("mamba", preset="unknown"))
    match = matched(record, TABLES["lra-later"])
    assert (match.protocol, match.same) == ("unknown", None)
    assert "not known on 1" in verdict([match])


def test_a_trial_that_failed_before_its_data_matches_nothing():
    record = fake_record(fake_identity("performer", preset="lra-paper"))
    nothing = {"data": None, "settings_resolved": {}, "metrics": [], "training": None}
    match = matched(record.model_copy(update={**nothing, "status": "crashed", "reason": "boom"}))
    assert match.same is None
    assert match.aspects[2].text == "not known, theirs 2000"


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_people_are_told_whether_the_protocols_match(format):
    records = [like("lra-paper", task, preset="small") for task in TASKS]
    text = " ".join(render(records, format, cost=False, against=[FIRST], width=160).split())
    assert "The protocols match on none of 5 tasks; they differ in preset" in text
    assert "Whether the protocols match" in text
    assert "small, not lra-paper" in text


def test_machines_are_told_whether_the_protocols_match():
    records = [like("lra-paper", "lra/listops"), like("lra-paper", "lra/text", stand_in=True)]
    found = json.loads(render(records, "json", against=published_tables()))
    told = {row["task"]: row for row in found if row["quantity"] == "protocol_matches"}
    assert {task: row["value"] for task, row in told.items()} == {"lra/listops": 1, "lra/text": 0}
    assert {row["role"] for row in told.values()} == {"protocol"}
    assert told["lra/text"]["reference"] == "lra-table-1:lra-paper"
    assert "data: a stand-in, not the task's own" in told["lra/text"]["reason"]
    from_csv = csv.DictReader(io.StringIO(render(records, "csv", against=published_tables())))
    assert len(list(from_csv)) == len(found)


@pytest.mark.parametrize("quantity", ["training steps a second", "peak memory a device"])
def test_times_and_memory_of_other_machines_never_stand_beside_ours(quantity):
    columns = {"columns": list(LRA_TASKS), "quantity": quantity, "unit": "1/s"}
    cells = FIRST.model_copy(update={**columns, "machine": "a machine elsewhere"})
    text = render([*suite(), like("lra-paper", "lra/text")], "markdown", against=[cells])
    assert "Ours beside published" not in text
    assert "Published alone" in text
    assert "Measured on a machine elsewhere, which says nothing of times here" in " ".join(
        text.replace("\\", "").split()
    )


def test_a_published_time_says_whose_machine_it_is():
    found = json.loads(render(suite(), "json", against=published_tables()))
    theirs = [row for row in found if row["role"] == "published" and row["unit"] in ("1/s", "GB")]
    assert len(theirs) == 72
    assert {row["machine"] for row in theirs} == {"4 x 4 TPU v3"}
