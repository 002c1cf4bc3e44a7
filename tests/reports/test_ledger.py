"""The fairness ledger: what stands in it, and what is flagged."""

from reports.cells import compare
from reports.frame import rows
from reports.ledger import ITEMS, ledger_grids, ledger_values
from reports.table import render
from results.record import Record
from tests.results.language import EACH, fake_stability_record
from tests.results.records import fake_identity, fake_record


def contender(method: str, role: str = "method", **cost: object) -> Record:
    record = fake_record(fake_identity(method, options={"num_features": 64}), role=role)
    assert record.cost is not None
    return record.model_copy(update={"cost": record.cost.model_copy(update=cost)})


def ledger(*records: Record) -> dict[str, dict[str, tuple[str, str]]]:
    """Text and remark by method and head."""
    (grid,) = ledger_grids(compare(rows(records)))
    heads = [" ".join(head) for head in grid.header]
    return {
        row[0].text: {h: (e.text, e.remark) for h, e in zip(heads, row, strict=True)}
        for section in grid.sections
        for row in section.rows
    }


def test_what_lies_more_than_a_tenth_from_softmax_is_flagged():
    found = ledger(
        contender("softmax", "ceiling"),
        contender("near", parameters=114_000),
        contender("far", parameters=120_000, state_bytes=4096),
    )
    assert found["near"]["parameters"] == ("114 k", "")
    assert found["far"]["parameters"] == ("120 k", "+15 %")
    assert found["far"]["decoding state"] == ("4 KiB", "x0.062")
    assert not any(remark for _, remark in found["softmax"].values())


def test_tokens_are_steps_times_tokens_a_step_and_without_a_search_no_rates_were_tried():
    found = ledger(contender("softmax", "ceiling"), contender("a"))["a"]
    assert found["features"][0] == "64"
    assert found["steps"][0] == "300"
    assert found["tokens trained"][0] == "1.92 M"
    assert (found["rates tried"][0], found["steps of search"][0]) == ("0", "0")


def test_tokens_are_told_without_a_time_and_of_stability_too():
    timed = contender("a")
    untimed = contender("a", step_seconds=[])
    stable = fake_stability_record("a", {1e-3: 3.0, 1e-2: 3.2}).model_copy(update={"cost": None})
    assert [row.tokens_trained for row in rows([timed, untimed])] == [1_920_000] * 2
    (row,) = rows([stable])
    assert row.step_seconds is None
    longest = max(len(run.losses) for run in stable.language.runs)
    (found,) = (i.of(row) for i in ITEMS if i.quantity == "tokens_trained")
    assert found == longest * stable.settings_resolved["batch_size"] * (EACH + 1)


def test_a_trial_that_did_not_complete_is_said_to_be_trained_on_no_number_of_tokens():
    ended = contender("a").model_copy(update={"status": "diverged", "reason": "It did."})
    assert rows([ended])[0].tokens_trained is None


def test_a_search_for_a_learning_rate_is_a_budget():
    searched = contender("a").model_copy(
        update={
            "settings_resolved": {"steps": 300, "learning_rates": "1e-3, 3e-3", "search_steps": 50}
        }
    )
    found = ledger(contender("softmax", "ceiling"), searched)["a"]
    assert found["rates tried"] == ("2", "not 0")
    assert found["steps of search"][0] == "100"


def test_without_softmax_nothing_is_flagged_and_that_is_said():
    records = [contender("a"), contender("b", parameters=9)]
    (grid,) = ledger_grids(compare(rows(records)))
    assert any("Nothing is flagged without softmax" in text for _, text in grid.notes)
    assert not any(entry.remark for s in grid.sections for row in s.rows for entry in row)


def test_the_ledger_stands_beside_scores_unless_the_price_is_left_out():
    records = [contender("softmax", "ceiling"), contender("a")]
    assert "Fairness ledger" in render(records)
    assert "Fairness ledger" not in render(records, cost=False)
    assert "Fairness ledger" not in render(records, ledger=False)
    assert render(records, part="ledger").count("Fairness ledger") == 1


def test_rows_for_machines_say_what_is_flagged_and_repeat_no_price():
    comparison = compare(rows([contender("softmax", "ceiling"), contender("a", parameters=9)]))
    every = [row for row in ledger_values(comparison) if row.method == "a"]
    assert next(r for r in every if r.quantity == "parameters").reason == "x8.6e-05 against softmax"
    rest = {row.quantity for row in ledger_values(comparison, prices=False)}
    assert "parameters" not in rest
    assert {"num_features", "steps", "tokens_trained", "non_embedding_parameters"} <= rest
