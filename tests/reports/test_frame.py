"""The frame holds one row a record and summaries that follow from the samples."""

import statistics

from reports.frame import frame, rows
from tests.results.records import failed_record, fake_identity, fake_record


def test_a_frame_has_one_row_a_record_in_the_order_given():
    records = [fake_record(fake_identity(seed=s)) for s in (7, 1, 33)] + [failed_record()]
    assert list(frame(records)["seed"]) == [7, 1, 33, 0]


def test_an_empty_frame_still_has_its_columns():
    empty = frame([])
    assert len(empty) == 0
    assert {"method", "task", "value", "step_seconds"} <= set(empty.columns)


def test_step_time_is_the_median_and_tokens_follow_from_it():
    record = fake_record(points=7)
    row = rows([record])[0]
    assert row.step_seconds == statistics.median(record.cost.step_seconds)
    assert row.tokens_per_second == record.cost.tokens_per_step / row.step_seconds


def test_a_failed_record_has_no_score():
    assert rows([failed_record()])[0].score is None
