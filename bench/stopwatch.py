"""Times steps where they run: a CPU's clock, or a GPU's own events, which need no synchronising."""

# Bound before any method's file is imported: a clock replaced later is not read.
from time import perf_counter
from typing import Any

import torch

WARMUP_STEPS = 3
MAX_SAMPLES = 1000


class StepClock:
    """One sample a step, the first few skipped as warm-up.

    At most `MAX_SAMPLES` are kept: when full, every second one goes and from then on every second
    step is taken, so that the samples stay spread evenly over the whole run.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._samples: list[tuple[Any, Any]] = []
        self._stride = 1
        self._step = 0
        self._started: Any = None

    def start(self) -> None:
        self._started = self._now()

    def stop(self) -> None:
        self._step += 1
        if self._step <= WARMUP_STEPS or (self._step - WARMUP_STEPS) % self._stride:
            return
        self._samples.append((self._started, self._now()))
        if len(self._samples) >= MAX_SAMPLES:
            self._samples = self._samples[1::2]
            self._stride *= 2

    def seconds(self) -> list[float]:
        """The samples. On a GPU this waits until all recorded work is done."""
        if not self._cuda:
            return [stop - start for start, stop in self._samples]
        torch.cuda.synchronize()
        return [start.elapsed_time(stop) / 1000 for start, stop in self._samples]

    def _now(self) -> Any:
        if not self._cuda:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event
