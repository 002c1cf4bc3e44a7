"""Cost curves for machines: a number a row, in base units, and a row for every gap."""

import json

import pytest

from reports.table import render
from results.record import Record
from tests.results.curves import failed_cell, fake_cell, fake_cost_record, fake_crossovers


def tidy(*records: Record, **options: object) -> list[dict]:
    return json.loads(render(records, "json", **options))


def one(rows: list[dict], **wanted: object) -> dict:
    (row,) = (row for row in rows if all(row[name] == v for name, v in wanted.items()))
    return row


def test_every_number_of_a_cell_is_a_row_in_base_units():
    cell = fake_cell(length=512, seconds=[0.25] * 9, reference_seconds=[1.0] * 9)
    rows = tidy(fake_cost_record("a", [cell]))
    assert one(rows, quantity="latency_seconds", unit="s")["value"] == 0.25
    assert one(rows, quantity="times_as_fast_as_reference")["value"] == 4.0
    assert one(rows, quantity="flops")["value"] == cell.flops
    assert one(rows, quantity="bytes_moved", unit="B")["value"] == cell.bytes_moved
    share = one(rows, quantity="share_of_limit", unit="fraction")["value"]
    assert share == pytest.approx(cell.limit_seconds / 0.25)


def test_every_row_says_where_it_stands():
    row = one(tidy(fake_cost_record("a", [fake_cell()])), quantity="latency_seconds")
    where = {"mode": "forward", "causal": True, "length": 1024, "level": "kernel", "batch": 1}
    where |= {"num_heads": 8, "head_dim": 64, "reference": "fake-exact", "threads": 2}
    assert {name: row[name] for name in where} == where
    assert row["low"] <= row["value"] <= row["high"]


def test_a_failed_cell_is_a_row_with_its_reason_and_no_value():
    row = one(tidy(fake_cost_record("a", [failed_cell(512, reason="too long.")])))
    assert (row["quantity"], row["value"]) == ("latency_seconds", None)
    assert (row["status"], row["reason"]) == ("timed-out", "too long.")


def test_a_crossover_is_its_interval_in_tokens():
    record = fake_cost_record("a", [fake_cell()], crossovers=fake_crossovers())
    row = one(tidy(record), quantity="crossover_latency", unit="tokens")
    assert (row["low"], row["high"], row["status"]) == (640, 704, "crosses")


def test_a_peer_is_its_time_over_ours():
    records = [
        fake_cost_record(name, [fake_cell(seconds=[t] * 9, reference_seconds=[1.0] * 9)], same_as=s)
        for name, t, s in (("ours", 0.1, None), ("other", 0.3, "ours"))
    ]
    row = one(tidy(*records, part="peers"))
    assert (row["method"], row["reference"]) == ("other", "ours")
    assert row["value"] == pytest.approx(3.0)


def test_the_fits_are_rows_under_the_models_names():
    records = [
        fake_cost_record(name, [fake_cell(length=n, seed=i + n) for n in (256, 512)])
        for i, name in enumerate("abc")
    ]
    rows = tidy(*records, part="proxy")
    assert {row["role"] for row in rows} == {"proxy"}
    assert one(rows, method="bytes moved + constant", quantity="median_error")["value"] < 0.1
