"""Laws of the crossover: measured lengths enclose it, and noise decides nothing."""

import itertools

import pytest

from bench.runners.crossover import CLOSE, find_crossover, judge, next_length
from bench.runners.forecast import STEP, History, Known
from results.curve import CostCell


def cell(length: int, mine: float, other: float, **more: object) -> CostCell:
    wobble = (1.0, 1.01, 0.99, 1.005, 0.995, 1.002, 0.998)
    return CostCell(
        mode="forward",
        causal=True,
        length=length,
        status="completed",
        seconds=[mine * w for w in wobble],
        reference_seconds=[other] * len(wobble),
        **more,
    )


def crossover(*cells: CostCell):
    return find_crossover(cells, "forward", True, "latency")


def test_a_crossover_lies_between_the_last_worse_and_the_first_of_the_better():
    found = crossover(cell(64, 2, 1), cell(128, 2, 1), cell(256, 1, 2), cell(512, 1, 3))
    assert (found.below, found.above, found.verdict) == (128, 256, "crosses")
    assert (found.shortest, found.longest) == (64, 512)


def test_a_length_that_is_worse_again_moves_the_crossover_beyond_it():
    found = crossover(cell(64, 1, 2), cell(128, 2, 1), cell(256, 1, 2))
    assert (found.below, found.above) == (128, 256)


def test_always_and_never_are_told_apart():
    assert crossover(cell(64, 1, 2), cell(128, 1, 2)).verdict == "always"
    never = crossover(cell(64, 1, 2), cell(128, 2, 1))
    assert (never.verdict, never.above, never.below) == ("never", None, 128)


def test_equal_samples_decide_nothing_and_end_the_search():
    found = crossover(cell(64, 2, 1), cell(128, 1, 1), cell(256, 1, 2))
    assert found.undecided == [128]
    assert (found.below, found.above) == (64, 256)
    assert next_length(found) is None


def test_six_samples_in_favour_decide_and_five_do_not():
    for n, verdict in ((5, "undecided"), (6, "better")):
        few = cell(64, 1, 2).model_copy(
            update={"seconds": [1.0] * n, "reference_seconds": [2.0] * n}
        )
        assert judge(few, "latency") == verdict


def test_a_place_without_reference_is_not_judged():
    assert judge(cell(64, 1, 2).model_copy(update={"reference_seconds": []}), "latency") is None
    assert judge(cell(64, 1, 2), "memory") is None
    assert crossover() is None


@pytest.mark.parametrize(("mine", "verdict"), [(90, "better"), (100, "undecided"), (120, "worse")])
def test_memory_is_judged_by_what_was_allocated(mine, verdict):
    found = cell(64, 1, 2, allocated_bytes=mine, reference_allocated_bytes=100)
    assert judge(found, "memory") == verdict


def test_what_decoding_keeps_is_part_of_its_memory():
    found = cell(
        64,
        1,
        2,
        allocated_bytes=1,
        reference_allocated_bytes=1,
        state_bytes=10,
        reference_state_bytes=99,
    ).model_copy(update={"mode": "decode"})
    assert judge(found, "memory") == "better"


def test_bisection_encloses_a_known_crossover_closely():
    cells = [cell(n, float(n), n * n / 570) for n in (256, 4096)]
    while (found := crossover(*cells)) and (n := next_length(found)):
        cells.append(cell(n, float(n), n * n / 570))
    assert found.below < 570 <= found.above <= found.below * CLOSE
    assert len(cells) <= 9


def test_what_grows_with_the_square_is_foreseen():
    history = History()
    for n in (256, 1024):
        history.add(Known(n, 0.0, 1e-8 * n * n, 4 * n))
    expected = history.expect(4096)
    assert expected.call_seconds == pytest.approx(1e-8 * 4096**2)
    assert expected.bytes == pytest.approx(4 * 4096, rel=0.01)


def test_from_one_length_alone_the_square_is_feared():
    history = History()
    history.add(Known(256, 0.0, 1.0, 10))
    assert history.expect(1024).call_seconds == 16.0


def test_nothing_is_foreseen_of_a_length_shorter_than_all():
    history = History()
    history.add(Known(256, 0.0, 1.0, 10))
    assert history.expect(64) is None


def test_no_step_to_a_long_length_is_larger_than_the_largest():
    history = History()
    lengths = [*history.pilots(100_000), 100_000]
    assert all(b <= a * STEP for a, b in itertools.pairwise(lengths))
    history.add(Known(50_000, 0.0, 1.0, 1))
    assert history.pilots(100_000) == []
