"""The tables of real queries and keys: features needed, paired errors, and findings in words."""

import re
from collections.abc import Mapping, Sequence

import pytest

from reports.table import render
from results.record import Record
from tests.reports.test_curves import sections
from tests.results.probes import fake_point, fake_probe_record, features_needed

SOFT = {"model": "fake-lm", "against": "softmax"}
CENTRED, PLAIN = "performer:key\\_shift=both", "performer |"
"""How their rows begin in Markdown."""


def variants(
    *,
    plain: Sequence[float],
    centred: Sequence[float],
    needed: Mapping[str, Sequence[float | None]] | None = None,
    uniform: float | None = None,
) -> list[Record]:
    """Two variants of performer with their errors, layer by layer, and what heads need."""
    records = []
    for name, errors in {"plain": plain, "centred": centred}.items():
        model = {"model": "fake-lm"}
        points = [
            fake_point("features-needed", n, reason="" if n else "more than 400", head=i, **SOFT)
            for i, n in enumerate((needed or {}).get(name, [None]))
        ]
        for layer, error in enumerate(errors):
            for m, times in ((64, 3.0), (256, 1.0)):
                where = {"layer": layer, "num_features": m, **SOFT}
                points.append(fake_point("output-error", times * error, **where))
            if uniform:
                points.append(fake_point("uniform-error", uniform, layer=layer, **model))
        options = {"key_shift": "both" if name == "centred" else "none", "proposal": "isotropic"}
        records.append(fake_probe_record(points, "performer", "probes/real-qk", options=options))
    return records


def shown(*records: Record) -> str:
    return render(records, "markdown")


def real(method: str, **needed: float) -> Record:
    return fake_probe_record(features_needed(**needed), method, "probes/real-qk")


def test_features_needed_are_the_median_over_heads_and_more_than_tried_counts_as_most():
    text = shown(real("costly"), real("cheap", factor=0.25))
    costly, cheap = (sections(text, name) for name in ("costly", "cheap"))
    # Heads need 64 * 2 ** (1.5 layer + 0.5 head); of 24 the two in the middle count.
    assert costly[0][:2] == ["1448", "17 of 24"]
    assert cheap[0][:2] == ["**362** \\*", "22 of 24"]


def test_a_target_that_hardly_a_head_reaches_has_no_number():
    assert sections(shown(real("costly", factor=1000.0)), "costly")[0][:2] == [
        "\\> 4096",
        "0 of 24",
    ]


def test_every_layer_has_a_row_and_those_where_nobody_comes_within_are_told_in_words():
    text = render([real("costly"), real("cheap", factor=0.25)], "markdown", part="layers")
    # The middle of four heads lies between 2 ** 0.5 and 2.
    assert sections(text, "0") == [["109", "**27.3** \\*"]]
    assert sections(text, "4") == [["\\> 4096", "**1748** \\*"]]
    beyond = render([real("costly", factor=1000.0)], "markdown", part="layers")
    assert "the median head of 6 of 6 layers needs more than 4096" in beyond


def test_errors_are_paired_with_plain_features_layer_by_layer():
    text = shown(*variants(plain=(0.2, 0.4, 0.8), centred=(0.1, 0.2, 0.4)))
    centred, plain = (rows[0] for rows in (sections(text, CENTRED), sections(text, PLAIN)))
    # The layers differ, their ratios do not: the interval is a point.
    assert centred[-3:] == ["**0.200** \\*", "0.500 (0.500 to 0.500)", "0 : 0"]
    assert plain[-3:] == ["0.400", "-", "-"]


def test_an_error_whose_interval_of_ratios_holds_one_shows_nothing():
    told = shown(*variants(plain=(0.2, 0.4, 0.8), centred=(0.1, 0.5, 0.8)))
    assert "it does, by a smaller error of as many: 0;" in told
    assert "neither is shown: 1" in told


@pytest.mark.parametrize(("ratio", "words"), [(0.5, "it does"), (2.0, "it needs more")])
def test_whether_knowing_the_data_helps_is_said_in_one_sentence(ratio, words):
    errors = (0.2, 0.4, 0.8)
    told = shown(*variants(plain=errors, centred=[each * ratio for each in errors]))
    assert re.search(rf"{words}, by a \w+ error of as many: 1;", told)


def test_who_is_worse_than_equal_weights_is_counted():
    told = shown(*variants(plain=(0.9, 0.9), centred=(0.5, 0.5), uniform=0.7))
    assert "1 of 2 are further from softmax than equal weights are, 0.700." in told
    assert sections(told, "equal weights")[0][-3] == "0.700"


def test_heads_are_counted_where_either_comes_within_the_target():
    needed = {"plain": [None, 200.0, 300.0, None], "centred": [100.0, 400.0, 300.0, None]}
    told = shown(*variants(plain=(0.5,), centred=(0.4,), needed=needed))
    assert sections(told, CENTRED)[0][-1] == "1 : 1"


def test_another_kernel_is_held_against_softmax_and_against_itself():
    own = [
        point.model_copy(update={"where": {**point.where, "against": "own kernel"}})
        for point in features_needed()
    ]
    gaps = {
        gap: fake_probe_record(
            [*features_needed(), *own, fake_point("kernel-gap", gap, model="fake-lm", layer=0)],
            task="probes/real-qk",
        )
        for gap in (1e-9, 0.3)
    }
    assert "own kernel" not in shown(gaps[1e-9])
    told = shown(gaps[0.3])
    assert "fake-features, against its own kernel" in told
    assert "exact attention with that is 0.300 off softmax's" in told


def test_spectra_are_those_of_one_method_alone_and_shares_are_of_heads():
    where = {"model": "fake-lm", "of": "both", "centred": False}
    points = [fake_point("largest-eigenvalue", v, kv_head=i, **where) for i, v in enumerate((1, 3))]
    points += [
        fake_point("heads-past-pole", share, layer=i, pole="1/2", samples=2, **where)
        for i, share in enumerate((1.0, 0.5))
    ]
    records = [fake_probe_record(points, name, "probes/real-qk") for name in "ab"]
    told = render(records, "markdown", part="spectra")
    assert sections(told, "largest eigenvalue") == [["2.00 (1.00 to 3.00)"]]
    assert sections(told, "heads past 1/2") == [["75 % (3 of 4)"]]
