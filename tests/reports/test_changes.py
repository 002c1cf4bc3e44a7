"""Two sets of results against each other: what is a change, what is noise, what is neither."""

import csv
import io
import json
from collections.abc import Sequence

import pytest

from reports.change import Change
from reports.changes import changes, failing
from reports.changes_tables import change_grid, render_changes
from results.record import Record
from tests.results.curves import failed_cell, fake_cell, fake_cost_record
from tests.results.probes import fake_probe_record, second_moments
from tests.results.records import failed_record, fake_data, fake_identity, fake_record

SEEDS = (0, 1, 2)


def runs(
    accuracy: float = 0.36, seconds: float = 0.01, method: str = "performer", **rest: object
) -> list[Record]:
    """Three seeds, whose steps take a percent more or less."""
    return [
        fake_record(
            fake_identity(method, seed=seed),
            accuracy=accuracy,
            step_seconds=seconds * (1 + 0.01 * (seed - 1)),
            **rest,  # type: ignore[arg-type]
        )
        for seed in SEEDS
    ]


def judged(old: Sequence[Record], new: Sequence[Record]) -> dict[str, Change]:
    return {each.quantity: each for each in changes(old, new)}


def test_the_same_results_are_the_same_in_everything():
    found = changes(runs(), runs())
    assert {each.verdict for each in found} == {"same"}
    assert {"accuracy", "step_seconds", "peak_memory_bytes", "parameters"} <= {
        each.quantity for each in found
    }


def test_a_clear_fall_of_accuracy_is_worse_and_by_how_much_is_said():
    accuracy = judged(runs(0.6), runs(0.3))["accuracy"]
    assert accuracy.verdict == "worse"
    assert accuracy.test.startswith("paired")
    assert accuracy.change is not None
    assert accuracy.change.high < 0
    assert accuracy.times_worse == pytest.approx(2.0, abs=0.02)
    assert judged(runs(0.3), runs(0.6))["accuracy"].verdict == "better"


def test_a_difference_that_chance_could_make_is_noise():
    old = [fake_record(fake_identity("performer"), accuracy=0.36, outcomes=False)]
    new = [fake_record(fake_identity("performer"), accuracy=0.37, outcomes=False)]
    assert judged(old, new)["accuracy"].verdict == "noise"


def test_slower_steps_beyond_the_spread_of_seeds_are_worse():
    found = judged(runs(seconds=0.01), runs(seconds=0.02))["step_seconds"]
    assert found.verdict == "worse"
    assert found.test == "spread between runs"
    assert found.times_worse == pytest.approx(2.0)
    assert found.change is not None
    assert found.change.low < 2 < found.change.high


def test_one_run_each_needs_more_than_its_own_samples_to_be_a_change():
    def one(seconds: float) -> list[Record]:
        return [fake_record(fake_identity("performer"), step_seconds=seconds, points=50)]

    slightly = judged(one(0.01), one(0.0104))["step_seconds"]
    assert slightly.p_value is not None
    assert slightly.p_value < 0.01
    assert slightly.verdict == "noise"
    assert judged(one(0.01), one(0.012))["step_seconds"].verdict == "worse"


def test_times_of_two_machines_are_never_held_against_each_other():
    found = judged(runs(), runs(seconds=0.5, machine="Other CPU"))
    for quantity in ("step_seconds", "peak_memory_bytes"):
        assert found[quantity].verdict == "not compared"
        assert found[quantity].change is None
    assert found["accuracy"].verdict == "same"


def test_scores_on_other_data_or_by_another_protocol_are_not_compared():
    other = judged(runs(), runs(0.9, data=fake_data("Other expressions")))["accuracy"]
    assert (other.verdict, other.change) == ("not compared", None)
    assert "other data" in other.reason
    longer = [r.model_copy(update={"settings_resolved": {"steps": 600}}) for r in runs(0.9)]
    assert "steps 300, 600" in judged(runs(), longer)["accuracy"].reason


def with_memory(records: Sequence[Record], *peaks: int) -> list[Record]:
    return [
        r.model_copy(update={"cost": r.cost.model_copy(update={"peak_memory_bytes": peak})})
        for r, peak in zip(records, peaks, strict=True)
        if r.cost is not None
    ]


