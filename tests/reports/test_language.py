"""Tables of language tasks: what shares one, what is marked, and what is said beside it."""

import csv
import io
import json
import re

import pytest

from reports import readme
from reports.language import gather_language
from reports.language_notes import rate_text
from reports.language_parts import LANGUAGE_PARTS
from reports.table import has_part, render
from results.record import Record
from results.store import Store
from tests.reports.language_tables import row, shown, values
from tests.results.language import (
    fake_language_record,
    fake_run,
    fake_stability_record,
    finetuned,
)
from tests.results.records import failed_record, fake_identity, fake_record


def unsupported(method: str = "linformer") -> Record:
    identity = fake_identity(method, "c4/finetune", source="packaged")
    return failed_record(identity, reason="it cannot be causal.")


def test_a_row_has_scores_before_and_after_the_gap_loss_and_price():
    head, cells = "darkformer", row(shown(finetuned()), "darkformer")
    assert cells[0] == head
    assert re.fullmatch(r"17\.0 ±\d\.\d", cells[1])
    assert re.fullmatch(r"\*\*34\.0 ±\d\.\d\*\* \\\*", cells[2])
    assert re.fullmatch(r"80\.\d ±\d\.\d|79\.\d ±\d\.\d", cells[3])
    assert re.fullmatch(r"3\.28\d ±0\.\d{3}", cells[4])
    assert re.fullmatch(r"26\.\d\d", cells[5])
    assert cells[6:] == ["400", "0", "135 M / 12.3 k"]


def test_methods_stand_in_the_order_of_their_scores():
    text = shown(finetuned())
    at = [text.index(f"| {name} ") for name in ("darkformer", "performer", "lfk", "hopeless")]
    assert at == sorted(at)


def test_the_best_method_and_its_ties_are_marked_and_controls_never():
    text = shown(finetuned())
    assert row(text, "performer")[2].endswith("\\=") or row(text, "performer")[2].endswith("=")
    assert "=" not in row(text, "lfk")[2]
    assert "*" not in row(text, "softmax")[2]


def test_a_method_that_does_not_clear_the_floors_says_so():
    text = shown(finetuned())
    assert "at floor" in row(text, "hopeless")[2]
    assert "at floor" not in row(text, "lfk")[2]
    assert "highest floor (most frequent token)" in text


def test_all_methods_at_the_floor_have_no_gap_where_softmax_is_there_too():
    names = {"softmax": "ceiling", "performer": "method", "lfk": "method", "constant": "floor"}
    records = [fake_language_record(n, 0.1, role=r) for n, r in names.items()]
    text = shown(records)
    assert all("at floor" in row(text, name)[2] for name in ("performer", "lfk"))
    assert "No gap is shown" in text


@pytest.mark.parametrize("missing", ["softmax", "constant"])
def test_without_ceiling_or_floor_no_gap_is_shown_and_that_is_said(missing):
    records = [r for r in finetuned() if r.identity.method != missing]
    text = shown(records)
    assert row(text, "darkformer")[3] == "-"
    assert "No gap is shown: it needs constant and softmax" in text
    assert all(value["value"] is None for value in values(records, "gap-closed"))


def test_three_seeds_are_one_row_and_the_intervals_say_so():
    text = shown(finetuned((0, 1, 2)))
    assert "Seeds 0-2 unless a row says otherwise." in text
    assert "Student's t over test blocks and seeds" in text
    assert len(re.findall(r"^\| performer", text, re.M)) == 1


def test_a_row_with_other_seeds_than_the_rest_says_which():
    records = [*finetuned((0, 1, 2)), fake_language_record("late", 0.3, seed=7)]
    assert "seed 7" in row(shown(records), "late")[2]


def test_a_seed_that_diverged_is_counted_and_explained():
    identity = fake_identity("lfk", "c4/finetune", seed=1, source="packaged")
    lost = failed_record(identity, status="diverged", reason="The loss was beyond every bound.")
    text = shown([*finetuned(), lost])
    assert "1 of 2 seeds" in row(text, "lfk")[2]
    assert "diverged (seed 1): The loss was beyond every bound." in text


