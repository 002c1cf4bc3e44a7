"""Every format shows every pair, names what it shows, and lets no name break it."""

import csv
import io
import json

import pytest
from rich.console import Console

from reports.table import render, renderable
from results.published import published_tables
from tests.reports.samples import METHODS, TASKS, in_metric, suite
from tests.results.records import failed_record, fake_identity, fake_record

HUMAN = ("table", "markdown", "latex")
NASTY = "[bold]|a_b&50%$#{x}~^\\<b>`c`*"


def table_lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip().startswith(start)]


@pytest.mark.parametrize("format", [*HUMAN, "csv", "json"])
def test_every_method_task_and_title_is_named(format):
    text = render(suite(), format)
    for name in (*METHODS, "majority class", "Made-up lra/text"):
        assert name in text


@pytest.mark.parametrize("format", HUMAN)
def test_a_pair_without_record_says_not_run(format):
    records = [
        fake_record(fake_identity("a", "lra/listops")),
        fake_record(fake_identity("b", "lra/text")),
    ]
    assert render(records, format, cost=False).count("not run") == 2


@pytest.mark.parametrize("format", [*HUMAN, "csv", "json"])
def test_a_failure_shows_its_status_and_its_reason(format):
    records = [
        fake_record(fake_identity("good")),
        failed_record(fake_identity("bad"), status="timed-out", reason="took longer than 7 s."),
    ]
    text = render(records, format)
    assert "timed-out" in text
    assert "took longer than 7 s." in text


def test_a_seed_that_failed_is_counted_beside_the_score():
    records = [
        fake_record(fake_identity(seed=0)),
        failed_record(fake_identity(seed=1), status="diverged", reason="loss is NaN."),
    ]
    text = render(records, "markdown", cost=False)
    assert "1 of 2 seeds" in text
    assert "diverged (seed 1): loss is NaN." in text


def test_a_stand_in_is_called_one():
    text = render(suite(tasks=("lra/text",)), "markdown")
    assert "stand-in, not the task's own data" in text


def test_the_suite_has_a_mean_and_names_the_stand_ins_in_it():
    text = render(suite(), "markdown")
    assert "mean of the 5" in text
    assert "stand-ins for lra/text" in text
    assert "mean of the 5" not in render(suite(tasks=TASKS[:4]), "markdown")


def test_losses_have_no_mean_over_the_suite_and_the_least_has_the_first_rank():
    losses = [in_metric(record, "loss", "nat", higher=False) for record in suite()]
    text = render(losses, "markdown", cost=False, ledger=False)
    assert "loss in nat, less is better" in text
    assert "mean of the 5" not in text
    (hopeless,) = (line for line in text.splitlines() if line.startswith("| hopeless"))
    assert hopeless.endswith("| 1.0 |")
    assert "**0.17" in hopeless


def test_prices_beside_scores_in_two_metrics_say_which():
    first, *others = suite(seeds=(0,), tasks=("lra/listops",))
    text = render([first, *(in_metric(r, "f1", "fraction") for r in others)], "markdown")
    (head,) = (line for line in text.splitlines() if "(f1)*" in line)
    assert "(accuracy)" not in head
    assert any("(accuracy)*" in line for line in text.splitlines())


def test_times_of_two_machines_stand_in_two_tables():
    records = [
        fake_record(fake_identity(seed=0), machine="Fake A", step_seconds=0.111),
        fake_record(fake_identity(seed=1), machine="Fake B", step_seconds=0.222),
    ]
    blocks = render(records, "markdown").split("**Cost")[1:]
    assert [("111" in b, "222" in b) for b in blocks] == [(True, False), (False, True)]


def test_times_with_other_threads_stand_in_two_tables():
    first, second = (fake_record(fake_identity(seed=s)) for s in (0, 1))
    machine = second.machine.model_copy(update={"threads": 1})
    second = second.model_copy(update={"machine": machine})
    assert render([first, second], "markdown").count("**Cost") == 2


