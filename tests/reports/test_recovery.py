"""The table of recovery: validation against the tokens trained on."""

import re

from tests.reports.language_tables import shown, values
from tests.results.language import fake_language_record, finetuned


def test_recovery_shows_validation_against_tokens():
    text = shown(finetuned(), "recovery")
    assert "| 0 | 51 200 | 102 400 | 153 600 | 204 800 |" in text
    accuracy = next(line for line in text.splitlines() if line.startswith("| darkformer"))
    assert [cell.strip() for cell in accuracy.strip("|").split("|")[1:]] == [
        *("17.0", "21.3", "25.5", "29.8", "34.0")
    ]


def test_of_many_evaluations_the_first_and_the_last_are_shown():
    record = fake_language_record()
    assert record.training is not None
    evaluations = [
        record.training.evaluations[0].model_copy(update={"step": s}) for s in range(0, 101, 4)
    ]
    training = record.training.model_copy(update={"evaluations": evaluations})
    record = record.model_copy(update={"training": training})
    text = shown([record], "recovery")
    assert re.search(r"\| 0 \|.*\| 204 800 \|", text)
    assert "8 of 26 evaluations" in text
    assert len(values([record], "validation-loss")) == 26
