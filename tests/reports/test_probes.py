"""The tables of probes: measured beside predicted, infinity by name, verdicts, features needed."""

import csv
import io
import json
from typing import get_args

import pytest

from reports.probes import gather_probes, is_probe
from reports.probes_bias import verdict_of
from reports.probes_places import swept, thinned
from reports.probes_tables import quantities_of
from reports.table import ProbePart, render
from results.record import Record
from tests.reports.test_curves import sections
from tests.results.probes import (
    ISOTROPIC,
    bias_points,
    fake_point,
    fake_probe_record,
    features_needed,
    measured,
    second_moments,
    variances,
)
from tests.results.records import failed_record, fake_identity, fake_record

FORMATS = ("table", "markdown", "latex", "csv", "json")


def shown(*records: Record) -> str:
    return render(records, "markdown")


def place(value: float | None, **where: object) -> Record:
    """A record of a probe that reports know nothing of."""
    points = [fake_point("length-of-tail", value, **where)]
    return fake_probe_record(points, "a", "probes/foreign")


@pytest.mark.parametrize("format", FORMATS)
def test_a_number_stands_beside_its_prediction_and_their_distance(format):
    points = [
        measured(
            "second-moment",
            2.0,
            off=1.5,
            error=0.1,
            estimator="known",
            spectrum="flat",
            lambda_max=0.1,
        )
    ]
    text = render([fake_probe_record(points)], format)
    if format in ("csv", "json"):
        rows = json.loads(text) if format == "json" else list(csv.DictReader(io.StringIO(text)))
        assert [float(rows[0][name]) for name in ("value", "predicted")] == pytest.approx([2.3, 2])
        assert json.loads(rows[0]["where"])["lambda_max"] == 0.1
    else:
        assert "2.30" in text
        assert "x1.150, +1.5 se" in text


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_infinite_is_said_in_words_and_never_in_a_number(format):
    reason = "infinite: lambda_max 0.2 >= 1/6"
    where = {"estimator": ISOTROPIC, "spectrum": "flat", "lambda_max": 0.2}
    text = render(
        [fake_probe_record([fake_point("second-moment", reason=reason, **where)])], format
    )
    assert "infinite" in text
    if format in ("csv", "json"):
        rows = json.loads(text) if format == "json" else list(csv.DictReader(io.StringIO(text)))
        assert rows[0]["value"] in (None, "")
        assert rows[0]["reason"] == reason


def test_how_many_numbers_agree_with_theory_is_counted():
    offs = (0.5, -2.0, 2.9, 4.0)
    points = [
        measured(
            "second-moment", 3.0, off=off, estimator="known", spectrum="flat", lambda_max=0.01 * i
        )
        for i, off in enumerate(offs)
    ]
    assert "3 of 4 lie within 3; the furthest is \\+4.0" in shown(
        fake_probe_record(points)
    ).replace("+4.0", "\\+4.0")


def test_seeds_are_one_reading_and_their_intervals_narrow():
    records = [
        fake_probe_record(
            [measured("second-moment", 2.0, off=off, error=0.1, estimator="known")], seed=seed
        )
        for seed, off in enumerate((-1.0, 1.0))
    ]
    (group,) = gather_probes(records).groups
    (reading,) = group.readings
    assert reading.value == pytest.approx(2.0)
    assert reading.seeds == (0, 1)
    assert reading.high - reading.value == pytest.approx(1.96 * 0.2 / 2**0.5, rel=1e-4)


@pytest.mark.parametrize("size", [1e-150, 1e150])
def test_seeds_of_numbers_that_have_no_squares_are_joined_like_others(size):
    records = [
        fake_probe_record([measured("second-moment", size, off=off)], seed=seed)
        for seed, off in enumerate((-1.0, 1.0))
    ]
    (reading,) = gather_probes(records).groups[0].readings
    assert reading.value == pytest.approx(size)
    assert (reading.high - size) / size == pytest.approx(1.96 * 0.02 / 2**0.5, rel=0.03)