@pytest.mark.parametrize("format", ["table", "csv", "json"])
@pytest.mark.parametrize("peaks", [(0, 0, 0), (2**20, 0, 2**20)])
def test_a_memory_of_nothing_is_shown_and_not_compared(peaks, format):
    some, none = runs(), with_memory(runs(), *peaks)
    for old, new in ((some, none), (none, some)):
        memory = judged(old, new)["peak_memory_bytes"]
        assert memory.verdict == "not compared"
        assert "measured 0" in memory.reason
        assert 0.0 in (memory.old, memory.new)
        found = changes(old, new)
        grid = change_grid(found, old, new, ("old", "new"))
        assert "measured 0" in " ".join(render_changes(grid, found, format).split()).lower()
    assert judged(none, none)["peak_memory_bytes"].verdict == "same"


def test_another_option_preset_or_source_is_another_trial():
    old = [fake_record(fake_identity("performer", preset="small"))]
    new = [fake_record(fake_identity("performer", preset="quick"))]
    assert sorted(each.verdict for each in changes(old, new)) == ["only in new", "only in old"]


def test_a_trial_that_no_longer_completes_is_worse_whatever_the_ratio():
    found = changes(runs(), [*runs()[1:], failed_record(fake_identity("performer"))])
    (broken,) = failing(found, 1000.0)
    assert broken.verdict == "worse"
    assert "cannot mask padded keys" in broken.reason


def test_only_what_is_worse_beyond_noise_and_beyond_the_ratio_fails():
    found = changes(runs(seconds=0.01), runs(seconds=0.013))
    assert [each.quantity for each in failing(found, 1.2)] == ["step_seconds"]
    assert failing(found, 1.4) == []


def test_what_is_counted_changes_by_any_amount():
    record = runs()[0]
    assert record.cost is not None
    more = record.model_copy(
        update={"cost": record.cost.model_copy(update={"flops_per_step": 3_210_000_001})}
    )
    assert judged([record], [more])["flops_per_step"].verdict == "worse"


def test_cost_curves_are_compared_place_by_place_through_their_reference():
    old = fake_cost_record("performer", cells=[fake_cell(length=n) for n in (512, 1024)])
    slow = [fake_cell(length=512, slower=2.0, seed=7), failed_cell(1024, mode="forward")]
    found = changes([old], [fake_cost_record("performer", cells=slow)])
    time = next(c for c in found if c.quantity == "latency_seconds")
    assert time.verdict == "worse"
    assert time.reason.startswith("through")
    assert time.times_worse == pytest.approx(2.0, rel=0.05)
    gone = next(c for c in found if c.quantity == "status")
    assert "1024" in gone.subject.where
    assert gone.verdict == "worse"


def test_probes_are_the_same_or_sent_to_their_tables():
    old = fake_probe_record(second_moments((0.1, 0.3)))
    new = fake_probe_record(second_moments((0.1, 0.4)))
    assert [each.verdict for each in changes([old], [old])] == ["same"]
    assert [each.verdict for each in changes([old], [new])] == ["not compared"]


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_every_format_for_readers_has_the_verdicts_and_both_names(format):
    old, new = runs(), [*runs(seconds=0.02), fake_record(fake_identity("fresh"))]
    found = changes(old, new)
    text = render_changes(change_grid(found, old, new, ("june", "july")), found, format)
    for piece in ("june", "july", "worse", "only in the new results", "performer", "fresh"):
        assert piece in text


def test_formats_for_machines_have_a_row_a_change():
    old, new = runs(), runs(seconds=0.02)
    found = changes(old, new)
    grid = change_grid(found, old, new, ("june", "july"))
    read = json.loads(render_changes(grid, found, "json"))
    lines = [*csv.DictReader(io.StringIO(render_changes(grid, found, "csv")))]
    assert len(read) == len(lines) == len(found)
    time = next(row for row in read if row["quantity"] == "step_seconds")
    assert time["verdict"] == "worse"
    assert time["low"] < time["change"] < time["high"]