def test_a_method_that_could_not_run_has_a_row_with_its_reason():
    text = shown([*finetuned(), unsupported()])
    assert row(text, "linformer")[2].startswith("unsupported")
    assert "it cannot be causal." in text


@pytest.mark.parametrize(
    ("seeds", "more", "over"),
    [
        ((0,), (), "blocks (one seed)."),
        ((0, 1), (), "blocks and seeds."),
        ((0,), (0, 1), "blocks, and over seeds in rows of several."),
        ((0, 1), (0,), "blocks, and over seeds in rows of several."),
    ],
)
def test_the_note_on_intervals_says_over_what_they_are_taken_in_every_row(seeds, more, over):
    others = [fake_language_record("other", seed=seed) for seed in more]
    assert f"Student's t over test {over}" in shown([*finetuned(seeds), *others])


def test_the_protocol_stands_with_the_result():
    text = shown(finetuned())
    for piece in (
        "204 800 tokens (100 steps of 8 blocks)",
        "all parameters trained",
        "Adam with betas 0.9 and 0.95",
        "cosine schedule after a warm-up of 10",
        "learning rate 3e-4, the preset's, searched for no method",
        "Tested on 64 blocks of 255 predictions.",
        "spikes: a step whose loss is made up.",
        "stand-in",
    ):
        assert piece in text


def test_rows_that_differ_in_their_protocol_are_warned_of():
    records = [
        *finetuned(),
        fake_language_record("quiet", protocol={"weight_decay": 0.1, "micro_batch": 2}),
    ]
    text = shown(records)
    assert "Beware: the rows differ in weight\\_decay: 0.0, 0.1." in text
    assert "micro" not in text


def test_settings_that_were_changed_make_another_table():
    other = fake_language_record("lfk", settings={"steps": 50}, protocol={"steps": 50})
    text = shown([*finetuned(), other])
    assert text.count("**Finetuning") == 2
    assert "Beware" not in text


def test_a_search_says_of_which_rates_and_shows_what_each_method_got():
    protocol = {"learning_rates": "1e-4,1e-3", "search_steps": 10}
    found = {"lfk": (3.0, 3.5), "performer": (3.5, 3.0), "lost": (3.5, None)}
    records = [
        fake_language_record(n, protocol=protocol, runs=[fake_run(1e-4, a), fake_run(1e-3, b)])
        for n, (a, b) in found.items()
    ]
    text = shown(records)
    assert "of 1e-4,1e-3 the one with the least validation loss after 10 steps" in text
    assert [row(text, name)[-1] for name in found] == ["1e-4", "1e-3", "1e-4"]


def test_speeds_of_two_machines_stand_in_two_columns():
    records = [
        fake_language_record("lfk", machine="Fake A", tokens_per_second=111.0),
        fake_language_record("performer", machine="Fake B", tokens_per_second=222.0),
    ]
    text = shown(records)
    assert [cell for cell in row(text, "lfk") if cell in ("111", "222")] == ["111"]
    assert row(text, "lfk").index("111") != row(text, "performer").index("222")
    assert "on Fake A" in text
    assert "on Fake B" in text


def test_without_cost_no_speed_is_shown():
    assert "400" not in row(shown(finetuned(), cost=False), "lfk")
    assert "a second" not in render(finetuned(), "markdown", cost=False)
    assert not values(finetuned(), "tokens_per_second", cost=False)


def test_pretraining_and_finetuning_are_tables_of_their_own():
    fresh = fake_language_record("lfk", task="c4/pretrain", protocol={"model": ""})
    text = render([*finetuned(), fresh], "markdown")
    assert "**Pretraining, next-token accuracy" in text
    assert "**Finetuning fake-lm, next-token accuracy" in text


def test_language_tasks_stand_in_no_table_of_scores_and_no_number_twice():
    text = render([*finetuned(), unsupported(), fake_record()], "markdown")
    accuracies = text.split("**Accuracy")[1].split("**Cost")[0]
    assert "lfk" not in accuracies
    found = json.loads(render([*finetuned(), unsupported()], "json"))
    places = [(v["method"], v["quantity"], v["where"], v["machine"]) for v in found]
    assert len(places) == len(set(places))


