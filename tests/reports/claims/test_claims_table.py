"""The table of claims: every claim, its numbers, its rule."""

import io
import json

import pytest
from rich.console import Console

from reports.claims.claim import Effect, Finding, Judgement, judged, untested
from reports.claims.papers import papers
from reports.claims.table import render, renderable, told_options, what_ran
from results.statistics import Interval
from tests.results.records import failed_record, fake_identity, fake_record

PAPER = papers()["darkformer"]


def records():
    return [
        fake_record(fake_identity(method, "c4/finetune", seed=seed, options={"num_features": m}))
        for method, m in (("performer", 64), ("performer", 256), ("lfk", 64))
        for seed in ((0, 1, 2) if m == 256 else (0,))
    ]


@pytest.fixture
def judgements() -> list[Judgement]:
    first, second, *rest = PAPER.claims
    gap = Interval(mean=2.1, low=1.0, high=3.2)
    effect = Effect(what="a - b", interval=gap, unit="points", signed=True)
    found = Finding(verdict="not reproduced", effects=(effect,), note="Told so.")
    return [
        Judgement(claim=first, preset="quick", finding=found, records=tuple(records())),
        Judgement(claim=second, preset="quick", finding=untested("No model.")),
        *(judged(claim, "quick", []) for claim in rest),
    ]


def test_every_claim_stands_in_the_table_with_its_verdict_and_rule(judgements):
    text = render(PAPER, judgements, "markdown")
    for claim in PAPER.claims:
        assert claim.name in text
    assert "+2.1 \\[+1.0, +3.2\\] points" in text
    assert "not reproduced" in text
    assert "anisotropic: Told so." in text
    assert "explodes: No model." in text
    assert text.count("Rule of") == len({claim.rule for claim in PAPER.claims})
    assert "..." not in text


def test_what_was_run_is_told_by_task_method_and_seed():
    failed = failed_record(fake_identity("softmax", "c4/finetune"))
    assert what_ran([*records(), failed], {}) == (
        "c4/finetune quick: performer:num_features=64, lfk:num_features=64;"
        " performer:num_features=256 (seeds 0-2)"
    )


@pytest.mark.parametrize("initial", ["whitening", "identity"])
def test_a_name_tells_what_any_claim_sets_also_where_nothing_else_is_in_its_row(initial):
    options = {"initial": initial, "num_features": 64, "redraw": 0}
    record = fake_record(fake_identity("darkformer", "cost", options=options))
    finding = Finding(verdict="inconclusive")
    one = Judgement(claim=PAPER.claims[0], preset="quick", finding=finding, records=(record,))
    (row,) = json.loads(render(PAPER, [one], "json"))
    assert row["ran"] == f"cost quick: darkformer:initial={initial},num_features=64"
    assert row["ran"].replace("_", "\\_") in render(PAPER, [one], "markdown")


def test_every_option_that_a_selector_sets_is_told_and_no_other():
    assert told_options(PAPER)["performer"] == {"num_features", "proposal"}
    assert told_options(PAPER)["softmax"] == set()


def test_a_terminal_gets_one_table_however_narrow(judgements):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(renderable(PAPER, judgements))
    text = console.export_text()
    assert text.count("what was run") == 1
    assert max(map(len, text.splitlines())) <= 100


def test_latex_breaks_sentences_into_columns(judgements):
    text = render(PAPER, judgements, "latex")
    assert "p{0.18\\linewidth}" * 5 in text


def test_json_has_the_numbers_and_the_names_of_the_records(judgements):
    rows = json.loads(render(PAPER, judgements, "json"))
    assert [row["claim"] for row in rows] == [claim.name for claim in PAPER.claims]
    assert rows[0]["effects"] == [
        {"what": "a - b", "value": 2.1, "low": 1.0, "high": 3.2, "unit": "points"}
    ]
    assert len(rows[0]["records"]) == 5
    assert rows[1]["verdict"] == "not tested here"


def test_what_is_infinite_or_unknown_is_still_json(judgements):
    endless = Interval(mean=float("inf"), low=3.0, high=float("inf"))
    alone = Interval(mean=0.5, low=0.1, high=0.9, known=False)
    effects = tuple(Effect(what="x", interval=interval) for interval in (endless, alone))
    finding = Finding(verdict="inconclusive", effects=effects)
    one = Judgement(claim=PAPER.claims[0], preset="quick", finding=finding)
    (row,) = json.loads(render(PAPER, [one], "json"))
    assert [e["value"] for e in row["effects"]] == ["inf", 0.5]
    assert row["effects"][1]["low"] is None
