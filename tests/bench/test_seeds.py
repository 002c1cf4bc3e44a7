"""Laws of `--seeds`: numbers and ranges, and a sentence for anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.seeds import parse_seeds
from bench.errors import UsageError
from tests.processes import bench


@pytest.mark.parametrize(
    ("typed", "seeds"),
    [
        (["0", "1", "2"], (0, 1, 2)),
        (["0-3"], (0, 1, 2, 3)),
        (["7", "0-2", "5-5"], (7, 0, 1, 2, 5)),
        ([], ()),
    ],
)
def test_numbers_and_ranges_are_seeds_in_the_order_typed(typed, seeds):
    assert parse_seeds(typed) == seeds


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("5-3", "Give 3-5"),
        ("many", "not 'many'"),
        ("-1", "numbers from 0"),
        ("1.5", "numbers from 0"),
        ("0-", "ranges such as 0-9"),
        ("0-1-2", "ranges such as 0-9"),
        ("٣", "numbers from 0"),
        ("0-999999999999", "more than 1000000 seeds"),
    ],
)
def test_anything_else_is_a_sentence(typed, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_seeds([typed])


@given(st.text())
def test_no_text_ends_in_a_traceback(text):
    try:
        assert all(seed >= 0 for seed in parse_seeds([text]))
    except UsageError:
        return


@pytest.mark.parametrize(
    "words", [("plan", "--methods", "performer", "--task", "lra"), ("compare",)]
)
def test_commands_read_them_alike(words):
    done = bench(*words, "--seeds", "4-1")
    assert done.returncode == 2
    assert "Give 1-4" in done.stderr
