"""Other implementations of the same mathematics are compared through the reference they share."""

import pytest

from reports.curves import gather
from reports.peers import Pair, pairs_of
from reports.table import render
from results.record import Record
from tests.results.curves import fake_cell, fake_cost_record


def timed(name: str, milliseconds: float, reference: float = 1.0, **rest: object) -> Record:
    """One cell, without scatter."""
    cell = fake_cell(
        seconds=[milliseconds / 1000] * 9,
        reference_seconds=[reference / 1000] * 9,
        **rest.pop("cell", {}),
    )
    return fake_cost_record(name, [cell], **rest)


def pairs(*records: Record) -> list[Pair]:
    (curves,) = gather(records).curves.values()
    return pairs_of(curves)


def test_a_machine_that_was_slower_for_one_of_them_divides_out():
    found = pairs(timed("ours", 2.0), timed("other", 18.0, reference=3.0, same_as="ours"))
    assert [pair.slower[1024].mean for pair in found] == [pytest.approx(3.0)]


def test_only_implementations_of_the_same_are_peers():
    assert pairs(timed("ours", 2.0), timed("b", 2.0), timed("c", 2.0, same_as="else")) == []


def test_options_that_both_have_must_be_equal():
    found = pairs(
        *(timed("ours", 1.0, options={"num_features": n, "more": True}) for n in (64, 128)),
        timed("other", 2.0, options={"num_features": 128}, same_as="ours"),
    )
    assert [pair.ours.label for pair in found] == ["ours:num_features=128"]


def test_where_the_namesake_has_no_curve_the_first_of_the_others_stands_in():
    found = pairs(timed("b", 3.0, same_as="gone"), timed("a", 1.0, same_as="gone"))
    assert [(p.ours.label, p.peer.label) for p in found] == [("a", "b")]


def test_lengths_that_only_narrow_a_crossover_are_not_compared():
    probe = {"cell": {"probe": True}}
    assert pairs(timed("ours", 1.0, **probe), timed("other", 2.0, same_as="ours", **probe)) == []


def test_the_best_peer_of_each_cell_gives_the_mean_and_the_worst():
    def record(name: str, times: tuple[float, float], **rest: object) -> Record:
        cells = [
            fake_cell(length=n, seconds=[t] * 9, reference_seconds=[1.0] * 9)
            for n, t in zip((256, 512), times, strict=True)
        ]
        return fake_cost_record(name, cells, **rest)

    records = [
        record("ours", (1.0, 1.0)),
        record("x", (2.0, 9.0), same_as="ours"),
        record("y", (4.0, 8.0), same_as="ours"),
    ]
    text = render(records, "markdown", part="peers")
    assert "| best of each cell | 2.00 | 8.00 | 4.00 | 2.00 |" in text
    assert "in each of 2 cells: geometric mean 4.00, worst 2.00 (forward, causal, 256)" in text


def test_the_table_says_how_the_comparison_was_made():
    text = render([timed("ours", 1.0), timed("b", 2.0, same_as="ours")], "table", part="peers")
    assert "(other/fake-exact) / (ours/fake-exact)" in text
