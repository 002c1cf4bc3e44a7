"""Figures of language tasks: what is in them, and what never is."""

import json
from itertools import pairwise

import pytest

from reports.figures import figures, write_figures
from reports.png import compressed
from results.record import Record
from tests.reports.test_figures import drawn, one, rows_of, title
from tests.results.language import (
    RATES,
    fake_language_record,
    fake_stability_record,
    finetuned,
)
from tests.results.records import failed_record, fake_identity

pytest.importorskip("altair")
RECOVERY, LOSSES = "c4-finetune-quick-recovery", "c4-finetune-quick-training-loss"


def recovery(*records: Record) -> object:
    return drawn(*records)[RECOVERY]


def test_a_language_task_has_its_figures():
    found = [*drawn(*finetuned(), fake_stability_record())]
    price = "c4-quick-accuracy-throughput"
    assert found == [RECOVERY, LOSSES, "c4-stability-quick-stability", price]


def test_recovery_has_methods_in_colour_and_controls_as_named_lines():
    figure = recovery(*finetuned())
    specification = json.dumps(figure.specification)
    legend = next(
        node["scale"]["domain"]
        for panel in figure.specification["concat"]
        for layer in panel["layer"]
        if (node := layer["encoding"].get("color"))
    )
    assert legend == ["darkformer", "performer", "lfk", "hopeless"]
    assert {row["series"] for row in rows_of(figure)} >= {"softmax", "constant", "random"}
    assert '"strokeDash": [5, 3]' in specification
    assert "tokens trained" in specification
    assert "next-token accuracy, %" in specification
    assert "loss, nat a token" in specification


def test_recovery_is_against_tokens_and_in_percent():
    rows = [r for r in rows_of(recovery(*finetuned())) if r["series"] == "lfk"]
    assert {row["x"] for row in rows} == {0, 51_200, 102_400, 153_600, 204_800}
    assert max(row["value"] for row in rows) == pytest.approx(20.0)


def test_names_of_controls_never_stand_on_each_other():
    floors = [fake_language_record(f"floor-{i}", 0.1, role="floor") for i in range(3)]
    figure = recovery(*floors, *finetuned())
    panel = figure.specification["concat"][0]
    (text,) = (x for x in panel["layer"] if x["mark"]["type"] == "text")
    heights = sorted(row["value"] for row in text["data"]["values"])
    assert min(b - a for a, b in pairwise(heights)) > 1


def test_intervals_are_drawn_over_seeds_and_only_there():
    def bars(records: list[Record]) -> list[dict]:
        return [row for row in rows_of(recovery(*records)) if row["high"] > row["low"]]

    assert not bars(finetuned())
    varied = [fake_language_record("lfk", 0.2 + seed / 50, seed=seed) for seed in range(3)]
    assert bars(varied)


def test_spikes_are_marked_at_their_tokens():
    figure = drawn(fake_language_record("lfk", spikes=(12, 40)))[LOSSES]
    (panel,) = figure.specification["concat"]
    marked = panel["layer"][-1]
    assert marked["mark"]["shape"] == "triangle-down"
    assert [row["x"] for row in marked["data"]["values"]] == [12 * 2048, 40 * 2048]
    assert panel["title"]["text"] == "lfk: 2 spikes"
    assert "spikes, a step whose loss is made up." in title(figure)


def test_of_many_steps_medians_are_drawn_and_that_is_said():
    record = fake_language_record()
    assert record.language is not None
    language = record.language.model_copy(update={"losses": [3.0] * 1000})
    figure = drawn(record.model_copy(update={"language": language}))[LOSSES]
    assert len(rows_of(figure)) <= 300
    assert "Each point is the median of 4 steps." in title(figure)


def test_a_rate_that_diverged_stands_above_the_panel_and_has_no_number():
    record = fake_stability_record(
        "lfk", dict(zip(RATES, (3.4, 3.1, 3.0, None, None), strict=True))
    )
    figure = one(record)
    without = {row["x"] for row in rows_of(figure) if row.get("value", 0) is None}
    assert without == {3e-3, 1e-2}
    assert '"diverged"' in json.dumps(figure.specification)
    assert "learning rate" in json.dumps(figure.specification)


def test_where_everything_diverged_there_is_no_figure():
    assert figures([fake_stability_record("lfk", dict.fromkeys(RATES))]) == []


def test_records_without_a_measurement_have_no_figure():
    assert figures([failed_record(fake_identity("lfk", "c4/finetune"))]) == []


def test_methods_beyond_what_can_be_told_apart_are_in_the_table_and_that_is_said():
    records = [fake_language_record(f"m{i}", 0.2 + i / 100) for i in range(10)]
    words = title(recovery(*records))
    assert "The best 8; 2 more are in the table." in words


def test_a_figure_says_its_protocol_and_where_it_comes_from():
    words = title(recovery(*finetuned((0, 1))))
    for piece in ("204\u00a0800 tokens", "c4/finetune version 1", "seeds 0-1", "commit 000000000"):
        assert piece in words


def test_specifications_are_valid_vega_lite_and_can_be_written(tmp_path):
    import altair as alt

    roles = {"lfk": "method", "softmax": "ceiling", "constant": "floor"}
    records = [fake_language_record(name, role=role, spikes=(9,)) for name, role in roles.items()]
    found = figures(records)
    for figure in found:
        alt.Chart.from_dict(figure.specification)
    assert len(write_figures(found[:1], tmp_path)) == 2


def test_a_png_made_smaller_has_the_same_pixels():
    import vl_convert

    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle r="30"/></svg>'
    png = vl_convert.svg_to_png(svg, scale=2.0)
    small = compressed(png)
    assert len(small) <= len(png)
    assert compressed(small) == small
    with pytest.raises(ValueError, match="no PNG"):
        compressed(b"<svg/>")
