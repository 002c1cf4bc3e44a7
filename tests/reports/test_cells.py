"""What may share a column, and who is best, tied, at the floor."""

import pytest

from reports.cells import compare, mean_columns, suite_columns, suite_means
from reports.frame import rows
from results.record import Record
from tests.reports.samples import TASKS, in_metric, suite
from tests.results.records import failed_record, fake_data, fake_identity, fake_record


def comparison(records: list[Record]):
    return compare(rows(records))


def test_equal_circumstances_share_a_column():
    records = [fake_record(fake_identity(m, seed=s)) for m in ("a", "b") for s in (0, 1)]
    assert len(comparison(records).columns) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"preset": "small"},
        {"source": "hub"},
        {"dtype": "bfloat16"},
        {"device": "Fake GPU"},
        {"settings": {"steps": 7}},
        {"task": "lra/text"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_scores_under_other_circumstances_never_share_a_column(other):
    records = [fake_record(fake_identity()), fake_record(fake_identity(**other))]
    assert len(comparison(records).columns) == 2


def test_scores_on_other_data_never_share_a_column():
    records = [
        fake_record(fake_identity(seed=0), data=fake_data("first")),
        fake_record(fake_identity(seed=1), data=fake_data("second")),
    ]
    assert len(comparison(records).columns) == 2


def test_scores_of_another_task_version_never_share_a_column():
    old = fake_record(fake_identity())
    new = old.model_copy(update={"identity": old.identity.model_copy(update={"task_version": 2})})
    assert len(comparison([old, new]).columns) == 2


@pytest.mark.parametrize(
    ("name", "unit", "higher"),
    [("f1", "fraction", True), ("accuracy", "percent", True), ("accuracy", "fraction", False)],
)
def test_scores_in_another_metric_never_share_a_column(name, unit, higher):
    first = fake_record(fake_identity("a"))
    other = in_metric(fake_record(fake_identity("b")), name, unit, higher=higher)
    failed = failed_record(fake_identity("bad"))
    found = comparison([first, other, failed])
    assert len(found.columns) == 2
    shown = [{label for label, where in found.cells if where == each} for each in found.columns]
    assert sorted(map(sorted, shown)) == [["a", "bad"], ["b", "bad"]]
    assert {(c.metric, c.unit, c.higher_is_better) for c in found.columns} == {
        ("accuracy", "fraction", True),
        (name, unit, higher),
    }


def test_a_failure_before_the_data_were_read_stands_in_the_columns_of_its_task():
    records = [fake_record(fake_identity("good")), failed_record(fake_identity("bad"))]
    found = comparison(records)
    (column,) = found.columns
    assert found.cells["bad", column].failed


def test_labels_show_only_the_options_that_differ():
    records = [
        fake_record(fake_identity("m", options={"num_features": n, "orthogonal": True}))
        for n in (64, 256)
    ]
    labels = {c.label for c in comparison(records).contenders}
    assert labels == {"m:num_features=64", "m:num_features=256"}


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (1, "1"), (None, "null")])
def test_options_that_python_or_text_takes_for_equal_have_labels_of_their_own(one, other):
    records = [fake_record(fake_identity("m", options={"x": x})) for x in (one, other)]
    assert len({c.label for c in comparison(records).contenders}) == 2


def test_the_best_is_marked_and_the_close_one_tied_and_the_weak_one_neither():
    found = comparison(suite(tasks=("lra/listops",)))
    marks = {name: (cell.best, cell.tied) for (name, _), cell in found.cells.items()}
    assert marks["strong"] == (True, False)
    assert marks["close"] == (False, True)
    assert marks["weak"] == (False, False)


def test_floors_and_ceilings_are_never_ranked():
    found = comparison(suite(tasks=("lra/listops",)))
    (column,) = found.columns
    assert not found.cells["fake-softmax", column].best
    assert not found.cells["fake-no-mixing", column].tied


def test_what_does_not_clear_the_highest_floor_is_marked():
    found = comparison(suite(tasks=("lra/listops",)))
    at_floor = {name for (name, _), cell in found.cells.items() if cell.at_floor}
    assert at_floor == {"hopeless"}


def test_the_majority_class_is_a_floor_by_itself():
    found = comparison([fake_record(fake_identity("lazy"), accuracy=0.17)])
    assert all(cell.at_floor for cell in found.cells.values())


def test_a_suite_mean_needs_every_task_exactly_once():
    columns = list(comparison(suite()).columns)
    assert suite_columns(columns) is not None
    assert suite_columns(columns[1:]) is None
    assert suite_columns([*columns, columns[0]]) is None


def test_a_suite_mean_is_the_mean_of_its_tasks():
    found = comparison(suite())
    columns = suite_columns(list(found.columns))
    tasks = [found.cells["weak", column].interval.mean for column in columns]
    assert suite_means(found, columns)["weak"].interval.mean == pytest.approx(sum(tasks) / 5)


def test_who_lacks_a_task_has_no_suite_mean():
    records = [r for r in suite() if (r.identity.method, r.identity.task) != ("weak", TASKS[3])]
    found = comparison(records)
    means = suite_means(found, suite_columns(list(found.columns)))
    assert "weak" not in means
    assert means["strong"].best
    assert means["close"].tied


def test_protocols_that_differ_within_a_column_are_noticed():
    first = fake_record(fake_identity("a"))
    second = fake_record(fake_identity("b")).model_copy(
        update={"settings_resolved": {"steps": 301, "batch_size": 32}}
    )
    (facts,) = comparison([first, second]).columns.values()
    assert facts.differing == {"steps": ("300", "301")}


@pytest.mark.parametrize(("unit", "higher"), [("nat", False), ("nat", True), ("fraction", False)])
def test_only_fractions_of_which_more_is_better_have_a_mean_over_the_suite(unit, higher):
    records = [in_metric(record, "made up", unit, higher=higher) for record in suite()]
    columns = list(comparison(records).columns)
    assert suite_columns(columns) is not None
    assert mean_columns(columns) is None
    assert mean_columns(list(comparison(suite()).columns)) is not None


def test_of_a_metric_of_which_less_is_better_the_least_stands_first():
    records = [in_metric(record, "loss", "nat", higher=False) for record in suite()]
    methods = [c.label for c in comparison(records).contenders if c.role == "method"]
    assert methods == ["hopeless", "weak", "close", "strong"]
