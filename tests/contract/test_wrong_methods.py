"""The contract rejects each wrong method, and for the right reason."""

import pytest
import torch

from methods import softmax
from methods.api import AttentionModule, Capabilities, Method
from methods.core.testing import GATE_LAWS, LAWS, ContractError, assert_method, check_method
from tests.contract.wrong_methods import (
    PLAIN,
    WRONG,
    CountsPlaces,
    blanks_padding,
    off_by_one,
    trusts_the_causal_mask,
)

CONSEQUENCES = {
    "future-not-seen": {"future-not-seen-at-length"},
    # A second chunk is taken from its own first key as well, and all from a padded first key.
    "stepping-equals-whole": {
        "segments-equal-whole",
        "padding-as-good-as-absent",
        "state-is-all-that-is-kept",
    },
    # A padded neighbour's output is another one, and a hundredth of it arrives here.
    "batch-neighbours-not-seen": {"padding-as-good-as-absent"},
    # A stale result is wrong wherever two results are compared.
    "fresh-output-for-fresh-input": {
        "gradients-finite",
        "gradients-are-derivatives",
        "padding-as-good-as-absent",
    },
}
"""Laws that the same mistake breaks as well."""


@pytest.mark.parametrize("law", WRONG)
def test_a_wrong_method_breaks_the_law_that_it_was_written_to_break(law):
    broken = {r.law for r in check_method(WRONG[law]) if not r.passed}
    assert law in broken
    assert broken <= {law} | CONSEQUENCES.get(law, set())


@pytest.mark.parametrize(
    ("law", "words"),
    [
        ("future-not-seen", "output at times before 5 moved when the future changed, by"),
        ("inputs-not-written-to", "wrote to its input number 3"),
        ("padding-as-good-as-absent", "without the padded places by"),
        ("batch-neighbours-not-seen", "more came into its batch, by"),
        ("fresh-output-for-fresh-input", "second call differs from a fresh instance's by"),
        ("stepping-equals-whole", "stepping token by token differs from the whole by"),
        ("features-unbiased", "the features are biased: their mean product is"),
    ],
)
def test_a_broken_law_says_what_was_seen(law, words):
    (result,) = check_method(WRONG[law], laws=[law])
    assert words in result.detail


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (
            Method(name="trusts", attention=trusts_the_causal_mask, can=PLAIN),
            "causal output moved when the contents of padded places changed, by",
        ),
        (
            Method(
                name="counts",
                mixer=CountsPlaces,
                can=Capabilities(causal=True, key_padding=True, stepwise=True),
            ),
            "without the padded places before the first token by",
        ),
    ],
)
def test_padding_before_live_tokens_is_checked_of_causal_methods(method, words):
    (result,) = check_method(method, laws=["padding-as-good-as-absent"])
    assert words in result.detail


def test_a_namesake_is_compared_with_padding_before_live_keys():
    method = Method(name="blanks", attention=blanks_padding, can=PLAIN, same_as="softmax")
    laws = ["padding-as-good-as-absent", "equals-namesake"]
    results = check_method(method, laws=laws, namesake=softmax.METHOD)
    assert [result.passed for result in results] == [True, False]


def test_the_gate_stops_what_would_make_a_score_or_a_time_a_lie():
    assert set(GATE_LAWS) >= {
        "future-not-seen",
        "inputs-not-written-to",
        "padding-as-good-as-absent",
        "batch-neighbours-not-seen",
    }
    assert {law.name for law in LAWS} >= set(GATE_LAWS)


def test_asserting_a_wrong_method_names_it_and_every_broken_law():
    with pytest.raises(ContractError, match=r"off-by-one breaks(.|\n)*future-not-seen: output at"):
        assert_method(WRONG["future-not-seen"])


def test_an_unknown_law_is_answered_with_the_laws():
    with pytest.raises(ValueError, match="no law is named past-not-seen"):
        check_method(softmax.METHOD, laws=["past-not-seen"])


def test_a_method_that_computes_something_else_is_no_namesake():
    stranger = Method(name="stranger", attention=off_by_one, can=PLAIN, same_as="softmax")
    (result,) = check_method(stranger, namesake=softmax.METHOD, laws=["equals-namesake"])
    assert "the output differs from softmax's" in result.detail


def test_a_method_that_cannot_be_built_is_told_so_once():
    class Unfinished(AttentionModule):
        def __init__(self, heads, generator):
            super().__init__()
            self.weight = torch.ones(heads.no_such_size)

        def forward(self, q, k, v, *, causal=False, key_padding=None):
            return v

    (result,) = check_method(Method(name="unfinished", attention=Unfinished, can=PLAIN))
    assert result.law == "can-be-built"
    assert "it raised AttributeError: 'Heads' object has no attribute" in result.detail


def test_a_law_under_which_a_method_fails_over_is_broken_and_the_rest_still_run():
    def fails_over(q, k, v, *, causal=False, key_padding=None):
        if q.shape[2] == 1:
            raise IndexError("too short for me")
        return softmax.softmax_attention(q, k, v, causal=causal, key_padding=key_padding)

    results = check_method(Method(name="short", attention=fails_over, can=PLAIN))
    broken = {r.law: r.detail for r in results if not r.passed}
    assert broken == {"shape-and-dtype-kept": "it raised IndexError: too short for me"}


def test_a_method_that_declares_no_direction_is_told_so():
    (result,) = check_method(Method(name="idle", attention=off_by_one, can=Capabilities()))
    assert result.detail == "it declares neither causal nor bidirectional use."
