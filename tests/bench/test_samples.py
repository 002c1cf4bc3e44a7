"""Laws of timing: calls take turns, warm up first, and a GPU's events enclose the call alone."""

import gc

import pytest

from bench.runners.clocks import Clock, clock_flags, clock_reader
from bench.runners.samples import (
    MOST_WARMUPS,
    GpuStopwatch,
    ProcessorStopwatch,
    Stopwatch,
    Turn,
    is_noisy,
    take_turns,
    warm_up,
)


class Scripted(Stopwatch):
    """Runs the call and tells the next of the given times."""

    def __init__(self, seconds):
        self._seconds = iter(seconds)

    def seconds(self, call, look=id):
        look(call())
        return next(self._seconds)


def test_calls_take_turns():
    order: list[str] = []
    turns = [Turn(lambda: order.append("a")), Turn(lambda: order.append("b"))]
    samples = take_turns(turns, Scripted([1.0, 2.0] * 3), least=3, most=3, seconds=0.0)
    assert order == ["a", "b"] * 3
    assert samples == [[1.0] * 3, [2.0] * 3]


def test_sampling_ends_when_every_median_is_narrow():
    steady = take_turns([Turn(int)], Scripted([1.0] * 100), least=6, most=50, seconds=60.0)
    assert len(steady[0]) == 6
    scattered = take_turns([Turn(int)], Scripted([1.0, 3.0] * 50), least=6, most=50, seconds=60.0)
    assert len(scattered[0]) == 50


def test_sampling_ends_when_the_time_is_spent_but_not_before_the_least():
    turns = [Turn(int)]
    samples = take_turns(turns, Scripted([1.0, 3.0] * 9), least=7, most=50, seconds=0.0)
    assert len(samples[0]) == 7


def test_garbage_is_not_collected_while_samples_are_taken():
    seen: list[bool] = []
    turn = Turn(lambda: seen.append(gc.isenabled()))
    take_turns([turn], Scripted([1.0]), least=1, most=1, seconds=0.0)
    assert seen == [False]
    assert gc.isenabled()


def test_a_call_is_warm_when_two_in_a_row_agree():
    assert warm_up(int, Scripted([9.0, 3.0, 2.0, 1.0, 1.05, 7.0]), seconds=60.0) == 1.05


def test_warming_up_ends_for_a_call_that_never_settles():
    times = [float(2**i) for i in range(MOST_WARMUPS + 1)]
    assert warm_up(int, Scripted(times), seconds=60.0) == times[-1]


def test_a_processor_is_timed_by_its_clock():
    assert ProcessorStopwatch().seconds(lambda: sum(range(10_000))) > 0


def test_scattered_samples_are_noisy_and_an_outlier_alone_is_not():
    assert is_noisy([1.0, 2.0, 3.0, 4.0] * 3)
    assert not is_noisy([1.0] * 11 + [50.0])


def test_the_cache_of_a_gpu_is_flushed_before_the_events_and_they_enclose_the_call_alone():
    log: list[str] = []

    class Event:
        def record(self):
            log.append("event")

        def elapsed_time(self, other):
            return 250.0

    watch = GpuStopwatch(Event, lambda: log.append("flush"), lambda: log.append("wait"))
    assert watch.seconds(lambda: log.append("call")) == 0.25
    assert log == ["flush", "event", "call", "event", "wait"]


@pytest.mark.parametrize(
    ("before", "after", "flags"),
    [
        (Clock(1.9e9), Clock(1.89e9), []),
        (Clock(1.9e9), Clock(1.5e9), ["clock fell"]),
        (Clock(), Clock(1.5e9), []),
        (Clock(1e9), Clock(1e9, frozenset({"power cap"})), ["throttled: power cap"]),
    ],
)
def test_a_fallen_clock_and_throttling_are_flagged(before, after, flags):
    assert clock_flags(before, after) == flags


def test_a_processor_tells_no_clock():
    assert clock_reader("cpu")() == Clock()