def test_nothing_but_failures_is_still_a_table():
    text = render([unsupported()], "markdown")
    assert row(text, "linformer")[2].startswith("unsupported")


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "latex", "json"])
def test_every_format_holds_every_part(format):
    records = [*finetuned(), fake_stability_record(), unsupported()]
    text = render(records, format)
    for part in LANGUAGE_PARTS:
        assert render(records, format, part=part) or part == "pretraining"
    assert "performer" in text


def test_csv_has_a_row_a_number_in_base_units():
    found = list(csv.DictReader(io.StringIO(render(finetuned(), "csv"))))
    (share,) = (v for v in found if v["quantity"] == "gap-closed" and v["method"] == "lfk")
    assert 0.3 < float(share["low"]) < float(share["value"]) < float(share["high"]) < 0.36
    (tokens,) = (v for v in found if v["quantity"] == "tokens-trained" and v["method"] == "lfk")
    assert float(tokens["value"]) == 204_800


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminals_tables_fit_their_width(width):
    records = [*finetuned((0, 1, 2)), fake_stability_record()]
    text = render(records, "table", width=width)
    assert max(map(len, text.splitlines())) <= width


def test_the_finetuning_table_of_one_machine_is_one_table_in_120_columns():
    text = render(finetuned((0, 1, 2)), "table", width=120, part="finetuning")
    assert len([line for line in text.splitlines() if line.startswith(" lfk")]) == 1


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a|b*c", "[bold]x[/]", "a\nb"])
def test_a_name_is_never_read_as_markup(name):
    records = [fake_language_record(name), fake_language_record("other", 0.2)]
    lines = shown(records).splitlines()
    assert "<script>" not in "\n".join(lines)
    assert all(
        len(re.findall(r"(?<!\\)\|", line)) == 10
        for line in lines
        if line.startswith("|") and "---" not in line
    )
    latex = render(records, "latex", part="finetuning")
    rows = [line for line in latex.splitlines() if line.endswith("\\\\") and "&" in line]
    assert all(len(re.findall(r"(?<!\\)&", line)) == 8 for line in rows)


def test_options_that_tell_variants_apart_are_in_their_labels():
    records = [
        fake_language_record("performer", 0.2 + m / 2000, options={"num_features": m})
        for m in (64, 256)
    ]
    text = shown(records)
    assert "performer:num\\_features=64" in text.replace("\\=", "=")
    assert "performer:num\\_features=256" in text.replace("\\=", "=")


def test_layers_left_exact_are_named():
    text = shown([fake_language_record(exact_layers=["3: it slides a window of 64"])])
    assert "Left exact under performer: 3: it slides a window of 64." in text


def test_a_part_without_records_has_nothing_to_show():
    assert has_part(finetuned(), "recovery")
    assert not has_part(finetuned(), "stability")
    assert not has_part([fake_record()], "finetuning")


def test_parts_can_stand_in_documents(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "MEASURED", tmp_path)
    for record in finetuned():
        Store(tmp_path / "some").write(record)
    marker = "<!-- table: some without cost only finetuning -->\nOld.\n<!-- end of table -->"
    text = readme.with_tables(marker)
    assert "next-token accuracy" in text
    assert "Old." not in text
    assert "recovery" not in text


def test_reading_without_curves_keeps_what_recovery_shows(tmp_path):
    store = Store(tmp_path)
    store.write(fake_language_record())
    (record,) = store.read(curves=False).records
    assert has_part([record], "recovery")


def test_records_of_other_tasks_are_left_alone():
    assert gather_language([fake_record()]).groups == ()


@pytest.mark.parametrize(
    ("rate", "text"), [(3e-4, "3e-4"), (0.01, "0.01"), (1.5e-5, "1.5e-5"), (1.0, "1")]
)
def test_learning_rates_are_short(rate, text):
    assert rate_text(rate) == text
