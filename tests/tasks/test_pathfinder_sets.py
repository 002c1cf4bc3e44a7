"""Generated sets: canonical, kept in the cache, their options checked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.api import LoadRequest
from tasks.data.pathfinder_sets import load_generated
from tasks.data.pathfinder_sources import pathfinder_data

FEW = pathfinder_data(
    num_train=7, num_validation=2, num_test=3, side=17, contour_length=3, num_distractors=1
)


def request(cache: Path | None = None, **changed: object) -> LoadRequest:
    return LoadRequest(data={**FEW, **changed}, cache=cache)  # type: ignore[dict-item]


def test_the_splits_have_the_sizes_asked_for():
    data = load_generated(request())
    assert [len(split) for split in (data.train, data.validation, data.test)] == [7, 2, 3]


def test_every_pixel_is_a_token_and_none_is_padding():
    train = load_generated(request()).train
    assert train.tokens.shape == (7, 1, 17 * 17)
    assert (train.lengths == 17 * 17).all()
    assert train.tokens.min() == 1
    assert train.tokens.max() == 256


def test_a_longer_set_begins_like_a_shorter_one():
    few, many = load_generated(request()).train, load_generated(request(num_train=9)).train
    np.testing.assert_array_equal(many.tokens[:7], few.tokens)
    np.testing.assert_array_equal(many.labels[:7], few.labels)


def test_no_picture_is_in_two_splits():
    data = load_generated(request())
    pictures = [row.tobytes() for s in (data.train, data.validation, data.test) for row in s.tokens]
    assert len(set(pictures)) == 12


def test_a_cached_set_equals_the_generated_one(tmp_path):
    first = load_generated(request(tmp_path))
    again = load_generated(request(tmp_path))
    assert first.digest == again.digest == load_generated(request()).digest


def test_another_setting_is_another_set(tmp_path):
    digests = {
        load_generated(request(tmp_path)).digest,
        load_generated(request(tmp_path, num_distractors=2)).digest,
        load_generated(request(tmp_path, contrast=1.2)).digest,
    }
    assert len(digests) == 3


def test_a_damaged_cache_is_made_again(tmp_path):
    whole = load_generated(request(tmp_path)).digest
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    assert load_generated(request(tmp_path)).digest == whole


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("num_train", 0, "num_train takes a whole number from 1 up, not 0"),
        ("num_test", True, "num_test takes a whole number"),
        ("num_snakes", 3, "no data option is named 'num_snakes'"),
        ("contour_length", 2.5, "contour_length takes a whole number, not 2.5"),
    ],
)
def test_a_wrong_option_is_named(option, value, said):
    with pytest.raises(ValueError, match=said):
        load_generated(request(**{option: value}))


def test_a_record_can_tell_what_was_drawn():
    said = load_generated(request()).what
    assert "17 x 17" in said
    assert "two contours of 3 paddles" in said


def test_requests_are_left_as_they_were():
    asked = request()
    load_generated(asked)
    assert asked == replace(asked, data=dict(FEW))
