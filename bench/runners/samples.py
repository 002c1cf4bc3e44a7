"""Times calls: warmed up, taken in turn, until the median is narrow or the time is spent."""

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

# Bound before any method's file is imported: a clock replaced later is not read.
from time import perf_counter
from typing import Any, NamedTuple

import torch

from results.medians import median

Call = Callable[[], object]
Look = Callable[[object], object]
"""At a result, when the clock has stopped."""

AGREEMENT = 0.1
"""Two calls in a row that differ by less than this share are warm."""
MOST_WARMUPS = 10
NARROW = 0.02
"""Half the width of the median's interval, as a share of it, at which sampling ends."""
NOISE = 0.25
"""Samples whose middle half spreads by more than this share of the median are flagged."""
FLUSH_FACTOR = 2
"""How many times the GPU's L2 cache is written over between two samples."""


def _ignore(*_: object) -> None:
    """Nothing to prepare, and nothing to look at."""


class Stopwatch(ABC):
    """Times one call at a time."""

    @abstractmethod
    def seconds(self, call: Call, look: Look = _ignore) -> float:
        """What one call took; its result is looked at afterwards."""


class ProcessorStopwatch(Stopwatch):
    """A processor's clock: a call has ended when it returns."""

    def seconds(self, call: Call, look: Look = _ignore) -> float:
        started = perf_counter()
        result = call()
        ended = perf_counter()
        # Looked at, and freed, after the clock was read.
        look(result)
        return ended - started


class GpuStopwatch(Stopwatch):
    """A GPU's own events. Its L2 cache is flushed before, so that no call finds its inputs there.

    The parts are handed in, so that the order of events can be tested without a GPU.
    """

    def __init__(
        self, event: Callable[[], Any], flush: Callable[[], object], wait: Callable[[], object]
    ) -> None:
        self._event, self._flush, self._wait = event, flush, wait

    def seconds(self, call: Call, look: Look = _ignore) -> float:
        self._flush()
        started, ended = self._event(), self._event()
        started.record()
        result = call()
        ended.record()
        self._wait()
        look(result)
        return float(started.elapsed_time(ended)) / 1000


def make_stopwatch(device: str) -> Stopwatch:
    """The right one for this device."""
    if device == "cpu":
        return ProcessorStopwatch()
    size = torch.cuda.get_device_properties(device).L2_cache_size
    scratch = torch.empty(max(1, FLUSH_FACTOR * size), dtype=torch.int8, device=device)
    return GpuStopwatch(
        event=lambda: torch.cuda.Event(enable_timing=True),  # type: ignore[no-untyped-call]
        flush=scratch.zero_,
        wait=lambda: torch.cuda.synchronize(device),
    )


def warm_up(call: Call, stopwatch: Stopwatch, seconds: float) -> float:
    """Call until two calls in a row agree, or time or patience end; the last call's seconds."""
    deadline = time.monotonic() + seconds
    before = stopwatch.seconds(call)
    for _ in range(MOST_WARMUPS):
        now = stopwatch.seconds(call)
        if abs(now - before) <= AGREEMENT * before or time.monotonic() > deadline:
            return now
        before = now
    return before


class Turn(NamedTuple):
    """A call to be timed, what to do before it and what with its result."""

    call: Call
    prepare: Call = _ignore
    look: Look = _ignore


def take_turns(
    turns: Sequence[Turn], stopwatch: Stopwatch, *, least: int, most: int, seconds: float
) -> list[list[float]]:
    """Samples of each call, A B A B: what slows the machine for a while slows all of them.

    At least `least` of each, at most `most`; between the two it ends when the time is spent or
    every median is narrow.
    """
    samples: list[list[float]] = [[] for _ in turns]
    deadline = time.monotonic() + seconds
    collects = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        while len(samples[0]) < most:
            for turn, kept in zip(turns, samples, strict=True):
                turn.prepare()
                kept.append(stopwatch.seconds(turn.call, turn.look))
            if len(samples[0]) < least:
                continue
            if time.monotonic() > deadline or all(map(_is_narrow, samples)):
                break
    finally:
        if collects:
            gc.enable()
    return samples


def is_noisy(samples: Sequence[float]) -> bool:
    """Whether the middle half spreads widely."""
    if len(samples) < 4:
        return False
    ordered = sorted(samples)
    quarter = len(ordered) // 4
    return ordered[-1 - quarter] - ordered[quarter] > NOISE * ordered[len(ordered) // 2]


def _is_narrow(samples: Sequence[float]) -> bool:
    middle = median(samples)
    return middle.known and (middle.high - middle.low) / 2 <= NARROW * middle.mean