def test_a_seed_without_a_value_leaves_no_mean_of_the_others():
    points = [fake_point("second-moment", 2.0), fake_point("second-moment", reason="infinite: yes")]
    records = [fake_probe_record([point], seed=seed) for seed, point in enumerate(points)]
    (reading,) = gather_probes(records).groups[0].readings
    assert reading.value is None
    assert reading.reason == "infinite: yes (1 of 2 seeds)"


def test_what_a_probe_brings_along_stands_once_beside_all_methods():
    points = [
        fake_point("relative-variance", 0.5, estimator=ISOTROPIC, num_features=4),
        fake_point("relative-variance", 0.4, estimator="b", num_features=4),
    ]
    records = [
        fake_probe_record(points[:1], "a"),
        fake_probe_record(points, "b", options={"orthogonal": True}),
        fake_probe_record(points, "b", options={"orthogonal": False}),
    ]
    (group,) = gather_probes(records).groups
    names = sorted(str(reading.where["estimator"]) for reading in group.readings)
    assert names == ["b:orthogonal=false", "b:orthogonal=true", ISOTROPIC]


def test_a_table_says_what_it_leaves_out_and_csv_has_it():
    largest = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08)
    points = [
        fake_point("excess", 1.5, proposal_samples=n, lambda_max=at, shrinkage=0.1)
        for at in largest
        for n in (64, 512)
    ]
    record = fake_probe_record(points)
    assert "Shown: 5 of 8 values of lambda max" in shown(record).replace("\\", "")
    assert render([record], "csv").count("excess") == len(points)


def test_thinning_keeps_every_spectrum_and_the_ends_of_the_numbers():
    points = [
        fake_point("second-moment", 1.0, spectrum=name, condition=condition)
        for name, conditions in {"flat": (1,), "spiked": (10, 100, 1000)}.items()
        for condition in conditions
    ]
    readings = gather_probes([fake_probe_record(points)]).groups[0].readings
    kept, said = thinned(readings, ["spectrum", "condition"], 3)
    assert [r.where["condition"] for r in kept] == [1, 1000]
    assert said == ["Shown: 2 of 4 values of condition"]


def test_lines_along_a_coordinate_are_found_among_points_that_vary_one_thing():
    base = {"num_features": 64, "length": 256}
    varied = [base, base | {"num_features": 16}, base | {"length": 64}]
    points = [fake_point("output-error", 0.1, **where) for where in varied]
    readings = gather_probes([fake_probe_record(points)]).groups[0].readings
    assert [r.where["num_features"] for r in swept(readings, "num_features")] == [64, 16]
    assert [r.where["length"] for r in swept(readings, "length")] == [256, 64]


@pytest.mark.parametrize(
    ("z", "draws", "word"),
    [(-8.0, 1, "biased"), (1.0, 1, "no bias found"), (0.1, 0, "exact")],
)
def test_the_verdict_on_bias_follows_from_z_and_what_could_be_detected(z, draws, word):
    record = fake_probe_record(bias_points(z, error=0.01 * draws), task="probes/bias")
    (group,) = gather_probes([record]).groups
    verdict = verdict_of(group, group.readings[0].contender)
    assert verdict.word == word
    assert verdict.z == pytest.approx(z)
    assert word in sections(shown(record), "fake-features")[0]


def test_the_most_biased_method_stands_first_with_its_place():
    records = [
        fake_probe_record(bias_points(z), name, "probes/bias")
        for name, z in {"sound": 1.0, "wrong": -9.0}.items()
    ]
    text = shown(*records)
    assert text.index("| wrong") < text.index("| sound")
    assert sections(text, "wrong")[0][:3] == ["biased", "-9.0", "-9 ±2"]
    assert sections(text, "wrong")[0][-1] == "q zero, k diagonal, 8 dimensions"


