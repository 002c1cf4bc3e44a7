"""Laws of a sweep: what it measures is said by a few words, and nonsense is answered."""

import pytest

from tasks.cost import TASK
from tasks.sweep import Sweep


def test_lengths_double_from_the_shortest_to_the_longest():
    assert Sweep(shortest=3, longest=13).all_lengths == (3, 6, 12)


def test_lengths_are_taken_as_written_in_order_and_once():
    assert Sweep(lengths="64, 7,64").all_lengths == (7, 64)


def test_decoding_has_one_direction():
    assert Sweep(modes="decode,forward", causal="false").columns == (
        ("forward", False),
        ("decode", True),
    )


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"lengths": "0"}, "1 or more"),
        ({"lengths": "4,x"}, "'x'"),
        ({"lengths": str(2**30)}, "at most"),
        ({"shortest": 9, "longest": 8}, "less than shortest"),
        ({"num_heads": 0}, "num_heads"),
        ({"modes": "forward,backward"}, "'backward'"),
        ({"causal": "maybe"}, "'maybe'"),
        ({"min_samples": 2}, "6 or more"),
        ({"max_samples": 6}, "fewer than"),
        ({"cell_seconds": float("nan")}, "above 0"),
        ({"against": " "}, "name a method"),
    ],
)
def test_what_makes_no_sense_is_answered_with_a_sentence(wrong, word):
    with pytest.raises(ValueError, match=word):
        Sweep(**wrong)


def test_every_preset_keeps_its_cells_within_its_time():
    for preset in TASK.presets:
        assert preset.sweep.cell_seconds < preset.sweep.total_seconds
        assert preset.max_time == preset.sweep.all_lengths[-1]
