"""Figures: what is in them, what never is, and that they are drawn without a network."""

import json
import math
import re
import socket

import pytest

from reports.figures import Figure, figures, missing_packages, write_figures
from results.record import Record
from tests.results.probes import (
    ISOTROPIC,
    OPTIMAL,
    bias_points,
    fake_point,
    fake_probe_record,
    features_needed,
    second_moments,
    variances,
)
from tests.results.records import fake_record

pytest.importorskip("altair")


def drawn(*records: Record) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures(records)}


def one(*records: Record) -> Figure:
    (figure,) = drawn(*records).values()
    return figure


def rows_of(figure: Figure) -> list[dict]:
    """The data of every layer."""
    found = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("data"), dict):
                found.extend(node["data"]["values"])
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(figure.specification)
    return found


def title(figure: Figure) -> str:
    given = figure.specification["title"]
    return " ".join((*given["text"], *given["subtitle"]))


def test_every_probe_known_here_has_its_figures():
    records = [
        fake_probe_record(second_moments()),
        fake_probe_record(bias_points(5.0), task="probes/bias"),
        fake_probe_record(features_needed(), task="probes/real-qk"),
    ]
    assert [*drawn(*records)] == [
        "probes-bias-quick-relative-bias",
        "probes-real-qk-quick-features-needed",
        "probes-variance-quick-second-moment",
    ]


def test_what_is_infinite_is_a_triangle_with_its_word_and_has_no_number():
    figure = one(fake_probe_record(second_moments((0.1, 0.3, 0.6))))
    text = json.dumps(figure.specification)
    assert '"infinite"' in text
    endless = [row for row in rows_of(figure) if row.get("value", 0) is None]
    # Of each spectrum isotropic features past 1/6, and both past 1/2.
    assert sorted((row["series"], row["x"]) for row in endless) == sorted(
        2 * [(ISOTROPIC, 0.3), (ISOTROPIC, 0.6), (OPTIMAL, 0.6)]
    )


def test_both_poles_are_marked_even_where_nothing_was_measured_near_them():
    rows = rows_of(one(fake_probe_record(second_moments((0.01, 0.02)))))
    assert {row["name"]: row["x"] for row in rows if "name" in row} == pytest.approx(
        {"1/6": 1 / 6, "1/2": 1 / 2}
    )


def test_theory_is_a_line_and_what_is_measured_are_points_with_intervals():
    figure = one(fake_probe_record(second_moments((0.05, 0.1))))
    marks = set(re.findall(r'"type": "(\w+)"', json.dumps(figure.specification)))
    assert {"line", "point", "rule"} <= marks
    at = [r for r in rows_of(figure) if r.get("series") == OPTIMAL and r["x"] == 0.1]
    flat = math.prod([1 - 0.2] * 8) ** -1
    assert any(r["value"] == pytest.approx(flat) for r in at)
    assert all(r["low"] < r["high"] for r in at)


def test_a_figure_says_how_to_read_it_and_where_it_comes_from():
    words = title(one(fake_probe_record(second_moments())))
    for piece in (
        "Lines: theory",
        "95 % intervals",
        "infinite, so no number",
        "probes/variance version 1",
        "preset quick",
        "commit 000000000",
        "Estimators of the probe, of no method",
    ):
        assert piece in words


def test_a_figure_names_its_methods_with_all_options_and_what_they_were_measured_on():
    record = fake_probe_record(
        features_needed(),
        "performer",
        "probes/real-qk",
        options={"num_features": 256, "key_shift": "both"},
        settings={"length": 64},
        card={"fake-lm: digest": "0123456789abcdef"},
    )
    words = title(one(record))
    assert "performer (key_shift=both, num_features=256)" in words
    assert "changed length=64" in words
    assert "fake-lm: digest 0123456789ab," in words


def test_heads_that_need_more_than_was_tried_are_above_the_panel():
    figure = one(fake_probe_record(features_needed(), task="probes/real-qk"))
    beyond = {row["x"] for row in rows_of(figure) if row.get("value", 0) is None}
    assert beyond == {4.0, 5.0}
    assert '"more than 4096"' in json.dumps(figure.specification)


def test_a_panel_in_which_nothing_is_finite_is_still_drawn(tmp_path):
    points = features_needed() + [
        point.model_copy(
            update={
                "value": None,
                "reason": "more than 4096",
                "where": {**point.where, "target": 0.1},
            }
        )
        for point in features_needed()
    ]
    figure = one(fake_probe_record(points, task="probes/real-qk"))
    assert len(figure.specification["concat"]) == 2
    assert len(write_figures([figure], tmp_path)) == 2


def test_panels_beyond_what_can_be_read_are_left_out_and_that_is_said():
    points = [
        fake_point("excess", 1.1, proposal_samples=n, shrinkage=0.0, lambda_max=0.01 * i)
        for n in (64, 512)
        for i in range(1, 9)
    ]
    figure = one(fake_probe_record(points))
    assert len(figure.specification["concat"]) == 5
    assert "Shown: 5 of 8 values of lambda max" in title(figure)


