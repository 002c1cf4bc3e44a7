"""Scores that were measured with different code stand together only with a note."""

import pytest

from reports.cells import compare
from reports.frame import rows
from reports.page.anchors import Anchors
from reports.page.scores import score_views
from reports.table import render
from results.record import Record
from tests.reports.language_tables import shown
from tests.reports.samples import of_code, suite
from tests.results.language import finetuned
from tests.results.records import failed_record, fake_identity

CHANGED = "the method's code is not the same in all seeds of"
OTHER = "the task's code was another than for most in"


def one_task(**changed: str) -> list[Record]:
    """Seed 2 of `weak` made by other code."""
    return [
        of_code(r, **changed) if (r.identity.method, r.identity.seed) == ("weak", 2) else r
        for r in suite(tasks=("lra/listops",))
    ]


def table(records: list[Record]) -> str:
    return render(records, "markdown", cost=False, ledger=False)


def test_seeds_of_different_code_of_a_method_are_named():
    assert f"Beware: in lra/listops {CHANGED} weak." in table(one_task(method="a"))


def test_rows_of_different_code_of_the_task_are_named_with_their_seeds():
    text = table(one_task(task="a"))
    assert f"Beware: in lra/listops {OTHER} weak (seed 2)." in text
    assert CHANGED not in text


def test_a_method_measured_with_one_other_version_of_the_task_needs_no_seeds():
    records = [
        of_code(r, task="a") if r.identity.method == "weak" else r
        for r in suite(tasks=("lra/listops",))
    ]
    assert f"{OTHER} weak." in table(records)


def test_of_two_versions_met_equally_often_the_later_counts_as_usual():
    late, early = (r for r in suite(seeds=(0,), tasks=("lra/listops",))[:2])
    began = early.provenance.model_copy(
        update={"started": "2000-01-01T00:00:00+00:00", "task_digest": "a" * 64}
    )
    text = table([late, early.model_copy(update={"provenance": began})])
    assert f"{OTHER} {early.identity.method}." in text


def test_another_method_another_task_and_what_failed_are_of_other_code_and_say_nothing():
    records = [of_code(r, method=r.identity.method[0], task=r.identity.task[-1]) for r in suite()]
    records.append(of_code(failed_record(fake_identity("weak", seed=9)), method="e", task="f"))
    assert "code" not in table(records)


@pytest.mark.parametrize("changed", [{"method": "a"}, {"task": "a"}])
def test_a_language_table_says_so_too(changed):
    records = [
        of_code(r, **changed) if (r.identity.method, r.identity.seed) == ("lfk", 1) else r
        for r in finetuned(seeds=(0, 1, 2))
    ]
    said = f"{CHANGED} lfk." if "method" in changed else f"{OTHER} lfk (seed 1)."
    assert f"Beware: {said}" in shown(records)
    assert "Beware" not in shown(finetuned(seeds=(0, 1, 2)))


def test_the_page_says_so_too():
    records = one_task(method="a", task="a")
    view = next(score_views([compare(rows(records))], Anchors(records)))
    said = [text for _, text in view.notes]
    assert f"Beware: {CHANGED} weak." in said
    assert f"Beware: {OTHER} weak (seed 2)." in said
