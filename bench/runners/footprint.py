"""How much memory one warmed call takes, weighed in two ways."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch.autograd.profiler import profile

from bench.memory import PeakMemory, large_blocks_mapped

Call = Callable[[], object]


class Footprint(NamedTuple):
    """Bytes above the moment before the call, at their highest."""

    peak_bytes: int | None
    """As the system or the GPU's allocator saw it."""
    allocated_bytes: int
    """By the profiler's account of every allocation: the same in every run."""


class Scales:
    """To be used as a context manager.

    A trial's process keeps freed memory for reuse, fragments it, and so hides or invents some: half
    as much again was seen. Peaks are therefore measured in one thread that does nothing else, whose
    large blocks are mappings of their own while it measures.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        with PeakMemory(device) as memory:
            pass
        self.method = memory.method
        """How peaks are measured."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scales")

    def __enter__(self) -> "Scales":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def weigh(self, call: Call) -> Footprint:
        """Both weights. The call runs three times; it must have run before in this thread."""
        with large_blocks_mapped():
            peak = self._thread.submit(_peak, call, self._device).result()
        return Footprint(peak, allocated_bytes(call, self._device))


def _peak(call: Call, device: str) -> int | None:
    # Libraries keep buffers for each thread: this call makes them.
    call()
    with PeakMemory(device) as memory:
        result = call()
        if device != "cpu":
            torch.cuda.synchronize(device)
    del result
    return memory.bytes


def allocated_bytes(call: Call, device: str) -> int:
    """The highest sum of what torch's allocator gave out and took back during one call."""
    activity = torch.device(device).type
    with profile(use_device=None if activity == "cpu" else activity, profile_memory=True) as seen:
        result = call()
        del result
    kind = torch._C._autograd.DeviceType.CPU
    if activity != "cpu":
        kind = torch._C._autograd.DeviceType.CUDA
    results: Any = seen.kineto_results
    events = [e for e in results.events() if e.name() == "[memory]" and e.device_type() == kind]
    now = highest = 0
    for event in sorted(events, key=lambda e: int(e.start_ns())):
        now += event.nbytes()
        highest = max(highest, now)
    return highest
