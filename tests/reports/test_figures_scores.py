"""Figures of scores: the Pareto front and learning curves."""

import json

import pytest

from reports.cells import compare
from reports.figures import write_figures
from reports.frame import rows
from reports.front import machines, offers
from results.record import CurvePoint, Record
from tests.reports.test_figures import drawn, rows_of, title
from tests.results.records import fake_data, fake_identity, fake_record

pytest.importorskip("altair")
FRONT, LEARNING = "lra-quick-accuracy-throughput", "lra-quick-listops-learning"
"""Accuracy and seconds a step."""
CHOICES = {
    "slow": ("method", 0.6, 0.04),
    "middling": ("method", 0.5, 0.02),
    "beaten": ("method", 0.4, 0.03),
    "softmax": ("ceiling", 0.55, 0.03),
    "floor": ("floor", 0.2, 0.001),
}


def choices(**rest: object) -> list[Record]:
    return [
        fake_record(fake_identity(name), accuracy=accuracy, role=role, step_seconds=seconds, **rest)
        for name, (role, accuracy, seconds) in CHOICES.items()
    ]


def test_on_the_front_is_what_nothing_beats_in_both_and_no_floor():
    comparison = compare(rows(choices()))
    (column,) = comparison.columns
    (machine,) = machines(comparison, [column])
    found = {o.contender.label: o.on_front for o in offers(comparison, column, machine)}
    assert found == {
        "slow": True,
        "middling": True,
        "softmax": True,
        "beaten": False,
        "floor": False,
    }


def test_the_front_is_ringed_and_everything_is_in_the_figure_with_its_memory():
    found = rows_of(drawn(*choices())[FRONT])
    assert {row["series"] for row in found if "halo" in row} == {"slow", "middling", "softmax"}
    assert {row["series"] for row in found if "memory" in row} == set(CHOICES)
    assert all(row["halo"] > row["memory"] > 0 for row in found if "halo" in row)


def test_times_of_two_machines_never_share_a_figure():
    figures = drawn(
        *choices(),
        *(
            fake_record(fake_identity(f"{name}-2"), step_seconds=1.0, machine="Other CPU")
            for name in ("a", "b")
        ),
    )
    assert {name for name in figures if "throughput" in name} == {FRONT, f"{FRONT}-2"}
    first, second = (
        {row["series"] for row in rows_of(figures[name]) if "series" in row}
        for name in (FRONT, f"{FRONT}-2")
    )
    assert not first & second
    assert "Other CPU" in title(figures[f"{FRONT}-2"])


def test_two_sources_and_two_sets_of_data_never_share_a_panel():
    other = [
        fake_record(fake_identity(name, source="hub"), data=fake_data("Other"))
        for name in ("slow", "middling")
    ]
    figure = drawn(*choices(), *other)[FRONT]
    assert len(figure.specification["concat"]) == 2


def test_one_method_alone_has_no_front():
    assert drawn(fake_record(), fake_record(fake_identity("f"), role="floor")).keys() == {LEARNING}


def test_learning_curves_are_means_over_seeds_and_a_spike_stands_above_them():
    losses = [1.0] * 15 + [9.0] + [1.0] * 4
    records = []
    for seed, scale in ((0, 1.0), (1, 3.0)):
        record = fake_record(fake_identity("a", seed=seed))
        curve = [
            CurvePoint(step=i + 1, loss=scale * loss, learning_rate=1e-3)
            for i, loss in enumerate(losses)
        ]
        assert record.training is not None
        training = record.training.model_copy(update={"curve": curve})
        records.append(record.model_copy(update={"training": training}))
    figure = drawn(*records, fake_record(fake_identity("b")))[LEARNING]
    found = rows_of(figure)
    assert {row["value"] for row in found if row["series"] == "a" and row["x"] == 3} == {2.0}
    assert {(r["series"], r["x"]) for r in found if "seed" in r} == {("a", 16)}
    assert "Triangles above" in title(figure)


def test_where_nothing_spikes_there_is_no_strip_and_the_gaps_are_told():
    figure = drawn(*choices())[LEARNING]
    assert "vconcat" not in json.dumps(figure.specification)
    assert "There is no spike" in title(figure)
    assert "One loss in 10 is on record" in title(figure)


def test_they_are_valid_and_drawn(tmp_path):
    import altair as alt

    found = drawn(*choices())
    alt.Chart.from_dict(found[FRONT].specification)
    written = write_figures([found[LEARNING]], tmp_path)
    assert not any("NaN" in path.read_text() for path in written if path.suffix == ".svg")
