"""Figures of cost trials: time and memory against length, and the roofline."""

import pytest

from reports.figures import write_figures
from results.curve import Crossover
from results.record import Record
from tests.reports.test_figures import drawn, rows_of, title
from tests.results.curves import COPY, PRODUCT, fake_cell, fake_cost_record, quadratic

pytest.importorskip("altair")
TIME, MEMORY, ROOF = "cost-kernel-time", "cost-kernel-memory", "cost-kernel-roofline"
LENGTHS = (256, 512, 1024, 2048)


def trials(**rest: object) -> list[Record]:
    linear = [fake_cell(length=n) for n in LENGTHS]
    square = [fake_cell(length=n, law=quadratic) for n in LENGTHS]
    crossing = Crossover(
        quantity="latency",
        mode="forward",
        causal=True,
        below=640,
        above=704,
        verdict="crosses",
        shortest=256,
        longest=2048,
    )
    return [
        fake_cost_record("linear", cells=linear, crossovers=[crossing], **rest),
        fake_cost_record("square", cells=square, **rest),
    ]


def test_time_has_every_method_and_the_reference_at_every_length():
    found = rows_of(drawn(*trials())[TIME])
    for series in ("linear", "square", "fake-exact"):
        assert {row["x"] for row in found if row["series"] == series} >= set(LENGTHS)


def test_a_crossover_is_ringed_within_its_interval_on_the_line_of_its_method():
    (ring,) = {
        tuple(sorted(row.items())) for row in rows_of(drawn(*trials())[TIME]) if "low" in row
    }
    ring = dict(ring)
    assert ring["series"] == "linear"
    assert 640 < ring["x"] < 704
    line = {r["x"]: r["value"] for r in rows_of(drawn(*trials())[TIME]) if r["series"] == "linear"}
    assert line[512] < ring["value"] < line[1024]
    assert not any("low" in row for row in rows_of(drawn(*trials())[MEMORY]))


def test_lengths_measured_for_a_crossover_alone_are_not_on_the_line():
    cells = [*(fake_cell(length=n) for n in LENGTHS), fake_cell(length=700, probe=True)]
    found = rows_of(drawn(fake_cost_record("linear", cells=cells))[TIME])
    assert 700 not in {row["x"] for row in found}


def test_a_share_of_the_limit_stands_at_its_intensity_and_the_ridge_is_marked():
    found = rows_of(drawn(*trials())[ROOF])
    cell = fake_cell(length=1024)
    assert cell.flops
    assert cell.least_bytes
    (row,) = {
        (row["x"], row["value"])
        for row in found
        if row.get("series") == "linear" and row["length"] == 1024
    }
    assert row[0] == pytest.approx(cell.flops / cell.least_bytes)
    assert 0 < row[1] <= 100
    assert any(
        row.get("x") == pytest.approx(PRODUCT / COPY) and "series" not in row for row in found
    )


def test_times_of_two_machines_or_number_formats_never_share_a_figure():
    found = drawn(*trials(), *trials(machine="Other CPU"), *trials(dtype="bfloat16"))
    times = {name for name in found if "time" in name}
    assert times == {TIME, f"{TIME}-2", "cost-kernel-bfloat16-time"}
    assert sum("Other CPU" in title(found[name]) for name in times) == 1


def test_one_length_is_no_line():
    found = drawn(fake_cost_record("linear", cells=[fake_cell(length=256)]))
    assert TIME not in found


def test_they_are_valid_and_drawn(tmp_path):
    import altair as alt

    found = drawn(*trials())
    assert {TIME, MEMORY, ROOF} <= found.keys()
    alt.Chart.from_dict(found[TIME].specification)
    svg, png = write_figures([found[ROOF]], tmp_path)
    assert "NaN" not in svg.read_text()
    assert png.read_bytes().startswith(b"\x89PNG")