def test_without_cost_no_time_is_shown():
    assert "Cost" not in render(suite(), "table", cost=False)


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminals_table_fits_its_width(width):
    text = render(suite(), "table", width=width, against=published_tables())
    assert max(len(line) for line in text.splitlines()) <= width


def test_six_methods_and_five_tasks_fit_beside_each_other_in_120_columns():
    text = render(suite(), "table", width=120, cost=False)
    assert len(table_lines(text, "strong")) == 1


def test_names_are_never_read_as_rich_markup():
    records = [fake_record(fake_identity("[bold red]x[/]"))]
    console = Console(file=io.StringIO(), width=120)
    console.print(renderable(records))
    assert "[bold red]x[/]" in console.file.getvalue()


def test_control_characters_never_reach_the_terminal():
    records = [failed_record(reason="\x1b[31mred\x07\nsecond line")]
    text = render(records, "table")
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_name_cannot_break_a_markdown_row():
    records = [fake_record(fake_identity(m)) for m in ("plain", NASTY)]
    lines = [line for line in render(records, "markdown", cost=False).splitlines() if "|" in line]
    bars = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines}
    assert bars == {3}


def test_a_name_cannot_break_a_latex_row():
    text = render([fake_record(fake_identity(NASTY))], "latex", cost=False)
    (row,) = table_lines(text, "{[}bold")
    bare = row.replace("\\&", "").replace("\\%", "").replace("\\$", "").replace("\\#", "")
    assert bare.count("&") == 1
    assert "%" not in bare
    assert "$" not in bare
    assert "#" not in bare
    assert bare.count("{") == bare.count("}")


def test_latex_environments_are_closed():
    text = render(suite(), "latex", against=published_tables())
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") > 0


def test_csv_has_a_row_for_every_number_and_every_gap():
    records = [*suite(tasks=TASKS[:2]), failed_record(fake_identity("bad", TASKS[0]))]
    found = list(csv.DictReader(io.StringIO(render(records, "csv"))))
    scores = {(r["method"], r["task"]): r for r in found if r["quantity"] == "accuracy"}
    assert scores["bad", TASKS[0]]["status"] == "unsupported"
    assert scores["bad", TASKS[1]]["status"] == "not run"
    assert float(scores["strong", TASKS[0]]["value"]) == pytest.approx(0.6)
    assert {r["machine"] for r in found if r["quantity"] == "step_seconds"} == {
        "Fake CPU, 2 cores, 8 GiB"
    }


def test_json_says_the_same_as_csv():
    records = suite(tasks=TASKS[:1])
    from_csv = list(csv.DictReader(io.StringIO(render(records, "csv"))))
    from_json = json.loads(render(records, "json"))
    assert [row["method"] for row in from_json] == [row["method"] for row in from_csv]
    assert [str(r["value"]) for r in from_json] == [r["value"] for r in from_csv]


@pytest.mark.parametrize("format", [*HUMAN, "csv", "json"])
def test_no_records_give_an_empty_table_and_no_error(format):
    render([], format)


def test_published_numbers_never_stand_in_our_columns():
    records = [fake_record(fake_identity("performer", task), accuracy=0.5) for task in TASKS]
    text = render(records, "markdown", cost=False, against=published_tables())
    lines = [line for line in text.splitlines() if "(Performer)" in line]
    cells = [cell.strip() for cell in lines[0].strip("|").split("|")]
    ours, theirs = cells[1:11:2], cells[2:11:2]
    assert all("±" in cell for cell in ours)
    assert theirs == ["18.01", "65.40", "53.82", "42.77", "77.05"]


def test_published_numbers_carry_source_and_protocol():
    records = [fake_record(fake_identity("performer"))]
    text = render(records, "table", against=published_tables(), width=140)
    assert "protocol lra-paper" in text
    assert "arXiv:2011.04006" in text
    rows = json.loads(render(records, "json", against=published_tables()))
    published = [row for row in rows if row["role"] == "published"]
    assert all(row["source"].startswith("published:") and row["title"] for row in published)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="markdown"):
        render([], "fancy")
