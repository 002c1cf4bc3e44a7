"""The contract rejects each wrong method, and for the right reason."""

import pytest

from methods import softmax
from methods.core.testing import GATE_LAWS, LAWS, ContractError, assert_method, check_method
from tests.contract.wrong_methods import WRONG, RemembersTooWell

CONSEQUENCES = {
    # A second chunk is taken from its own first key as well.
    "stepping-equals-whole": {"segments-equal-whole"},
    # A padded neighbour's output is another one, and a hundredth of it arrives here.
    "batch-neighbours-not-seen": {"padding-as-good-as-absent"},
    # A stale result is wrong wherever two results are compared.
    "fresh-output-for-fresh-input": {"gradients-finite", "padding-as-good-as-absent"},
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
        ("batch-neighbours-not-seen", "moved when its neighbour in the batch changed, by"),
        ("fresh-output-for-fresh-input", "second call differs from a fresh instance's by"),
        ("stepping-equals-whole", "stepping token by token differs from the whole by"),
        ("features-unbiased", "the features are biased: their mean product is"),
    ],
)
def test_a_broken_law_says_what_was_seen(law, words):
    (result,) = check_method(WRONG[law], laws=[law])
    assert words in result.detail


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


def test_a_method_of_another_name_that_computes_something_else_is_no_namesake():
    results = check_method(
        WRONG["future-not-seen"].__class__(
            name="stale", attention=RemembersTooWell, can=softmax.METHOD.can, same_as="softmax"
        ),
        namesake=softmax.METHOD,
        laws=["equals-namesake"],
    )
    assert not results[0].passed
