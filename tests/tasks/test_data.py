"""Laws of what the tasks' loaders share: padding, sampling, options, packages."""

import numpy as np
import pytest

from tasks.api import LoadRequest, SourceUnavailableError
from tasks.data.options import options
from tasks.data.packaged import package_file, why_package_is_missing
from tasks.data.padding import pad_bytes
from tasks.data.sampling import balanced, hold_out

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


@pytest.mark.parametrize("texts", [[b"abc", b"", b"abcdefgh"], [b"\x00\xff", b"\xfe"]])
def test_a_byte_becomes_its_value_plus_one_and_zero_pads(texts):
    tokens, lengths = pad_bytes(texts, 5)
    assert lengths.tolist() == [min(len(text), 5) or 1 for text in texts]
    for row, length, text in zip(tokens, lengths, texts, strict=True):
        assert row[:length].tolist() == [byte + 1 for byte in text[:5] or b" "]
        assert not row[length:].any()


def test_what_is_held_out_takes_of_every_class_its_share():
    kept, held_out = hold_out(LABELS, 20, seed=5)
    assert np.bincount(LABELS[held_out]).tolist() == [12, 6, 2]
    assert sorted([*kept, *held_out]) == list(range(100))


def test_what_is_held_out_depends_on_the_seed_alone():
    first, again, other = (hold_out(LABELS, 20, seed)[1].tolist() for seed in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize("num", [0, 100])
def test_all_or_nothing_cannot_be_held_out(num):
    with pytest.raises(ValueError, match="cannot be held out"):
        hold_out(LABELS, num, seed=0)


@pytest.mark.parametrize(("num", "each"), [(0, 10), (12, 4), (1000, 10), (1, 1)])
def test_a_balanced_sample_has_equally_many_of_every_class(num, each):
    chosen = balanced(LABELS, num, seed=1)
    assert np.bincount(LABELS[chosen]).tolist() == [each] * 3
    assert len(set(chosen.tolist())) == len(chosen)


@pytest.mark.parametrize("value", [-1, True, "7", 0.5])
def test_an_option_is_a_whole_number_from_zero_up(value):
    with pytest.raises(ValueError, match="side takes a whole number"):
        options(LoadRequest(data={"side": value}), {"side": 0})


def test_an_absent_package_is_answered_with_how_to_install_it():
    assert "pip install" in str(why_package_is_missing("no_such_package", "packaged"))
    with pytest.raises(SourceUnavailableError, match="pip install no_such_package"):
        package_file("no_such_package", "data")


def test_a_package_without_the_file_is_named():
    with pytest.raises(SourceUnavailableError, match=r"'mlxtend' lacks data/absent\.csv"):
        package_file("mlxtend", "data", "absent.csv")