def test_a_reason_without_infinity_is_told_below_the_title_and_not_drawn():
    points = [
        fake_point("relative-variance", 0.1, estimator="fake-features", num_features=4),
        fake_point(
            "relative-variance", estimator="fake-features", num_features=8, reason="unsettled: 3"
        ),
        fake_point(
            "relative-variance", estimator="fake-features", num_features=16, reason="unsettled: 4"
        ),
    ]
    figure = one(fake_probe_record(points))
    assert "Not drawn, 2 without a value: unsettled: 3." in title(figure)
    assert {row["x"] for row in rows_of(figure) if "x" in row} == {4.0}


def test_a_bar_without_end_leaves_the_panel_and_does_not_stretch_its_axis():
    needed = [100.0, 200.0, 300.0, None]
    points = [
        fake_point("features-needed", n, layer=0, head=head, reason="" if n else "more than 400")
        for head, n in enumerate([*needed, None, 50.0, 60.0, None])
    ]
    figure = one(fake_probe_record(points, task="probes/real-qk"))
    row = next(row for row in rows_of(figure) if row.get("value"))
    assert (row["low"], row["value"], row["high"]) == (100.0, 250.0, 1e300)
    text = json.dumps(figure.specification)
    assert max(float(n) for n in re.findall(r'"domain": \[[^"\]]*, ([\d.]+)\]', text)) < 400


def test_figures_of_one_name_under_other_settings_are_told_apart():
    records = [
        fake_probe_record(second_moments(), settings={"num_samples": n}) for n in (1000, 2000)
    ]
    assert [*drawn(*records)] == [
        "probes-variance-quick-second-moment",
        "probes-variance-quick-second-moment-2",
    ]


def test_a_probe_that_is_not_known_here_has_figures_too():
    points = [fake_point("depth-of-well", 2.0 * n, width=n) for n in (1, 2, 4)]
    figure = one(fake_probe_record(points, task="probes/foreign"))
    assert "Depth of well against width" in title(figure)


def test_a_specification_is_valid_vega_lite():
    import altair as alt

    records = [
        fake_probe_record(second_moments()),
        fake_probe_record(bias_points(5.0), task="probes/bias"),
    ]
    for figure in figures(records):
        alt.Chart.from_dict(figure.specification)


def test_scores_have_no_figure():
    assert figures([fake_record()]) == []


def test_svg_and_png_are_written_without_a_network(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a figure asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    records = [fake_probe_record(second_moments() + variances())]
    svg, png = write_figures([figures(records)[0]], tmp_path / "new" / "folder")
    assert svg.read_text().startswith("<svg")
    assert png.read_bytes().startswith(b"\x89PNG")
    # Namespaces are names; anything else with an address would be fetched by whoever shows it.
    addresses = set(re.findall(r'https?://[^"\s)<]+', svg.read_text()))
    assert all("w3.org" in address for address in addresses)


def test_a_specification_that_wants_data_from_afar_fails(tmp_path):
    far = {
        "data": {"url": "https://example.org/data.json"},
        "mark": "point",
        "encoding": {"x": {"field": "a", "type": "quantitative"}},
    }
    with pytest.raises(ValueError, match=r"not allowed|External|access"):
        write_figures([Figure(name="far", specification=far)], tmp_path)


def test_without_its_packages_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert missing_packages() == (
        "figures need altair and vl-convert-python: `pip install altair vl-convert-python` or"
        " `pip install 'attention-bench[figures]'`."
    )


def test_one_series_alone_has_points_that_can_be_seen(tmp_path):
    points = [fake_point("depth-of-well", 2.0 * n, width=n) for n in (1, 2, 4)]
    svg, _ = write_figures([one(fake_probe_record(points, task="probes/foreign"))], tmp_path)
    assert "NaN" not in svg.read_text()
    assert svg.read_text().count('fill="#0072B2"') == len(points) + 1


def test_a_share_that_is_nothing_everywhere_is_drawn_at_the_foot_of_its_panel():
    points = [
        fake_point("collapsed-rows", 0.0, lambda_max=at, dtype=dtype)
        for at in (0.1, 0.2, 0.6)
        for dtype in ("float32", "bfloat16")
    ]
    figure = one(fake_probe_record(points, task="probes/attention-error"))
    (low, high) = figure.specification["concat"][0]["layer"][-1]["encoding"]["y"]["scale"]["domain"]
    assert -0.1 < low < 0
    assert high > 1


@pytest.mark.parametrize(("gap", "names"), [(1e-9, 1), (0.3, 2)])
def test_a_kernel_that_is_softmax_s_is_not_drawn_twice(gap, names):
    where = {"model": "fake-lm", "layer": 0}
    points = [
        fake_point("output-error", 0.5 / m, against=against, num_features=m, **where)
        for against in ("softmax", "own kernel")
        for m in (16, 32, 64)
    ]
    points.append(fake_point("kernel-gap", gap, **where))
    figure = one(fake_probe_record(points, "a", "probes/real-qk"))
    series = {row["series"] for row in rows_of(figure) if "series" in row}
    assert sorted(series) == ["a", "a, against own kernel"][:names]
