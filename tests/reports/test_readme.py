"""Tables in documents are written from the records they name."""

import pytest

from reports import readme
from reports.readme import with_tables
from results.store import Store
from tests.results.curves import fake_cost_record, fake_crossovers
from tests.results.records import fake_record


@pytest.fixture(autouse=True)
def measured(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "MEASURED", tmp_path)
    Store(tmp_path / "some").write(fake_record())
    Store(tmp_path / "some").write(fake_cost_record("a", crossovers=fake_crossovers()))


def marked(words: str) -> str:
    return with_tables(f"Before.\n<!-- table: {words} -->\nOld.\n<!-- end of table -->\nAfter.\n")


def test_a_table_takes_the_place_of_the_old_one_and_nothing_else_changes():
    text = marked("some")
    assert text.startswith("Before.\n<!-- table: some -->\n**Accuracy")
    assert text.endswith("\n<!-- end of table -->\nAfter.\n")
    assert "Old." not in text
    assert with_tables(text) == text


def test_a_table_without_cost_has_neither_price_nor_curves():
    text = marked("some without cost")
    assert "Accuracy" in text
    assert "Cost" not in text
    assert "Forward" not in text


def test_one_part_of_cost_trials_stands_alone():
    text = marked("some only crossovers")
    assert "from 640-704" in text
    assert "Accuracy" not in text
    assert "milliseconds" not in text


def test_an_unknown_part_is_an_error_and_never_left_as_it_was():
    with pytest.raises(ValueError, match="no part is called 'fancy'"):
        marked("some only fancy")
