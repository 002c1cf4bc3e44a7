"""How much memory one warmed call takes, weighed in two ways."""

import gc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.profiler import profile

from bench.memory import PeakMemory, large_blocks_mapped
from methods.core.storages import Watch, storages

Call = Callable[[], object]


class Footprint(NamedTuple):
    """Bytes that a call needs beyond what it is given, at their highest."""

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

    def weigh(self, call: Call, kept: int = 0) -> Footprint:
        """Both weights, each with what it keeps between calls. The call runs three times; it must
        have run before in this thread."""
        with large_blocks_mapped():
            peak = self._thread.submit(_peak, call, self._device).result()
        allocated = kept + allocated_bytes(call, self._device)
        return Footprint(None if peak is None else kept + peak, allocated)


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


def kept_bytes(call: Call, given: Iterable[Tensor]) -> int:
    """Bytes of torch's tensors that one call uses and that stay after it: not what is given, nor
    its result, but what earlier calls left for it, such as a mask or a place to write in."""
    watch = Watch()
    with watch:
        result = call()
    del result
    # What refers to itself in a circle goes with the next collection.
    gc.collect()
    return watch.found(apart_from=storages(tuple(given)))