def test_seeds_together_find_a_bias_that_one_alone_does_not():
    records = [
        fake_probe_record(bias_points(3.5), task="probes/bias", seed=seed) for seed in range(4)
    ]
    assert sections(shown(records[0]), "fake-features")[0][:2] == ["no bias found", "+3.5"]
    assert sections(shown(*records), "fake-features")[0][:2] == ["biased", "+7.0"]


def test_agreement_with_theory_is_counted_over_every_spectrum():
    offs = (0.5, -2.0, 2.9, 4.0)
    points = [
        measured("second-moment", 3.0, off=off, estimator="known", lambda_max=0.01 * i)
        for i, off in enumerate(offs)
    ]
    points.append(measured("tail-index", 1.0, off=9.0, estimator="known"))
    told = render([fake_probe_record(points)], "markdown", part="agreement").replace("\\", "")
    assert sections(told, "second moment")[0][:4] == ["4", "1", "0.011", "+4.0"]
    assert "Of 4 numbers with a prediction 1 lie beyond 3 standard errors" in told
    assert "It is the second moment of known, largest eigenvalue 0.03." in told


def test_of_several_dimensions_a_table_shows_the_least_and_says_which():
    points = [
        measured("second-moment", 3.0, estimator="known", spectrum="flat", head_dim=dim)
        for dim in (8, 64)
    ]
    told = render([fake_probe_record(points)], "markdown", part="moments")
    assert "head dim 8" in told
    assert "Shown: 1 of 2 values of head dim (8)" in told


@pytest.mark.parametrize("part", get_args(ProbePart))
def test_every_part_of_probes_is_made_of_quantities_that_a_probe_measures(part):
    assert quantities_of(part)


def test_csv_of_a_part_holds_its_quantities_alone():
    points = [fake_point("slope", -1.0), fake_point("excess", 1.5, proposal_samples=64)]
    text = render([fake_probe_record(points)], "csv", part="slopes")
    assert "slope" in text
    assert "excess" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_a_method_without_a_reading_is_named_with_status_and_reason(format):
    gone = failed_record(
        fake_identity("mixer-only", "probes/variance"), reason="it has no features."
    )
    text = render([fake_probe_record(variances()), gone], format)
    for words in ("mixer-only", "unsupported", "it has no features."):
        assert words in text


def test_the_gate_s_word_against_a_method_is_told():
    text = shown(fake_probe_record(variances(), gate="future-not-seen: moved by 0.7."))
    assert "fake-features fails the gate: future-not-seen: moved by 0.7." in text


def test_a_reason_that_is_no_infinity_has_a_note():
    points = [
        fake_point("relative-variance", reason=f"not settled: {n} %", estimator="a", num_features=n)
        for n in (4, 8)
    ]
    text = shown(fake_probe_record(points, "a")).replace("\\", "")
    assert text.count("- [1]") >= 2
    assert "[1] not settled: 4 %" in text


@pytest.mark.parametrize("format", FORMATS)
def test_a_probe_that_is_not_known_here_still_has_a_table(format):
    assert "length" in render([place(1.5, depth=3)], format)
    assert "1.5" in render([place(1.5, depth=3)], format)


def test_measurements_of_other_tensors_never_share_a_table():
    records = [
        fake_probe_record(features_needed(), name, "probes/real-qk", card={"fake-lm: digest": d})
        for name, d in {"a": "11", "b": "22"}.items()
    ]
    assert len(gather_probes(records).groups) == 2


def test_probes_and_scores_never_mix():
    both = [fake_record(), fake_probe_record(second_moments())]
    assert [is_probe(record) for record in both] == [False, True]
    assert render(both, "markdown") == (
        render(both[:1], "markdown") + "\n" + render(both[1:], "markdown")
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminals_tables_fit_their_width(width):
    records = [
        fake_probe_record(second_moments() + variances()),
        fake_probe_record(features_needed(), "performer", "probes/real-qk"),
    ]
    records.append(fake_probe_record(bias_points(5.0), task="probes/bias"))
    text = render(records, "table", width=width)
    assert max(map(len, text.splitlines())) <= width
