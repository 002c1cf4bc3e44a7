"""Cost curves: what may share a table, and that every cell has a number or a reason."""

import re

import pytest

from reports.curves import gather
from reports.table import render
from results.record import Record
from tests.results.curves import (
    LENGTHS,
    failed_cell,
    fake_cell,
    fake_cells,
    fake_cost_record,
    fake_crossovers,
)
from tests.results.records import failed_record, fake_identity, fake_record

HUMAN = ("table", "markdown", "latex")


def sections(text: str, method: str) -> list[list[str]]:
    """The cells of a method's rows in a Markdown text, the label left out, in their order."""
    rows = [line for line in text.splitlines() if re.match(rf"\| {re.escape(method)}[ :\\]", line)]
    return [[cell.strip() for cell in row.strip("|").split("|")][1:] for row in rows]


def shown(*records: Record, part: str = "curves") -> str:
    return render(records, "markdown", part=part)


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "Fake B"},
        {"threads": 1},
        {"dtype": "bfloat16"},
        {"preset": "layer"},
        {"level": "layer"},
        {"batch": 2},
        {"num_heads": 4},
        {"head_dim": 32},
        {"reference": "fake-other"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_times_under_other_circumstances_never_share_a_table(other):
    records = [fake_cost_record("a"), fake_cost_record("b", **other)]
    assert len(gather(records).curves) == 2
    for table in shown(*records).split("**")[2::2]:
        assert ("| a |" in table) != ("| b |" in table)


def test_every_mode_and_direction_has_a_table_of_its_own():
    titles = re.findall(r"\*\*(\w+, \w+):", shown(fake_cost_record()))
    assert titles == [
        "Forward, causal",
        "Forward, bidirectional",
        "Training, causal",
        "Decode, causal",
    ]


def test_a_cell_shows_the_median_and_its_interval_in_percent():
    samples = [0.001 * (90 + i) for i in range(21)]
    cells = [fake_cell(seconds=samples, reference_seconds=[])]
    # The 6th of 21 samples lies 5 below the median of 100 milliseconds.
    assert sections(shown(fake_cost_record("a", cells)), "a")[0] == ["100 ±5%"]


def test_few_samples_have_no_interval():
    cells = [fake_cell(seconds=[0.001] * 5, reference_seconds=[])]
    assert sections(shown(fake_cost_record("a", cells)), "a")[0] == ["1.00"]


def test_the_speedup_is_the_references_time_over_the_methods_in_turn():
    own = [0.001 * (1 + i) for i in range(10)]
    cells = [fake_cell(seconds=own, reference_seconds=[4 * each for each in own])]
    assert sections(shown(fake_cost_record("a", cells)), "a")[1] == ["4.00"]


def test_memory_and_the_share_of_the_limit_follow():
    cells = [fake_cell(seconds=[0.002] * 9, limit_seconds=0.0005, peak_bytes=3 * 2**20)]
    rows = sections(shown(fake_cost_record("a", cells)), "a")
    assert [row[0] for row in rows[2:]] == ["3 MiB", "25"]


def test_the_fastest_is_marked_and_what_its_interval_reaches_is_tied():
    records = [
        fake_cost_record(name, [fake_cell(slower=slower, seed=i)])
        for i, (name, slower) in enumerate({"fast": 1.0, "near": 1.002, "slow": 1.5}.items())
    ]
    text = shown(*records)
    marks = {name: sections(text, name)[1][0] for name in ("fast", "near", "slow")}
    assert sorted(mark[-1] for name, mark in marks.items() if name != "slow") == ["*", "="]
    assert marks["slow"][-1].isdigit()


def test_a_floor_is_never_the_fastest():
    floor = fake_cost_record("floor", [fake_cell(slower=0.1)], role="floor")
    others = [fake_cost_record(name, [fake_cell(slower=s)]) for name, s in {"a": 1, "b": 2}.items()]
    text = shown(floor, *others)
    assert "\\*" not in sections(text, "floor")[1][0]
    assert "\\*" in sections(text, "a")[1][0]


@pytest.mark.parametrize("status", ["timed-out", "out-of-memory", "unsupported", "crashed"])
@pytest.mark.parametrize("format", HUMAN)
def test_a_cell_without_a_time_says_how_it_ended_and_why(status, format):
    cells = [fake_cell(length=256), failed_cell(512, status=status, reason="because of this.")]
    text = render([fake_cost_record("a", cells)], format)
    assert f"{status}: because of this." in text.replace("-{}-", "--")


def test_reasons_that_differ_in_numbers_alone_share_a_note_and_that_is_said():
    cells = [fake_cell(length=256)]
    cells += [failed_cell(n, reason=f"At {n} tokens it takes {n / 100} s.") for n in (512, 1024)]
    text = shown(fake_cost_record("a", cells))
    assert sections(text, "a")[0][1:] == ["time! \\[1\\]", "time! \\[1\\]"]
    assert "At 512 tokens it takes 5.12 s." in text
    assert "with the figures of the first" in text


def test_a_cell_without_a_reference_says_why():
    cells = [fake_cell(length=256), fake_cell(length=512, reference_seconds=[])]
    cells[1] = cells[1].model_copy(update={"reference_reason": "it would take 31 s."})
    text = shown(fake_cost_record("a", cells))
    assert sections(text, "a")[1][1] == "- \\[1\\]"
    assert "fake-exact: it would take 31 s." in text


def test_a_method_that_cannot_be_counted_has_no_share_of_the_limit_and_says_why():
    blind = [fake_cell(limit_seconds=None, flops=None, counts_reason="blind to a kernel.")]
    text = shown(fake_cost_record("a"), fake_cost_record("b", blind))
    assert len(sections(text, "b")) == 3
    assert "Without a share of the limit: b (blind to a kernel.)." in text


def test_decoding_shows_the_state_and_the_references_beside_it():
    state = {"state_bytes": 2048, "reference_state_bytes": 4096}
    text = shown(fake_cost_record("a", [fake_cell("decode", **state)]))
    assert "state kept from token to token" in text
    assert ["2 KiB"] in sections(text, "a")
    assert ["4 KiB"] in sections(text, "fake-exact (reference)")


def test_samples_beyond_the_references_last_are_not_in_the_ratio():
    cells = [fake_cell(seconds=[0.001] * 8 + [1.0] * 9, reference_seconds=[0.002] * 8)]
    assert sections(shown(fake_cost_record("a", cells)), "a")[1] == ["2.00"]


def test_a_length_that_one_method_lacks_is_not_run_for_it():
    text = shown(
        fake_cost_record("a", [fake_cell(length=256), fake_cell(length=512)]),
        fake_cost_record("b", [fake_cell(length=256)]),
    )
    assert sections(text, "b")[0][1] == "not run"


def test_a_method_that_fails_everywhere_for_one_reason_has_a_line_and_no_row():
    cells = [failed_cell(n, status="unsupported", reason="it is not causal.") for n in (256, 512)]
    text = shown(fake_cost_record("a", [fake_cell(length=256)]), fake_cost_record("b", cells))
    assert sections(text, "b") == []
    assert "Without a row: b, unsupported: it is not causal." in text


def test_lengths_that_only_narrow_a_crossover_are_no_columns():
    cells = [fake_cell(length=512), fake_cell(length=704, probe=True), fake_cell(length=1024)]
    assert "| 704 |" not in shown(fake_cost_record("a", cells))


def test_flags_are_told_beside_the_cell():
    text = shown(fake_cost_record("a", [fake_cell(flags=["clock fell"])]))
    assert sections(text, "a")[0][0].endswith("\\[1\\]")
    assert "\\[1\\] clock fell." in text


def test_seeds_are_one_curve_with_all_their_samples():
    records = [
        fake_cost_record("a", [fake_cell(seconds=[s] * 3, reference_seconds=[])], seed=i)
        for i, s in enumerate((0.001, 0.003, 0.002))
    ]
    assert sections(shown(*records), "a")[0] == ["2.00 ±50%"]


def test_variants_of_a_method_are_told_apart_by_their_options():
    records = [fake_cost_record("a", options={"num_features": n}) for n in (64, 128)]
    labels = {c.contender.label for curves in gather(records).curves.values() for c in curves}
    assert labels == {"a:num_features=64", "a:num_features=128"}


def test_the_reference_has_a_row_where_it_has_no_curve():
    cells = [fake_cell(reference_seconds=[0.007] * 9)]
    text = shown(fake_cost_record("a", cells))
    assert sections(text, "fake-exact (reference)")[0] == ["7.00"]
    own = fake_cost_record("fake-exact", [fake_cell()], role="ceiling")
    assert "(reference)" not in shown(own, fake_cost_record("a", cells))


@pytest.mark.parametrize("part", ["absent", None])
@pytest.mark.parametrize("format", [*HUMAN, "csv", "json"])
def test_a_method_without_a_curve_is_named_with_status_and_reason(format, part):
    gone = failed_record(
        fake_identity("leaky", "cost", preset="kernel"),
        status="failed-gate",
        reason="the future is seen: 0.7.",
    )
    text = render([fake_cost_record("a"), gone], format, part=part)
    for words in ("leaky", "failed-gate", "the future is seen: 0.7."):
        assert words in text


def test_a_table_names_who_is_absent_under_its_circumstances_alone():
    gone = [
        failed_record(fake_identity(name, "cost", preset="kernel", dtype=dtype))
        for name, dtype in {"here": "float32", "elsewhere": "bfloat16"}.items()
    ]
    text = shown(fake_cost_record("a"), *gone)
    assert "here (unsupported)" in text
    assert "elsewhere" not in text


def test_the_commonest_kernel_stands_last_and_for_all_others():
    cells = [fake_cell(kernels=["fused"])]
    records = [fake_cost_record("x", cells), *(fake_cost_record(n, [fake_cell()]) for n in "ab")]
    assert "Kernels that ran: fused (x); torch operations (all others)." in shown(*records)


@pytest.mark.parametrize(
    ("verdict", "ends", "words"),
    [
        ("crosses", {}, "from 640-704"),
        ("always", {}, "always (from 256)"),
        ("never", {}, "never (up to 16384)"),
        ("crosses", {"below": None}, "from 704 or less"),
    ],
)
def test_a_crossover_is_told_with_its_interval(verdict, ends, words):
    record = fake_cost_record("a", crossovers=fake_crossovers(verdict, **ends))
    rows = sections(shown(record, part="crossovers"), "a")
    assert rows == [[words], [words]]


def test_a_crossover_is_not_denied_where_the_longest_length_is_undecided():
    open_end = [
        each.model_copy(update={"undecided": [8192, 16384]}) for each in fake_crossovers("never")
    ]
    record = fake_cost_record("a", crossovers=open_end)
    text = shown(record, part="crossovers")
    assert sections(text, "a")[0] == ["not clear (up to 16384) \\[1\\]"]
    assert "The samples do not tell at 8192, 16384." in text


def test_a_crossover_names_reference_and_number_format():
    record = fake_cost_record("a", crossovers=fake_crossovers(), dtype="bfloat16")
    text = shown(record, part="crossovers")
    assert "better than fake-exact" in text
    assert "bfloat16" in text


def test_seeds_that_differ_in_a_crossover_are_both_told():
    records = [
        fake_cost_record("a", crossovers=fake_crossovers(below=n, above=n + 64), seed=n)
        for n in (640, 704)
    ]
    assert sections(shown(*records, part="crossovers"), "a")[0] == ["from 640-704; from 704-768"]


def test_scores_and_curves_never_mix():
    both = [fake_record(), fake_cost_record("a")]
    assert render(both, "markdown") == (
        render(both[:1], "markdown") + "\n" + render(both[1:], "markdown")
    )


def test_without_cost_no_curve_is_shown():
    assert render([fake_cost_record("a")], "markdown", cost=False) == ""


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminals_table_fits_its_width(width):
    records = [
        fake_cost_record(f"method-with-a-name-{i}", fake_cells(seed=i), same_as=name)
        for i, name in enumerate((None, "method-with-a-name-0", None))
    ]
    text = render(records, "table", width=width)
    assert max(map(len, text.splitlines())) <= width


def test_seven_lengths_fit_beside_each_other_in_100_columns():
    text = render([fake_cost_record("a-method-with-options")], "table", width=100, part="curves")
    heads = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["method"]]
    assert heads == 4 * [[str(length) for length in LENGTHS]]


def test_an_unknown_part_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="crossovers"):
        render([fake_cost_record("a")], "markdown", part="fancy")
