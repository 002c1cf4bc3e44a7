"""Laws of reading methods, options and settings from text."""

from typing import Literal

import pytest

from bench.errors import UsageError
from bench.selector import coerce, parse_selector, resolve_options
from methods.api import Option

KNOWN = {
    "num_features": Option("num_features", int, 64),
    "orthogonal": Option("orthogonal", bool, True),
    "rank": Option("rank", int | None, None),
    "initial": Option("initial", Literal["identity", "whitening"], "identity"),
}


@pytest.mark.parametrize(
    ("text", "what", "options"),
    [
        ("performer", "performer", {}),
        ("performer:num_features=8", "performer", {"num_features": "8"}),
        ("performer:a=1,b=x", "performer", {"a": "1", "b": "x"}),
        ("./mine.py", "./mine.py", {}),
        ("./mine.py:a=1", "./mine.py", {"a": "1"}),
        ("package.module:METHOD", "package.module:METHOD", {}),
        ("package.module:METHOD:a=1", "package.module:METHOD", {"a": "1"}),
    ],
)
def test_a_selector_is_what_and_options(text, what, options):
    selector = parse_selector(text)
    assert (selector.what, dict(selector.options)) == (what, options)


def test_options_not_given_stand_at_their_default():
    assert resolve_options({"rank": "3"}, KNOWN, owner="m") == {
        "num_features": 64,
        "orthogonal": True,
        "rank": 3,
        "initial": "identity",
    }


def test_none_is_a_value_where_the_type_allows_it():
    assert resolve_options({"rank": "none"}, KNOWN, owner="m")["rank"] is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"num_featurs": "3"}, "Did you mean 'num_features'"),
        ({"num_features": "many"}, "takes num_features as int; 'many' is not one"),
        ({"orthogonal": "perhaps"}, "takes orthogonal as bool"),
        ({"initial": "zero"}, "'identity' | 'whitening'"),
        ({"num_features": "none"}, "takes num_features as int"),
    ],
)
def test_a_wrong_option_is_answered_with_the_right_ones(given, sentence):
    with pytest.raises(UsageError) as caught:
        resolve_options(given, KNOWN, owner="performer")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["m:a=1,b", "m:a=1,a=2"])
def test_a_malformed_pair_is_named(text):
    with pytest.raises(UsageError):
        parse_selector(text)


def test_a_truth_value_is_read_as_one():
    assert coerce("false", bool, key="k", owner="o") is False
